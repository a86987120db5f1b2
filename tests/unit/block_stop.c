/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=pwritev2,--wrap=pwritev64v2,--wrap=fallocate,--wrap=fallocate64 */
/*
 * Work on ranges that nobody needs any more: it ends between two parts,
 * whatever the store makes of it. The system calls are doubles; nothing is
 * moved.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "block/perform.h"

#define MIB (UINT64_C(1) << 20)

static int refusal;          /* errno of fallocate; 0: it works */
static unsigned int stop_at; /* the call that makes the request stop */
static unsigned int calls;
static uint64_t bytes; /* zeroed in all */
static uint64_t next;  /* where the next part has to begin */
static bool stop;

static void called(uint64_t offset, uint64_t length)
{
	assert_int_equal(offset, next);
	next += length;
	bytes += length;
	if (++calls == stop_at)
		__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
}

#define DOUBLES(fallocate, pwritev)                                           \
	int __wrap_##fallocate(int, int, off_t, off_t);                       \
	int __wrap_##fallocate(int fd, int mode, off_t offset, off_t length)  \
	{                                                                     \
		(void)fd;                                                     \
		(void)mode;                                                   \
		if (!refusal)                                                 \
			called((uint64_t)offset, (uint64_t)length);           \
		errno = refusal;                                              \
		return refusal ? -1 : 0;                                      \
	}                                                                     \
	ssize_t __wrap_##pwritev(int, const struct iovec *, int, off_t, int); \
	ssize_t __wrap_##pwritev(int fd, const struct iovec *iov, int n,      \
				 off_t offset, int flags)                     \
	{                                                                     \
		size_t sum = 0;                                               \
                                                                              \
		(void)fd;                                                     \
		(void)flags;                                                  \
		for (int i = 0; i < n; i++)                                   \
			sum += iov[i].iov_len;                                \
		called((uint64_t)offset, sum);                                \
		return (ssize_t)sum;                                          \
	}

DOUBLES(fallocate, pwritev2)
DOUBLES(fallocate64, pwritev64v2)

static int perform(enum block_op op, uint64_t length, unsigned int at)
{
	static struct block_image image = { .fd = -1, .block_size = 512 };
	struct block_request req = {
		.op = (uint8_t)op,
		.flags = BLOCK_MAY_UNMAP,
		.offset = 512,
		.length = length,
		.stop = &stop,
	};

	calls = 0;
	bytes = 0;
	next = req.offset;
	stop_at = at;
	stop = at == 0;
	block_perform(&image, &req);
	return req.result;
}

enum { NEVER = 1 << 30 };

static void test_stops_between_parts(void **state)
{
	static const int refusals[] = { 0, EOPNOTSUPP };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		refusal = refusals[i];
		assert_int_equal(perform(BLOCK_WRITE_ZEROES, 300 * MIB, 1),
				 -ECANCELED);
		assert_int_equal(calls, 1);
		assert_int_equal(perform(BLOCK_WRITE_ZEROES, 300 * MIB, 3),
				 -ECANCELED);
		assert_int_equal(calls, 3);
		assert_true(bytes <= 192 * MIB);
		/* It came too late. */
		assert_int_equal(perform(BLOCK_WRITE_ZEROES, 512, 1), 0);
	}
}

static void test_all_is_done(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		refusal = i ? EOPNOTSUPP : 0;
		assert_int_equal(
			perform(BLOCK_WRITE_ZEROES, 300 * MIB + 512, NEVER), 0);
		assert_int_equal(bytes, 300 * MIB + 512);
	}
	refusal = 0;
	perform(BLOCK_WRITE_ZEROES, 300 * MIB, NEVER);
	assert_int_equal(calls, 5);
}

/* Those that wait their turn are not begun. */
static void test_not_begun(void **state)
{
	static const enum block_op ops[] = {
		BLOCK_DISCARD,
		BLOCK_WRITE_ZEROES,
		BLOCK_SECURE_ERASE,
	};

	(void)state;
	refusal = 0;
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(perform(ops[i], MIB, 0), -ECANCELED);
		assert_int_equal(calls, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stops_between_parts),
		cmocka_unit_test(test_all_is_done),
		cmocka_unit_test(test_not_begun),
	};

	return cmocka_run_group_tests_name("block_stop", tests, NULL, NULL);
}
