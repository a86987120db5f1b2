/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=io_submit */
/*
 * What the kernel may do to the libaio engine, injected at io_submit: refuse
 * for now, refuse for good, take only some, move less than asked for.
 */
#include <libaio.h>

#include "block_harness.h"

static int refuse_wait;		/* io_submits that are let through first */
static int refuse_count;	/* io_submits that are refused then */
static int refuse_error;
static int refuse_opcode;	/* iocbs of this opcode are refused, -1: none */
static long take_max;		/* iocbs taken at once, 0: all */
static size_t short_to;		/* bytes moved by a transfer, 0: all */
static int calls, stable, syncs;

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
	syncs += iocb->aio_lio_opcode == IO_CMD_FDSYNC;
}

int __wrap_io_submit(io_context_t context, long n, struct iocb *iocbs[])
{
	long i;

	calls++;
	if (refuse_wait > 0) {
		refuse_wait--;
	} else if (refuse_count > 0) {
		refuse_count--;
		return -refuse_error;
	}
	if (take_max && n > take_max)
		n = take_max;
	for (i = 0; i < n; i++) {
		if (iocbs[i]->aio_lio_opcode == refuse_opcode)
			break;
		look_at(iocbs[i]);
	}
	if (i == 0)
		return -EINVAL;
	return __real_io_submit(context, i, iocbs);
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
	refuse_wait = refuse_count = calls = stable = syncs = 0;
	refuse_opcode = -1;
	take_max = 0;
	short_to = 0;
	content = harness_create("image", SIZE);
	memory = aligned_alloc(4096, SIZE);
	memset(memory, 0, SIZE);
	harness_open_image(&image, "image", cache);
	engine = harness_open_engine("libaio", &image, N);
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
	open_all(BLOCK_CACHE_AUTO);
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_int_equal(calls, 1);
	close_all();
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
			open_all(BLOCK_CACHE_AUTO);
			refuse_error = errors[i];
			refuse_count = 5;
			refuse_wait = wait;
			check_all_good();
			refuse_count = 5;
			take_max = 3;
			check_all_good();
			close_all();
		}
	}
}

static void test_refused_for_good(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_AUTO);
	/* The first of the batch alone. */
	refuse_error = EBADF;
	refuse_count = 1;
	assert_int_equal(do_all(BLOCK_READ, -EBADF), 1);
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

	(void)state;
	open_all(BLOCK_CACHE_AUTO);
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

static void test_flush(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_AUTO);
	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	assert_int_equal(stable, 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(syncs, 1);
	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, BLOCK_STABLE, 0,
					  memory, SIZE), 0);
	assert_int_equal(stable, 1);
	/* A kernel without IO_CMD_FDSYNC: the helper does it. */
	refuse_opcode = IO_CMD_FDSYNC;
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	calls = 0;
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(calls, 0);
	close_all();
}

static void test_sticky(void **state)
{
	(void)state;
	open_all(BLOCK_CACHE_AUTO);
	refuse_error = EIO;
	refuse_count = 1;
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), -EIO);
	harness_check_sticky("libaio", &image, engine);
	close_all();
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
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
