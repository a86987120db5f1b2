/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=pwritev2,--wrap=pwritev64v2,--wrap=fdatasync,--wrap=open,--wrap=open64,--wrap=thread_start */
/*
 * Flushing an image that several engines share, with a kernel that tells of a
 * lost write once: calls are held until the test lets them go, and answer what
 * it says. What counts as lost, for how long, and who is told.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sys/uio.h>

#include "lib/block_harness.h"

#define SIZE 65536u
#define WAIT_MS 60000 /* for what has to come */

/* A system call that the test holds. */
struct gate {
	bool shut; /* calls wait */
	int error; /* of the next call that goes through; then 0 */
	int entered;
	int running;
	int most;   /* running at a time */
	int stable; /* with RWF_DSYNC */
	int fd;     /* of the last */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static struct gate syncs, writes;
static bool refuse_again; /* the file is opened twice only: claim and part */
static int opens;

static int gate_pass(struct gate *gate, int fd, int flags)
{
	int error;

	pthread_mutex_lock(&lock);
	gate->fd = fd;
	gate->entered++;
	gate->stable += (flags & RWF_DSYNC) != 0;
	if (++gate->running > gate->most)
		gate->most = gate->running;
	pthread_cond_broadcast(&change);
	while (gate->shut)
		pthread_cond_wait(&change, &lock);
	gate->running--;
	error = gate->error;
	gate->error = 0;
	pthread_mutex_unlock(&lock);
	return error;
}

static void gate_shut(struct gate *gate)
{
	pthread_mutex_lock(&lock);
	gate->shut = true;
	pthread_mutex_unlock(&lock);
}

/* Let those go that wait: the first of them with an error. */
static void gate_open(struct gate *gate, int error)
{
	pthread_mutex_lock(&lock);
	gate->error = error;
	gate->shut = false;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
}

/* Until so many calls were made in all. */
static void gate_await(struct gate *gate, int entered)
{
	pthread_mutex_lock(&lock);
	while (gate->entered < entered)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	errno = gate_pass(&syncs, fd, 0);
	return errno ? -1 : __real_fdatasync(fd);
}

#define WRAP_WRITE(name)                                                      \
	ssize_t __real_##name(int, const struct iovec *, int, off_t, int);    \
	ssize_t __wrap_##name(int, const struct iovec *, int, off_t, int);    \
	ssize_t __wrap_##name(int fd, const struct iovec *iov, int n,         \
			      off_t offset, int flags)                        \
	{                                                                     \
		errno = gate_pass(&writes, fd, flags);                        \
		return errno ? -1 : __real_##name(fd, iov, n, offset, flags); \
	}

WRAP_WRITE(pwritev2)
WRAP_WRITE(pwritev64v2)

static bool open_refused(const char *path)
{
	if (!refuse_again || (strncmp(path, "/proc/self/fd/", 14) != 0 &&
			      strcmp(path, harness_path("image")) != 0))
		return false;
	errno = ENOENT;
	return opens++ > 1;
}

#define WRAP_OPEN(name)                                                       \
	int __real_##name(const char *, int, ...);                            \
	int __wrap_##name(const char *, int, ...);                            \
	int __wrap_##name(const char *path, int flags, ...)                   \
	{                                                                     \
		va_list args;                                                 \
		mode_t mode;                                                  \
                                                                              \
		va_start(args, flags);                                        \
		mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;            \
		va_end(args);                                                 \
		return open_refused(path) ? -1 :                              \
					    __real_##name(path, flags, mode); \
	}

WRAP_OPEN(open)
WRAP_OPEN(open64)

static bool refuse_threads;
static int threads; /* that were started */

int __real_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);
int __wrap_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);
int __wrap_thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (refuse_threads)
		return -EAGAIN;
	threads++;
	return __real_thread_start(thread, run, arg);
}

/* ---- two engines on one image -------------------------------------------- */

static struct block_image image;
static struct block_engine *one, *two;
static unsigned char *content;
static unsigned char *memory;
static struct virtio_iov iov;

static void open_image(enum block_cache cache)
{
	refuse_again = false;
	opens = 0;
	content = harness_create("image", SIZE);
	memory = aligned_alloc(4096, SIZE);
	memset(memory, 0, SIZE);
	iov = (struct virtio_iov){ memory, 4096 };
	harness_open_image(&image, "image", cache);
}

static void open_engines(const char *name)
{
	one = harness_open_engine(name, &image, 16);
	two = harness_open_engine(name, &image, 16);
	memset(&syncs, 0, sizeof(syncs));
	memset(&writes, 0, sizeof(writes));
	threads = 0;
}

static void open_all(const char *engine, enum block_cache cache)
{
	open_image(cache);
	open_engines(engine);
}

static void close_all(void)
{
	harness_check_idle(one);
	harness_check_idle(two);
	block_engine_close(one);
	block_engine_close(two);
	whole_close(&image);
	free(memory);
	free(content);
}

static void start(struct block_engine *engine, struct block_request *req,
		  enum block_op op, unsigned int flags)
{
	*req = (struct block_request){ .op = (uint8_t)op,
				       .flags = (uint8_t)flags };
	if (op != BLOCK_FLUSH)
		req->length = iov.len;
	if (op == BLOCK_WRITE) {
		req->iov = &iov;
		req->niov = 1;
	}
	block_engine_queue(engine, req);
	block_engine_commit(engine);
}

/* Collect `n` requests, asleep between them. */
static void collect(struct block_engine *engine, unsigned int n)
{
	struct block_request *done;

	while (n > 0) {
		for (done = block_engine_reap(engine, 8); done;
		     done = done->next)
			n--;
		if (n > 0)
			assert_true(harness_is_readable(engine, WAIT_MS));
	}
}

static int flush(struct block_engine *engine)
{
	return harness_command(engine, BLOCK_FLUSH, 0, 0, 0);
}

static int write_some(struct block_engine *engine, unsigned int flags)
{
	return harness_transfer(engine, BLOCK_WRITE, flags, 0, memory, 4096);
}

static const char *const engines[] = { "io_uring", "libaio", "threads" };

/* ---- tests --------------------------------------------------------------- */

/* Who comes while a flush is under way shares the next, whatever its engine. */
static void one_at_a_time(const char *engine)
{
	struct block_request a, b, c;

	open_all(engine, BLOCK_CACHE_AUTO);
	gate_shut(&syncs);
	start(one, &a, BLOCK_FLUSH, 0);
	gate_await(&syncs, 1);
	start(two, &b, BLOCK_FLUSH, 0);
	start(one, &c, BLOCK_FLUSH, 0);
	/* Neither engine is held up by the flush of the other. */
	assert_int_equal(write_some(one, 0), 0);
	assert_int_equal(write_some(two, 0), 0);
	gate_open(&syncs, 0);
	collect(two, 1);
	collect(one, 2);
	assert_int_equal(a.result | b.result | c.result, 0);
	assert_int_equal(syncs.entered, 2);
	assert_int_equal(syncs.most, 1);
	close_all();
}

static void test_one_at_a_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		one_at_a_time(engines[i]);
}

/* The kernel told the first; the second is not answered well. */
static void test_told_once(void **state)
{
	struct block_request a, b;

	(void)state;
	open_all("threads", BLOCK_CACHE_WRITEBACK);
	assert_int_equal(write_some(one, 0), 0);
	assert_int_equal(write_some(two, 0), 0);
	gate_shut(&syncs);
	start(one, &a, BLOCK_FLUSH, 0);
	gate_await(&syncs, 1);
	start(two, &b, BLOCK_FLUSH, 0);
	gate_open(&syncs, ENOLINK);
	/* Nobody has looked at the first yet. */
	collect(two, 1);
	assert_int_equal(b.result, -EIO);
	collect(one, 1);
	assert_int_equal(a.result, -EIO);
	assert_int_equal(block_image_flush_error(&image), -ENOLINK);
	harness_check_sticky("threads", &image, one);
	close_all();
}

/* Stable writes over the page cache share flushes, and lose with them. */
static void test_stable_writes(void **state)
{
	struct block_request a, b;

	(void)state;
	open_all("threads", BLOCK_CACHE_WRITEBACK);
	assert_int_equal(flush(one), 0);
	gate_shut(&syncs);
	start(one, &a, BLOCK_WRITE, BLOCK_STABLE);
	assert_true(harness_is_readable(one, WAIT_MS));
	assert_null(block_engine_reap(one, 8));
	gate_await(&syncs, 2);
	/* Written before that has failed: it may be what was lost. */
	start(two, &b, BLOCK_WRITE, BLOCK_STABLE);
	gate_await(&writes, 2);
	gate_open(&syncs, ENOSPC);
	collect(one, 1);
	collect(two, 1);
	assert_int_equal(a.result, -ENOSPC);
	assert_int_equal(b.result, -EIO);
	/* Nobody was told that anything lost is there: it goes on. */
	assert_int_equal(block_image_flush_error(&image), 0);
	assert_int_equal(write_some(one, BLOCK_STABLE), 0);
	assert_int_equal(flush(two), 0);
	assert_int_equal(syncs.most, 1);
	assert_int_equal(writes.stable, 0);
	close_all();
}

/* A full store: for good where what was acknowledged may be lost. */
static void test_full_store(void **state)
{
	(void)state;
	open_all("threads", BLOCK_CACHE_WRITETHROUGH);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(write_some(one, 0), 0);
		syncs.error = ENOSPC;
		assert_int_equal(write_some(one, 0), -ENOSPC);
		syncs.error = EIO;
		assert_int_equal(flush(two), -EIO);
		writes.error = ENOSPC;
		assert_int_equal(write_some(two, 0), -ENOSPC);
	}
	assert_int_equal(write_some(one, 0), 0);
	assert_int_equal(harness_command(two, BLOCK_WRITE_ZEROES, 0, 0, 4096),
			 0);
	close_all();

	open_all("threads", BLOCK_CACHE_WRITEBACK);
	assert_int_equal(write_some(one, BLOCK_STABLE), 0);
	/* As a guest that went over to writing through sees it. */
	for (unsigned int i = 0; i < 3; i++) {
		writes.error = ENOSPC;
		assert_int_equal(write_some(one, BLOCK_STABLE), -ENOSPC);
		syncs.error = ENOSPC;
		assert_int_equal(write_some(two, BLOCK_STABLE), -ENOSPC);
		assert_int_equal(write_some(two, BLOCK_STABLE), 0);
		assert_int_equal(flush(one), 0);
	}
	assert_int_equal(write_some(one, 0), 0);
	syncs.error = ENOSPC;
	assert_int_equal(write_some(two, BLOCK_STABLE), -EIO);
	assert_int_equal(block_image_flush_error(&image), -ENOSPC);
	harness_check_sticky("threads", &image, two);
	close_all();

	/* What an earlier process has acknowledged is not known. */
	open_all("threads", BLOCK_CACHE_WRITETHROUGH);
	syncs.error = ENOSPC;
	assert_int_equal(write_some(one, 0), -EIO);
	assert_int_equal(block_image_flush_error(&image), -ENOSPC);
	close_all();
}

/* A plain write that is acknowledged after the failure was in time for it. */
static void test_write_in_flight(void **state)
{
	struct block_request a;

	(void)state;
	open_all("threads", BLOCK_CACHE_WRITEBACK);
	assert_int_equal(flush(one), 0);
	gate_shut(&writes);
	start(one, &a, BLOCK_WRITE, 0);
	gate_await(&writes, 1);
	syncs.error = EILSEQ;
	assert_int_equal(flush(two), -EILSEQ);
	assert_int_equal(block_image_flush_error(&image), 0);
	gate_open(&writes, 0);
	collect(one, 1);
	assert_int_equal(a.result, 0);
	assert_int_equal(block_image_flush_error(&image), -EILSEQ);
	assert_int_equal(flush(two), -EIO);
	close_all();
}

/* Acknowledged while a flush is under way: for the next. */
static void test_write_during_flush(void **state)
{
	struct block_request a;

	(void)state;
	open_all("threads", BLOCK_CACHE_WRITEBACK);
	gate_shut(&syncs);
	start(one, &a, BLOCK_FLUSH, 0);
	gate_await(&syncs, 1);
	assert_int_equal(write_some(two, 0), 0);
	gate_open(&syncs, 0);
	collect(one, 1);
	assert_int_equal(a.result, 0);
	syncs.error = EIO;
	assert_int_equal(flush(one), -EIO);
	assert_int_equal(block_image_flush_error(&image), -EIO);
	close_all();
}

static void dsync_fails(int error, bool lost)
{
	/* As the device has it: an error, not an absent request. */
	const int told = error == EOPNOTSUPP ? ENOSYS : error;

	open_all("threads", BLOCK_CACHE_AUTO);
	if (!image.direct) {
		close_all();
		skip();
	}
	assert_int_equal(flush(one), 0);
	/* Nothing else is concerned. */
	writes.error = error;
	assert_int_equal(write_some(one, BLOCK_STABLE), -told);
	assert_int_equal(write_some(one, BLOCK_STABLE), 0);
	assert_int_equal(flush(two), 0);
	/* Something may be. */
	assert_int_equal(write_some(two, 0), 0);
	writes.error = error;
	assert_int_equal(write_some(one, BLOCK_STABLE), lost ? -EIO : -told);
	assert_int_equal(write_some(two, BLOCK_STABLE), lost ? -EIO : 0);
	assert_int_equal(flush(two), lost ? -EIO : 0);
	assert_int_equal(block_image_flush_error(&image), lost ? -error : 0);
	assert_int_equal(writes.stable, 4);
	close_all();
}

static void test_dsync_errors(void **state)
{
	static const int own[] = { EINVAL,     EFBIG,  EFAULT, EBADF, EROFS,
				   EOPNOTSUPP, ENOSYS, ENOSPC, EDQUOT };
	static const int lost[] = { EIO,     ENOLINK, EREMOTEIO, ETIMEDOUT,
				    ENODATA, EILSEQ,  ENOMEM,    ENXIO,
				    ENODEV,  EBADE,   ESTALE,    ESHUTDOWN };

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		dsync_fails(own[i], false);
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		dsync_fails(lost[i], true);
}

/* The flush has a report of its own, which no write with RWF_DSYNC can take. */
static void test_own_report(void **state)
{
	(void)state;
	open_all("threads", BLOCK_CACHE_AUTO);
	if (!image.direct) {
		close_all();
		skip();
	}
	assert_true(image.dsync);
	assert_int_equal(write_some(one, BLOCK_STABLE), 0);
	assert_int_equal(writes.stable, 1);
	assert_int_equal(flush(one), 0);
	assert_int_not_equal(syncs.fd, image.fd);
	block_engine_close(one);
	block_engine_close(two);
	whole_close(&image);

	/* Where there is none, there is no such write. */
	refuse_again = true;
	harness_open_image(&image, "image", BLOCK_CACHE_AUTO);
	refuse_again = false;
	assert_true(image.direct);
	assert_false(image.dsync);
	open_engines("threads");
	assert_int_equal(write_some(one, BLOCK_STABLE), 0);
	assert_int_equal(writes.stable, 0);
	assert_int_equal(syncs.entered, 1);
	assert_int_equal(syncs.fd, image.fd);
	close_all();
}

/*
 * A file system that is read-only may have no fsync: there is nothing to flush
 */
static void test_read_only(void **state)
{
	static const char *const names[] = {
		"io_uring",
		"libaio",
		"threads",
		"null",
	};
	const struct block_image_options options = {
		.file = harness_path("image"),
		.readonly = true,
	};
	char error[BLOCK_ERROR_MAX];

	(void)state;
	free(harness_create("image", SIZE));
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(whole_open(&image, &options, error), 0);
		open_engines(names[i]);
		syncs.error = EINVAL;
		assert_int_equal(flush(one), 0);
		assert_int_equal(flush(two), 0);
		assert_int_equal(syncs.entered, 0);
		block_engine_close(one);
		block_engine_close(two);
		whole_close(&image);
	}
}

/* A disk that is never flushed has no thread for it; others have one. */
static void thread_when_needed(const char *engine)
{
	open_all(engine, BLOCK_CACHE_WRITEBACK);
	assert_int_equal(write_some(one, 0), 0);
	assert_int_equal(threads, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(flush(one), 0);
		assert_int_equal(flush(two), 0);
		assert_int_equal(threads, 1);
	}
	assert_int_equal(syncs.entered, 6);
	close_all();
}

static void test_thread_when_needed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		thread_when_needed(engines[i]);
}

static void *flush_there(void *engine)
{
	assert_int_equal(flush(engine), 0);
	return NULL;
}

/* Without a thread there are flushes all the same, still one at a time. */
static void no_thread(const char *engine)
{
	pthread_t helper[2];

	open_all(engine, BLOCK_CACHE_WRITEBACK);
	refuse_threads = true;
	assert_int_equal(flush(one), 0);
	gate_shut(&syncs);
	pthread_create(&helper[0], NULL, flush_there, one);
	pthread_create(&helper[1], NULL, flush_there, two);
	gate_await(&syncs, 2);
	gate_open(&syncs, 0);
	for (int i = 0; i < 2; i++)
		pthread_join(helper[i], NULL);
	assert_int_equal(syncs.entered, 3);
	assert_int_equal(syncs.most, 1);
	assert_int_equal(threads, 0);
	/* And what they cannot make stable is lost as ever. */
	assert_int_equal(write_some(one, 0), 0);
	syncs.error = EIO;
	assert_int_equal(flush(two), -EIO);
	assert_int_equal(image.flush_error, -EIO);
	/* It is asked for again. */
	refuse_threads = false;
	assert_int_equal(flush(one), -EIO);
	assert_int_equal(threads, 1);
	close_all();
}

static void test_no_thread(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		no_thread(engines[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_told_once),
		cmocka_unit_test(test_stable_writes),
		cmocka_unit_test(test_full_store),
		cmocka_unit_test(test_write_in_flight),
		cmocka_unit_test(test_write_during_flush),
		cmocka_unit_test(test_dsync_errors),
		cmocka_unit_test(test_own_report),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_thread_when_needed),
		cmocka_unit_test(test_no_thread),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
