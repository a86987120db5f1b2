/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=io_submit,--wrap=fdatasync */
/*
 * What the kernel may do to the libaio engine, injected at io_submit: refuse
 * for now, refuse for good, take only some, move less than asked for.
 */
#include <libaio.h>
#include <semaphore.h>

#include "lib/block_fault.h"

static long take_max;        /* iocbs taken at once, 0: all */
static bool stuck;           /* the next call does not return until ... */
static sem_t entered, leave; /* ... the second, and tells with the first */

int __real_io_submit(io_context_t context, long n, struct iocb *iocbs[]);
int __wrap_io_submit(io_context_t context, long n, struct iocb *iocbs[]);

/* Make a transfer shorter than it should be. */
static void shorten(struct iocb *iocb)
{
	switch (iocb->aio_lio_opcode) {
	case IO_CMD_PREAD:
	case IO_CMD_PWRITE:
		if (iocb->u.c.nbytes > short_to)
			iocb->u.c.nbytes = short_to;
		break;
	case IO_CMD_PREADV:
	case IO_CMD_PWRITEV:
		iocb->u.v.nr = 1;
		break;
	}
}

static void look_at(struct iocb *iocb)
{
	if (short_to)
		shorten(iocb);
	stable += (iocb->aio_lio_opcode == IO_CMD_PWRITE ||
		   iocb->aio_lio_opcode == IO_CMD_PWRITEV) &&
		  iocb->aio_rw_flags != 0;
}

int __wrap_io_submit(io_context_t context, long n, struct iocb *iocbs[])
{
	long i;

	if (stuck) {
		stuck = false;
		sem_post(&entered);
		sem_wait(&leave);
	}
	if (fault_refuses())
		return -refuse_error;
	if (take_max && n > take_max)
		n = take_max;
	for (i = 0; i < n; i++)
		look_at(iocbs[i]);
	return __real_io_submit(context, n, iocbs);
}

static void open_all(void)
{
	take_max = 0;
	fault_open("libaio", BLOCK_CACHE_AUTO);
}

static void test_one_call(void **state)
{
	(void)state;
	open_all();
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_int_equal(calls, 1);
	fault_close();
}

/* Nothing else would come to try again: the engine has to see to it. */
static void test_refused_for_now(void **state)
{
	static const int errors[] = { EAGAIN, ENOMEM, EINTR };
	unsigned int i;
	int wait;

	(void)state;
	for (i = 0; i < 3; i++) {
		for (wait = 0; wait < 3; wait++) {
			open_all();
			refuse_error = errors[i];
			refuse_count = 5;
			refuse_wait = wait;
			check_all_good();
			refuse_count = 5;
			take_max = 3;
			check_all_good();
			fault_close();
		}
	}
}

static void test_refused_for_good(void **state)
{
	(void)state;
	open_all();
	/* The first of the batch alone. */
	refuse_error = EBADF;
	refuse_count = 1;
	assert_int_equal(do_all(BLOCK_READ, -EBADF), 1);
	check_all_good();
	check_lasting_shortage();
	fault_close();
}

static void test_short(void **state)
{

	(void)state;
	open_all();
	short_to = 512;
	check_all_good();
	check_short_pieces();
	fault_close();
}

static void test_flush(void **state)
{
	(void)state;
	open_all();
	check_flush();
	fault_close();
}

static void test_sticky(void **state)
{
	(void)state;
	open_all();
	check_sticky("libaio");
	fault_close();
}

/* A call that does not return (a frozen file system) holds up nobody. */
static void test_stuck(void **state)
{
	struct virtio_iov iov;
	struct block_request a, b;

	(void)state;
	open_all();
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	iov = (struct virtio_iov){ memory, BLOCK };
	a = b = (struct block_request){
		.op = BLOCK_WRITE, .niov = 1, .length = BLOCK, .iov = &iov
	};
	b.offset = 4 * BLOCK;
	stuck = true;
	block_engine_queue(engine, &a);
	block_engine_commit(engine);
	sem_wait(&entered);
	block_engine_queue(engine, &b);
	block_engine_commit(engine);
	assert_null(block_engine_reap(engine, 8));
	assert_false(harness_is_readable(engine, 0));
	/* What is done elsewhere goes on. */
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES, 0,
					 8 * BLOCK, BLOCK),
			 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(engine->inflight, 2);
	sem_post(&leave);
	while (engine->inflight)
		harness_wait(engine);
	assert_int_equal(a.result | b.result, 0);
	memset(content, 0, BLOCK);
	memset(content + 4 * BLOCK, 0, BLOCK);
	memset(content + 8 * BLOCK, 0, BLOCK);
	harness_check("image", content, SIZE);
	sem_destroy(&entered);
	sem_destroy(&leave);
	fault_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_call),
		cmocka_unit_test(test_refused_for_now),
		cmocka_unit_test(test_refused_for_good),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_stuck),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
