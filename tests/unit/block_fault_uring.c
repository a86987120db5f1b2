/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=io_uring_submit */
/*
 * What the kernel may do to the io_uring engine, injected at io_uring_submit:
 * refuse for now, refuse for good, move less than asked for, complete with an
 * error. The rings are in shared memory, so that entries are changed before
 * the kernel sees them, and completions before the engine does.
 */
#define _GNU_SOURCE 1
#include <liburing.h>

#include "block_harness.h"

static int refuse_wait;		/* submissions that are let through first */
static int refuse_count;	/* submissions that are refused then */
static int refuse_error;
static unsigned int short_to;	/* bytes moved by a transfer, 0: all */
static int answer_count;	/* completions that are changed to ... */
static int answer;		/* ... this */
static bool break_fsync;	/* make FSYNC entries invalid */
static int calls, stable, syncs;

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

/* Change an entry before the kernel sees it. */
static void look_at(struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_WRITE:
	case IORING_OP_WRITEV:
		stable += sqe->rw_flags == RWF_DSYNC;
		break;
	case IORING_OP_FSYNC:
		syncs += sqe->fsync_flags == IORING_FSYNC_DATASYNC;
		if (break_fsync)
			sqe->fsync_flags = ~0u;
		return;
	}
	if (short_to && (sqe->opcode == IORING_OP_READV ||
			 sqe->opcode == IORING_OP_WRITEV))
		sqe->len = 1;
	else if (short_to && sqe->len > short_to)
		sqe->len = short_to;
}

/* Change the completions of `n` entries before the engine sees them. */
static void change_answers(struct io_uring *ring, int n)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	if (answer_count == 0 || n <= 0)
		return;
	/* A clean page cache answers at once, a tmpfs does not. */
	assert_int_equal(io_uring_wait_cqe_nr(ring, &cqe, (unsigned int)n), 0);
	io_uring_for_each_cqe(ring, head, cqe) {
		if (answer_count == 0)
			return;
		answer_count--;
		cqe->res = answer;
	}
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	unsigned int i;
	int rc;

	calls++;
	if (refuse_wait > 0) {
		refuse_wait--;
	} else if (refuse_count > 0) {
		refuse_count--;
		return -refuse_error;
	}
	for (i = *ring->sq.khead; i != ring->sq.sqe_tail; i++)
		look_at(&ring->sq.sqes[i & ring->sq.ring_mask]);
	rc = __real_io_uring_submit(ring);
	change_answers(ring, rc);
	return rc;
}

#define N 16u
#define BLOCK 4096u
#define SIZE (N * BLOCK)

static struct block_image image;
static struct block_engine *engine;
static unsigned char *content;
static unsigned char *memory;

static void open_all(enum block_cache cache)
{
	refuse_wait = refuse_count = answer_count = calls = stable = syncs = 0;
	short_to = 0;
	break_fsync = false;
	content = harness_create("image", SIZE);
	memory = aligned_alloc(4096, SIZE);
	memset(memory, 0, SIZE);
	harness_open_image(&image, "image", cache);
	engine = harness_open_engine("io_uring", &image, N);
}

static void close_all(void)
{
	harness_check_idle(engine);
	block_engine_close(engine);
	block_image_close(&image);
	free(memory);
	free(content);
}

/* Read or write the whole image with N requests; returns how many failed. */
static unsigned int do_all(enum block_op op, int error)
{
	struct block_request req[N], *done;
	struct virtio_iov iov[N];
	unsigned int i, n = 0, failed = 0;

	for (i = 0; i < N; i++) {
		iov[i] = (struct virtio_iov){ memory + i * BLOCK, BLOCK };
		req[i] = (struct block_request){
			.op = (uint8_t)op, .niov = 1, .length = BLOCK,
			.offset = i * BLOCK, .iov = &iov[i],
		};
		block_engine_queue(engine, &req[i]);
	}
	block_engine_commit(engine);
	while (n < N)
		for (done = harness_wait(engine); done; done = done->next) {
			n++;
			if (done->result) {
				assert_int_equal(done->result, error);
				failed++;
			}
		}
	return failed;
}

static void check_all_good(void)
{
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_memory_equal(memory, content, SIZE);
	harness_fill(memory, SIZE);
	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	harness_check("image", memory, SIZE);
	memcpy(content, memory, SIZE);
}

static void test_one_call(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_int_equal(calls, 1);
	close_all();
}

/* Nothing else would come to try again: the engine has to see to it. */
static void test_refused_for_now(void **state)
{
	static const int errors[] = { EAGAIN, EBUSY, ENOMEM, EINTR };
	unsigned int i;
	int wait;

	(void)state;
	for (i = 0; i < 4; i++) {
		for (wait = 0; wait < 3; wait++) {
			open_all(wait % 2 ? BLOCK_CACHE_AUTO :
					    BLOCK_CACHE_WRITEBACK);
			refuse_error = errors[i];
			refuse_count = 5;
			refuse_wait = wait;
			check_all_good();
			refuse_count = 5;
			check_all_good();
			close_all();
		}
	}
}

static void test_refused_for_good(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_AUTO);
	refuse_error = EPERM;
	refuse_count = 1;
	assert_int_equal(do_all(BLOCK_READ, -EPERM), N);
	check_all_good();
	/* A shortage that does not end does not hang, and then goes on. */
	refuse_error = EAGAIN;
	refuse_count = 1000000;
	assert_int_equal(do_all(BLOCK_READ, -EIO), N);
	refuse_count = 0;
	check_all_good();
	close_all();
}

static void test_short(void **state)
{
	struct virtio_iov iov[3];
	struct block_request req = { .niov = 3, .length = SIZE, .iov = iov };
	static const enum block_cache caches[] = {
		BLOCK_CACHE_AUTO, BLOCK_CACHE_WRITEBACK,
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		open_all(caches[i]);
		short_to = 512;
		check_all_good();
		iov[0] = (struct virtio_iov){ memory, 1024 };
		iov[1] = (struct virtio_iov){ memory + 1024, 4096 };
		iov[2] = (struct virtio_iov){ memory + 5120, SIZE - 5120 };
		memset(memory, 0, SIZE);
		req.op = BLOCK_READ;
		assert_int_equal(harness_do(engine, &req), 0);
		assert_memory_equal(memory, content, SIZE);
		close_all();
	}
}

/* Interruptions and errors as a completion's result. */
static void test_answers(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	answer = -EAGAIN;
	answer_count = 5;
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	answer = -EINTR;
	answer_count = 5;
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_memory_equal(memory, content, SIZE);
	assert_int_equal(answer_count, 0);
	answer = -EIO;
	answer_count = 5;
	assert_int_equal(do_all(BLOCK_READ, -EIO), 5);
	answer = 0;
	answer_count = 3;
	assert_int_equal(do_all(BLOCK_READ, -EIO), 3);
	check_all_good();
	close_all();
}

static void test_flush(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	assert_int_equal(stable, 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(syncs, 1);
	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, BLOCK_STABLE, 0,
					  memory, SIZE), 0);
	assert_int_equal(stable, 1);
	close_all();

	open_all(BLOCK_CACHE_WRITETHROUGH);
	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	assert_int_equal(stable, N);
	close_all();

	open_all(BLOCK_CACHE_UNSAFE);
	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, BLOCK_STABLE, 0,
					  memory, SIZE), 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(stable + syncs, 0);
	close_all();
}

static void test_sticky(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_AUTO);
	break_fsync = true;
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), -EIO);
	break_fsync = false;
	harness_check_sticky("io_uring", &image, engine);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_call),
		cmocka_unit_test(test_refused_for_now),
		cmocka_unit_test(test_refused_for_good),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_sticky),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
