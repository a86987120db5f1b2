/* SPDX-License-Identifier: MIT */
/*
 * When the next worker of a guest begins, by when those before it have died:
 * with times that are made up.
 */
#include "lib/test.h"

#include <string.h>

#include "base/clock.h"
#include "monitor/worker_lives.h"

static struct worker_lives lives;
static uint64_t now;

enum { BREAK = -1, END = -2 };

/*
 * One dies after so many milliseconds of its life: the pause, or one of them.
 */
static int64_t dies_after(uint64_t ms)
{
	enum worker_lives_next next;
	uint64_t pause;

	now += ms * NS_PER_MS;
	next = worker_lives_died(&lives, now, &pause);
	if (next == WORKER_LIVES_BREAK)
		assert_int_equal(pause, 0);
	if (next != WORKER_LIVES_GO_ON)
		return next == WORKER_LIVES_BREAK ? BREAK : END;
	now += pause;
	assert_int_equal(pause % NS_PER_SECOND, 0);
	return (int64_t)(pause / NS_PER_SECOND);
}

static int begin(void **state)
{
	(void)state;
	memset(&lives, 0, sizeof(lives));
	/* The machine may have just been started. */
	now = 1;
	return 0;
}

static void test_pauses(void **state)
{
	static const int64_t pauses[] = { 0,  0,     0,  0,  0,     1, 2, 4,  8,
					  10, 10,    10, 10, BREAK, 0, 0, 0,  0,
					  0,  BREAK, 0,  0,  0,     0, 0, END };

	(void)state;
	for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++)
		assert_int_equal(dies_after(50), pauses[i]);
}

static void test_few_in_ten_seconds(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(dies_after(2001), 0);
	/* Six of them within ten seconds. */
	assert_int_equal(dies_after(1900), 1);
}

static void test_bursts_that_are_far_apart(void **state)
{
	(void)state;
	for (unsigned int burst = 0; burst < 100; burst++) {
		for (unsigned int i = 0; i < 4; i++)
			assert_int_equal(dies_after(1), 0);
		assert_int_equal(dies_after(10001), 0);
	}
}

static void make_slow(unsigned int pauses)
{
	for (unsigned int i = 0; i < WORKER_LIVES_AT_ONCE; i++)
		assert_int_equal(dies_after(1), 0);
	for (unsigned int i = 0; i < pauses; i++)
		assert_true(dies_after(1) > 0);
}

/* They are slow until one has lived for long, and all is forgotten then. */
static void test_one_that_lasts(void **state)
{
	(void)state;
	make_slow(WORKER_LIVES_SLOW);
	assert_int_equal(dies_after(10000), 0);
	for (unsigned int i = 1; i < WORKER_LIVES_AT_ONCE; i++)
		assert_int_equal(dies_after(1), 0);
	assert_int_equal(dies_after(1), 1);
}

static void test_ones_that_nearly_last(void **state)
{
	(void)state;
	make_slow(1);
	for (unsigned int i = 1; i < WORKER_LIVES_SLOW; i++)
		assert_true(dies_after(9999) > 1);
	assert_int_equal(dies_after(9999), BREAK);
}

/* Without a disk that they have died of. */
static void test_one_that_lasts_without_a_disk(void **state)
{
	(void)state;
	make_slow(WORKER_LIVES_SLOW);
	assert_int_equal(dies_after(1), BREAK);
	assert_int_equal(dies_after(10000), 0);
	assert_int_equal(lives.breaks, 0);
	for (unsigned int i = 1; i < WORKER_LIVES_AT_ONCE; i++)
		assert_int_equal(dies_after(1), 0);
	assert_int_equal(dies_after(1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pauses, begin),
		cmocka_unit_test_setup(test_few_in_ten_seconds, begin),
		cmocka_unit_test_setup(test_bursts_that_are_far_apart, begin),
		cmocka_unit_test_setup(test_one_that_lasts, begin),
		cmocka_unit_test_setup(test_ones_that_nearly_last, begin),
		cmocka_unit_test_setup(test_one_that_lasts_without_a_disk,
				       begin),
	};

	return cmocka_run_group_tests_name("monitor: worker lives", tests, NULL,
					   NULL);
}
