/* SPDX-License-Identifier: MIT */
/*
 * What the io_uring engine's ring refuses: everything but reads and writes of
 * its one file. A ring does what a filter of system calls does not see, so that
 * a process that was taken over would open files and connect with it. The
 * engine's source is part of this program, to get at its ring.
 */
#include "lib/test.h"

#include "config.h"

#include "lib/block_harness.h"

#include <sys/socket.h>

#ifdef HAVE_LIBURING
#include "block/engine_uring.c"

static struct block_image image;
static struct block_engine *engine;
static char buffer[512];

/* Bare, without what is put before it in a disk. */
static void open_it(bool write_waits)
{
	int r;

	free(harness_create("image", 4096));
	harness_open_image(&image, "image", BLOCK_CACHE_WRITEBACK);
	image.write_waits = write_waits;
	r = open_engine(&engine, &image, 8);
	if (r == -ENOSYS || r == -EPERM)
		skip(); /* not to be had on this machine */
	assert_int_equal(r, 0);
}

static void close_it(void)
{
	close_engine(engine);
	whole_close(&image);
}

/* What the kernel answers an entry, as this engine's own would be answered. */
static int answer(const struct io_uring_sqe *entry)
{
	struct io_uring *ring = &to_uring(engine)->ring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int result;

	assert_non_null(sqe);
	*sqe = *entry;
	assert_int_equal(io_uring_submit(ring), 1);
	assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

static bool is_allowed(unsigned int opcode)
{
	return opcode == IORING_OP_READ || opcode == IORING_OP_READV ||
	       opcode == IORING_OP_WRITE || opcode == IORING_OP_WRITEV;
}

static void test_operations(void **state)
{
	struct io_uring_sqe sqe = { .fd = URING_FILE };

	(void)state;
	open_it(false);
	for (unsigned int op = 0; op < IORING_OP_LAST; op++) {
		sqe.opcode = (uint8_t)op;
		sqe.flags = IOSQE_FIXED_FILE;
		if (!is_allowed(op) && answer(&sqe) != -EACCES)
			fail_msg("operation %u is not refused", op);
		sqe.flags = 0;
		if (answer(&sqe) != -EACCES)
			fail_msg("operation %u on any file is not refused", op);
	}
	close_it();
}

/* The same with what they need to succeed where nothing refuses them. */
static void test_open_connect_send(void **state)
{
	struct sockaddr addr = { .sa_family = AF_UNIX };
	struct io_uring_sqe sqe = { 0 };
	int pair[2];

	(void)state;
	open_it(false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	io_uring_prep_openat(&sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	assert_int_equal(answer(&sqe), -EACCES);
	io_uring_prep_connect(&sqe, pair[0], &addr, sizeof(addr));
	assert_int_equal(answer(&sqe), -EACCES);
	io_uring_prep_send(&sqe, pair[0], buffer, 1, 0);
	assert_int_equal(answer(&sqe), -EACCES);
	io_uring_prep_read(&sqe, image.fd, buffer, sizeof(buffer), 0);
	assert_int_equal(answer(&sqe), -EACCES);
	/* Other flags that the engine does not use. */
	sqe.fd = URING_FILE;
	sqe.flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
	assert_int_equal(answer(&sqe), -EACCES);
	sqe.flags = IOSQE_FIXED_FILE;
	assert_int_equal(answer(&sqe), sizeof(buffer));
	sqe.fd = URING_FILE + 1;
	assert_int_equal(answer(&sqe), -EBADF);
	close(pair[0]);
	close(pair[1]);
	close_it();
}

/* Nor is there another file to be had by registering it. */
static void test_registering(void **state)
{
	struct uring *u;
	int fds[1] = { -1 };
	struct io_uring_files_update update = { .fds = (uintptr_t)fds };

	(void)state;
	open_it(false);
	u = to_uring(engine);
	for (unsigned int op = 0; op < IORING_REGISTER_LAST; op++)
		if (op != IORING_UNREGISTER_FILES &&
		    register_file(u, op, &update, 1) != -EACCES)
			fail_msg("registration %u is not refused", op);
	close_it();
}

/* Where a write waits for its file, it is the kernel's threads that wait. */
static void test_writes_that_wait(void **state)
{
	struct io_uring_sqe sqe = { 0 };
	struct virtio_iov iov = { .base = buffer, .len = sizeof(buffer) };
	struct block_request req = { .iov = &iov,
				     .niov = 1,
				     .length = sizeof(buffer) };

	(void)state;
	open_it(true);
	req.op = BLOCK_READ;
	write_entry(to_uring(engine), &sqe, &req);
	assert_int_equal(sqe.flags, IOSQE_FIXED_FILE);
	assert_int_equal(answer(&sqe), sizeof(buffer));
	req.op = BLOCK_WRITE;
	write_entry(to_uring(engine), &sqe, &req);
	assert_int_equal(sqe.flags, IOSQE_FIXED_FILE | IOSQE_ASYNC);
	assert_int_equal(answer(&sqe), sizeof(buffer));
	sqe.flags = IOSQE_ASYNC;
	assert_int_equal(answer(&sqe), -EACCES);
	sqe.flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK;
	assert_int_equal(answer(&sqe), -EACCES);
	close_it();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_writes_that_wait),
		cmocka_unit_test(test_open_connect_send),
		cmocka_unit_test(test_registering),
	};

	alarm(HARNESS_TIMEOUT);
	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
#else
static void test_no_uring(void **state)
{
	(void)state;
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_uring) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
