/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=io_uring_submit,--wrap=fdatasync */
/* LDFLAGS: -Wl,--wrap=pthread_create,--wrap=fallocate,--wrap=fallocate64 */
/*
 * What the kernel may do to the io_uring engine, injected at io_uring_submit:
 * refuse for now, refuse for good, move less than asked for, complete with an
 * error. The rings are in shared memory, so that entries are changed before
 * the kernel sees them, and completions before the engine does. Threads are
 * refused at pthread_create.
 */
#define _GNU_SOURCE 1
#include <liburing.h>
#include <pthread.h>

#include "lib/block_fault.h"

static int answer_count; /* completions that are changed to ... */
static int answer;       /* ... this */
static bool no_threads;

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*start)(void *), void *arg)
{
	return no_threads ? EAGAIN :
			    __real_pthread_create(thread, attr, start, arg);
}

static pthread_t worker; /* who did the last fallocate */

#define WRAP_FALLOCATE(name)                                            \
	int __real_##name(int, int, off_t, off_t);                      \
	int __wrap_##name(int, int, off_t, off_t);                      \
	int __wrap_##name(int fd, int mode, off_t offset, off_t length) \
	{                                                               \
		worker = pthread_self();                                \
		return __real_##name(fd, mode, offset, length);         \
	}

WRAP_FALLOCATE(fallocate)
WRAP_FALLOCATE(fallocate64)

/* Change an entry before the kernel sees it. */
static void look_at(struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_WRITE:
	case IORING_OP_WRITEV:
		stable += sqe->rw_flags == RWF_DSYNC;
		break;
	}
	if (short_to &&
	    (sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV))
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
	io_uring_for_each_cqe(ring, head, cqe)
	{
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

	if (fault_refuses())
		return -refuse_error;
	for (i = *ring->sq.khead; i != ring->sq.sqe_tail; i++)
		look_at(&ring->sq.sqes[i & ring->sq.ring_mask]);
	rc = __real_io_uring_submit(ring);
	change_answers(ring, rc);
	return rc;
}

static void open_all(enum block_cache cache)
{
	answer_count = 0;
	no_threads = false;
	fault_open("io_uring", cache);
}

static void test_one_call(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_int_equal(calls, 1);
	fault_close();
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
			fault_close();
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
	check_lasting_shortage();
	fault_close();
}

enum { MANY = 1000 }; /* more than both rings hold */

/* What finds no entry waits, also while entries are refused. */
static void test_more_than_the_rings(void **state)
{
	unsigned int failed;

	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	block_engine_close(engine);
	engine = harness_open_engine("io_uring", &image, MANY);
	assert_int_equal(do_many(BLOCK_READ, MANY, 0), 0);
	assert_memory_equal(memory, content, SIZE);
	assert_in_range(calls, 4, MANY / 4);
	for (int wait = 0; wait < 8; wait++) {
		refuse_error = EAGAIN;
		refuse_count = 5;
		refuse_wait = wait;
		assert_int_equal(do_many(BLOCK_READ, MANY, 0), 0);
	}
	refuse_error = EPERM;
	refuse_count = 1;
	refuse_wait = 2;
	failed = do_many(BLOCK_READ, MANY, -EPERM);
	assert_in_range(failed, 1, MANY / 4);
	refuse_error = EAGAIN;
	refuse_count = 1000000;
	assert_int_equal(do_many(BLOCK_READ, MANY, -EIO), MANY);
	refuse_count = 0;
	answer = -EAGAIN;
	answer_count = 5;
	assert_int_equal(do_many(BLOCK_READ, MANY, 0), 0);
	fault_close();
}

/* Helpers are started when they are needed; without them it works as well. */
static void test_no_helpers(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	syncs = 0;
	no_threads = true;
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_STABLE, 0, BLOCK),
			 0);
	assert_int_equal(syncs, 1);
	/* Not here: it may take a while. */
	assert_false(pthread_equal(worker, pthread_self()));
	memset(content, 0, BLOCK);
	harness_check("image", content, SIZE);
	no_threads = false;
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES, 0, BLOCK,
					 BLOCK),
			 0);
	memset(content + BLOCK, 0, BLOCK);
	harness_check("image", content, SIZE);
	check_all_good();
	fault_close();
}

/* Without any thread: here, which is better than not at all. */
static void test_no_threads(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	no_threads = true;
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_STABLE, 0, BLOCK),
			 0);
	assert_int_equal(syncs, 1);
	assert_true(pthread_equal(worker, pthread_self()));
	memset(content, 0, BLOCK);
	harness_check("image", content, SIZE);
	no_threads = false;
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 0, BLOCK),
			 0);
	assert_false(pthread_equal(worker, pthread_self()));
	check_all_good();
	fault_close();
}

static void test_short(void **state)
{
	static const enum block_cache caches[] = {
		BLOCK_CACHE_AUTO,
		BLOCK_CACHE_WRITEBACK,
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		open_all(caches[i]);
		short_to = 512;
		check_all_good();
		check_short_pieces();
		fault_close();
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
	fault_close();
}

static void test_flush(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_WRITEBACK);
	check_flush();
	fault_close();

	open_all(BLOCK_CACHE_AUTO);
	check_flush();
	fault_close();

	open_all(BLOCK_CACHE_WRITETHROUGH);
	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	assert_int_equal(stable, 0);
	assert_in_range(syncs, 1, N);
	fault_close();

	open_all(BLOCK_CACHE_UNSAFE);
	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, BLOCK_STABLE, 0,
					  memory, SIZE),
			 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(stable + syncs, 0);
	fault_close();
}

static void test_sticky(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_AUTO);
	check_sticky("io_uring");
	fault_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_call),
		cmocka_unit_test(test_refused_for_now),
		cmocka_unit_test(test_refused_for_good),
		cmocka_unit_test(test_more_than_the_rings),
		cmocka_unit_test(test_no_helpers),
		cmocka_unit_test(test_no_threads),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_sticky),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
