/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=preadv2,--wrap=pwritev2,--wrap=preadv64v2,--wrap=pwritev64v2,--wrap=fdatasync,--wrap=fallocate,--wrap=fallocate64 */
/*
 * Faults of the store under the threads engine, injected at the system calls by
 * countdown: errors, short transfers, interruptions, failed flushes. The same
 * code does DISCARD and WRITE_ZEROES for the other engines.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sys/uio.h>

#include "lib/block_harness.h"

enum call { READ, WRITE, SYNC, FALLOCATE, CALLS };

/*
 * What each call does: after `wait` good ones, the next `count` fail with
 * `error` (0: return 0).
 */
static struct {
	int wait;
	int count;
	int error;
	int calls;  /* made in all */
	int stable; /* of these with RWF_DSYNC */
} faults[CALLS];
static size_t short_to; /* transfers move no more than this, 0: all */
static int sync_delay;  /* microseconds */
static int sync_done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void inject(enum call call, int wait, int count, int error)
{
	faults[call].wait = wait;
	faults[call].count = count;
	faults[call].error = error;
}

/* True if this call has to fail; sets errno. */
static bool fails(enum call call, int flags)
{
	bool now = false;

	pthread_mutex_lock(&lock);
	faults[call].calls++;
	if (flags & RWF_DSYNC)
		faults[call].stable++;
	if (faults[call].wait > 0) {
		faults[call].wait--;
	} else if (faults[call].count > 0) {
		faults[call].count--;
		now = true;
	}
	pthread_mutex_unlock(&lock);
	errno = faults[call].error;
	return now;
}

/* At most `short_to` bytes of an iov, as one segment of it. */
static int shorten(const struct iovec *iov, int n, struct iovec *one)
{
	int i;

	for (i = 0; i < n && iov[i].iov_len == 0; i++)
		;
	if (i == n)
		return 0;
	*one = iov[i];
	if (one->iov_len > short_to)
		one->iov_len = short_to;
	return 1;
}

#define WRAP_TRANSFER(name, call)                                          \
	ssize_t __real_##name(int, const struct iovec *, int, off_t, int); \
	ssize_t __wrap_##name(int, const struct iovec *, int, off_t, int); \
	ssize_t __wrap_##name(int fd, const struct iovec *iov, int n,      \
			      off_t offset, int flags)                     \
	{                                                                  \
		struct iovec one;                                          \
                                                                           \
		if (fails(call, flags))                                    \
			return faults[call].error ? -1 : 0;                \
		if (short_to && shorten(iov, n, &one))                     \
			return __real_##name(fd, &one, 1, offset, flags);  \
		return __real_##name(fd, iov, n, offset, flags);           \
	}

WRAP_TRANSFER(preadv2, READ)
WRAP_TRANSFER(preadv64v2, READ)
WRAP_TRANSFER(pwritev2, WRITE)
WRAP_TRANSFER(pwritev64v2, WRITE)

#define WRAP_FALLOCATE(name)                                            \
	int __real_##name(int, int, off_t, off_t);                      \
	int __wrap_##name(int, int, off_t, off_t);                      \
	int __wrap_##name(int fd, int mode, off_t offset, off_t length) \
	{                                                               \
		return fails(FALLOCATE, 0) ?                            \
			       -1 :                                     \
			       __real_##name(fd, mode, offset, length); \
	}

WRAP_FALLOCATE(fallocate)
WRAP_FALLOCATE(fallocate64)

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	int rc;

	if (sync_delay)
		usleep((useconds_t)sync_delay);
	rc = fails(SYNC, 0) ? -1 : __real_fdatasync(fd);
	__atomic_store_n(&sync_done, 1, __ATOMIC_SEQ_CST);
	return rc;
}

static struct block_image image;
static struct block_engine *engine;
static unsigned char *content;
static unsigned char *memory;

#define SIZE 65536u

static void open_all(enum block_cache cache)
{
	memset(faults, 0, sizeof(faults));
	short_to = 0;
	sync_delay = 0;
	content = harness_create("image", SIZE);
	memory = aligned_alloc(4096, SIZE);
	memset(memory, 0, SIZE);
	harness_open_image(&image, "image", cache);
	/* Opening tries what the store can do. */
	memset(faults, 0, sizeof(faults));
	engine = harness_open_engine("threads", &image, 16);
}

static void close_all(void)
{
	harness_check_idle(engine);
	block_engine_close(engine);
	whole_close(&image);
	free(memory);
	free(content);
}

static int transfer(enum block_op op, unsigned int flags)
{
	return harness_transfer(engine, op, flags, 0, memory, SIZE);
}

static void test_short(void **state)
{
	static const size_t shorts[] = { 1, 7, 511, 4096, 65535 };
	struct virtio_iov iov[4];
	struct block_request req = { .niov = 4, .length = SIZE, .iov = iov };
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		open_all(BLOCK_CACHE_WRITEBACK);
		iov[0] = (struct virtio_iov){ memory, 1001 };
		iov[1] = (struct virtio_iov){ memory + 1001, 0 };
		iov[2] = (struct virtio_iov){ memory + 1001, 1 };
		iov[3] = (struct virtio_iov){ memory + 1002, SIZE - 1002 };
		short_to = shorts[i];
		req.op = BLOCK_READ;
		assert_int_equal(harness_do(engine, &req), 0);
		assert_memory_equal(memory, content, SIZE);
		harness_fill(memory, SIZE);
		req.op = BLOCK_WRITE;
		assert_int_equal(harness_do(engine, &req), 0);
		harness_check("image", memory, SIZE);
		close_all();
	}
}

static void test_interrupted(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	inject(READ, 0, 3, EINTR);
	assert_int_equal(transfer(BLOCK_READ, 0), 0);
	assert_memory_equal(memory, content, SIZE);
	inject(WRITE, 0, 3, EAGAIN);
	assert_int_equal(transfer(BLOCK_WRITE, 0), 0);
	inject(SYNC, 0, 3, EINTR);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	inject(FALLOCATE, 0, 3, EINTR);
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 0, 4096), 0);
	close_all();
}

/* The k-th read fails: that request, no other, for all k. */
static void test_error_hits_one(void **state)
{
	enum { N = 16 };
	struct block_request req[N], *done;
	struct virtio_iov iov[N];
	int k, i;

	(void)state;
	for (k = 0; k < N; k++) {
		unsigned int n = 0, failed = 0;

		open_all(BLOCK_CACHE_WRITEBACK);
		inject(READ, k, 1, EIO);
		/* From the end to the start: they are not merged. */
		for (i = N - 1; i >= 0; i--) {
			iov[i] = (struct virtio_iov){ memory + i * 512, 512 };
			req[i] = (struct block_request){
				.op = BLOCK_READ,
				.niov = 1,
				.length = 512,
				.offset = (uint64_t)i * 512,
				.iov = &iov[i],
			};
			block_engine_queue(engine, &req[i]);
		}
		block_engine_commit(engine);
		while (n < N)
			for (done = harness_wait(engine); done;
			     done = done->next) {
				n++;
				failed += done->result == -EIO;
			}
		assert_int_equal(failed, 1);
		for (i = 0; i < N; i++)
			if (req[i].result == 0)
				assert_memory_equal(memory + i * 512,
						    content + i * 512, 512);
		assert_int_equal(transfer(BLOCK_READ, 0), 0);
		close_all();
	}
}

/* A plain write's error is that write's alone. */
static void test_write_errors(void **state)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EFBIG, ENOMEM };
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		open_all(BLOCK_CACHE_WRITEBACK);
		inject(WRITE, 0, 1, errors[i]);
		assert_int_equal(transfer(BLOCK_WRITE, 0), -errors[i]);
		assert_int_equal(transfer(BLOCK_WRITE, 0), 0);
		assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0),
				 0);
		close_all();
	}
	/* The kernel takes nothing: an error, not an endless loop. */
	open_all(BLOCK_CACHE_WRITEBACK);
	inject(WRITE, 0, 1, 0);
	assert_int_equal(transfer(BLOCK_WRITE, 0), -EIO);
	close_all();
}

/* FLUSH is one fdatasync, and completes after it has returned. */
static void test_flush_is_fdatasync(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	assert_int_equal(transfer(BLOCK_WRITE, 0), 0);
	assert_int_equal(faults[SYNC].calls, 0);
	assert_int_equal(faults[WRITE].stable, 0);
	sync_delay = 50000;
	__atomic_store_n(&sync_done, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_true(__atomic_load_n(&sync_done, __ATOMIC_SEQ_CST));
	assert_int_equal(faults[SYNC].calls, 1);
	/* What is to be stable is synced after it is written. */
	__atomic_store_n(&sync_done, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(transfer(BLOCK_WRITE, BLOCK_STABLE), 0);
	assert_true(__atomic_load_n(&sync_done, __ATOMIC_SEQ_CST));
	assert_int_equal(faults[WRITE].stable, 0);
	assert_int_equal(faults[SYNC].calls, 2);
	sync_delay = 0;
	assert_int_equal(
		harness_command(engine, BLOCK_WRITE_ZEROES, 0, 0, 4096), 0);
	assert_int_equal(faults[SYNC].calls, 2);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_STABLE, 0, 4096),
			 0);
	assert_int_equal(faults[SYNC].calls, 3);
	close_all();

	open_all(BLOCK_CACHE_WRITETHROUGH);
	assert_int_equal(transfer(BLOCK_WRITE, 0), 0);
	assert_int_equal(faults[WRITE].stable, 0);
	assert_int_equal(faults[SYNC].calls, 1);
	assert_int_equal(
		harness_command(engine, BLOCK_WRITE_ZEROES, 0, 0, 4096), 0);
	assert_int_equal(faults[SYNC].calls, 2);
	close_all();

	open_all(BLOCK_CACHE_UNSAFE);
	assert_int_equal(transfer(BLOCK_WRITE, BLOCK_STABLE), 0);
	assert_int_equal(faults[WRITE].stable, 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(faults[SYNC].calls, 0);
	close_all();
}

/* A failed flush is for good, whatever fdatasync says later. */
static void test_sticky(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	inject(SYNC, 0, 1, ENOSPC);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), -EIO);
	harness_check_sticky("threads", &image, engine);
	close_all();

	/* Opened again, it is a new life. */
	open_all(BLOCK_CACHE_WRITEBACK);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	close_all();
}

/* A stable write may have been told of another write's loss. */
static void test_sticky_stable_write(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	inject(SYNC, 0, 1, EIO);
	assert_int_equal(transfer(BLOCK_WRITE, BLOCK_STABLE), -EIO);
	harness_check_sticky("threads", &image, engine);
	close_all();

	/* A full store is not a lost write where nothing waits to be written */
	open_all(BLOCK_CACHE_WRITETHROUGH);
	inject(WRITE, 0, 1, ENOSPC);
	assert_int_equal(transfer(BLOCK_WRITE, 0), -ENOSPC);
	assert_int_equal(transfer(BLOCK_WRITE, 0), 0);
	close_all();

	/* Zeroes that cannot be made stable. */
	open_all(BLOCK_CACHE_WRITEBACK);
	inject(SYNC, 0, 1, EIO);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_STABLE, 0, 4096),
			 -EIO);
	harness_check_sticky("threads", &image, engine);
	close_all();
}

/* A store that cannot zero gets zeroes written; one that cannot discard... */
static void test_unsupported(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	inject(FALLOCATE, 0, 2, EOPNOTSUPP);
	short_to = 5000;
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_MAY_UNMAP, 512, 20480),
			 0);
	assert_int_equal(faults[FALLOCATE].calls, 2);
	assert_true(faults[WRITE].calls >= 5);
	memset(content + 512, 0, 20480);
	harness_check("image", content, SIZE);

	inject(FALLOCATE, 0, 1, EOPNOTSUPP);
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 32768, 4096),
			 -EOPNOTSUPP);
	harness_check("image", content, SIZE);

	/* Errors that mean something else are reported. */
	inject(FALLOCATE, 0, 1, EIO);
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 32768, 4096),
			 -EIO);
	inject(FALLOCATE, 0, 1, ENOSPC);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES, 0, 32768,
					 4096),
			 -ENOSPC);
	inject(FALLOCATE, 0, 1, ENOSYS);
	inject(WRITE, 0, 1, EIO);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES, 0, 32768,
					 4096),
			 -EIO);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_error_hits_one),
		cmocka_unit_test(test_write_errors),
		cmocka_unit_test(test_flush_is_fdatasync),
		cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_sticky_stable_write),
		cmocka_unit_test(test_unsupported),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
