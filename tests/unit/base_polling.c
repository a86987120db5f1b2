/* SPDX-License-Identifier: MIT */
/*
 * How long to look for work before falling asleep: it grows where that pays and
 * falls where it does not, and what is spent in vain is bounded, whatever
 * comes. There is no clock here: time is what the test says.
 */
#include "lib/test.h"

#include <string.h>

#include "base/clock.h"
#include "base/polling.h"

enum { MAX_US = 100 };

/* Work that comes, of a loop that looks as long as it is told. */
struct world {
	struct polling polling;
	uint64_t now_ns;
	uint64_t vain_ns; /* spent in all */
	unsigned int found, slept;
};

static void begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->polling.max_ns = MAX_US * NS_PER_US;
}

/* It comes `gap_us` after the last one, or when nobody looks any more. */
static void work(struct world *w, uint64_t gap_us, bool needs_our_cpu)
{
	uint64_t gap_ns = gap_us * NS_PER_US, looked_ns = w->polling.ns;

	if (gap_ns < looked_ns && !needs_our_cpu) {
		w->now_ns += gap_ns;
		polling_paid(&w->polling, gap_ns);
		w->found++;
		return;
	}
	w->now_ns += looked_ns;
	w->vain_ns += looked_ns;
	if (looked_ns)
		polling_in_vain(&w->polling, looked_ns, w->now_ns);
	if (!needs_our_cpu)
		gap_ns -= looked_ns;
	w->now_ns += gap_ns;
	w->slept++;
	polling_slept(&w->polling, gap_ns, w->now_ns);
	assert_true(w->polling.ns <= w->polling.max_ns);
}

/* ---- it adapts ---- */

static void test_work_that_comes_soon_is_found(void **state)
{
	struct world w;

	(void)state;
	for (unsigned int gap = 1; gap < MAX_US; gap *= 2) {
		begin(&w);
		for (unsigned int i = 0; i < 100; i++)
			work(&w, gap, false);
		/* At 4 us, which doubles: soon it is long enough. */
		assert_in_range(w.slept, 1, 6);
		assert_int_equal(w.found, 100 - w.slept);
	}
}

static void test_idle_falls_to_nothing(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	for (unsigned int i = 0; i < 20; i++)
		work(&w, 60, false);
	assert_true(w.polling.ns > 60 * NS_PER_US);
	for (unsigned int i = 0; i < 10; i++)
		work(&w, 5000, false);
	assert_int_equal(w.polling.ns, 0);
	assert_int_equal(w.polling.holdoff_ns, 0);
}

/* What comes later than that now and then makes it no longer for good. */
static void test_no_longer_than_pays(void **state)
{
	struct world w;
	uint64_t sum_ns = 0;

	(void)state;
	begin(&w);
	for (unsigned int i = 0; i < 2000; i++) {
		/* It needs our CPU: no time is long enough for it. */
		work(&w, 10, i % 20 == 0);
		sum_ns += w.polling.ns;
	}
	assert_in_range(sum_ns / 2000, 15 * NS_PER_US, 50 * NS_PER_US);
	assert_true(w.found >= 1850);
}

/* Two lengths by turns: long enough for both. */
static void test_the_longer_of_two(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	for (unsigned int i = 0; i < 1000; i++)
		work(&w, i % 4 ? 5 : 45, false);
	assert_in_range(w.slept, 1, 6);
}

static void test_never_where_it_may_not(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.polling.max_ns = 0;
	for (unsigned int i = 0; i < 100; i++)
		work(&w, 1, false);
	assert_int_equal(w.slept, 100);
	assert_int_equal(w.vain_ns, 0);
}

/* ---- what it may cost ---- */

/* Ten seconds of work that comes only when nobody looks: hardly any is lost. */
static void lose_nothing(struct world *w, unsigned int found_of)
{
	begin(w);
	for (unsigned int i = 1; w->now_ns < 10 * NS_PER_SECOND; i++)
		work(w, 10, !found_of || i % found_of);
	assert_in_range(w->vain_ns, 1, w->now_ns / 200);
	assert_true(w->polling.pause_ns >= NS_PER_SECOND / 2);
}

static void test_given_up_where_it_never_pays(void **state)
{
	struct world w;

	(void)state;
	lose_nothing(&w, 0);
	assert_int_equal(w.found, 0);
}

/* Nor do a few that are found make it worth while. */
static void test_given_up_where_it_hardly_pays(void **state)
{
	struct world w;

	(void)state;
	lose_nothing(&w, 15);
	assert_true(w.found > 0);
}

/* A row of lone messages is no reason to give it up for long. */
static void test_given_up_shortly_at_first(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	while (!w.polling.pause_ns)
		work(&w, 10, true);
	assert_true(w.vain_ns >= 16 * MAX_US * NS_PER_US);
	assert_int_equal(w.polling.pause_ns, NS_PER_MS);
}

/* It is tried again, and where it pays by then no pause is left. */
static void test_taken_up_again(void **state)
{
	struct world w;
	unsigned int slept;

	(void)state;
	begin(&w);
	while (w.polling.pause_ns < NS_PER_SECOND / 4)
		work(&w, 10, true);
	while (w.now_ns < w.polling.holdoff_ns)
		work(&w, 10, false);
	slept = w.slept;
	for (unsigned int i = 0; i < 500; i++)
		work(&w, 10, false);
	assert_in_range(w.slept - slept, 1, 4);
	assert_int_equal(w.polling.pause_ns, 0);
	assert_int_equal(w.polling.balance_ns, 0);
}

/* Whoever had the processor meanwhile: it was not all spent looking. */
static void test_long_rounds_count_once(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	polling_slept(&w.polling, 1000, 1000);
	polling_in_vain(&w.polling, NS_PER_SECOND, NS_PER_SECOND);
	assert_int_equal(w.polling.balance_ns, -MAX_US * (int64_t)NS_PER_US);
	assert_int_equal(w.polling.pause_ns, 0);
	/* Nor waited for. */
	polling_paid(&w.polling, NS_PER_SECOND);
	assert_int_equal(w.polling.ns, w.polling.max_ns);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work_that_comes_soon_is_found),
		cmocka_unit_test(test_idle_falls_to_nothing),
		cmocka_unit_test(test_no_longer_than_pays),
		cmocka_unit_test(test_the_longer_of_two),
		cmocka_unit_test(test_never_where_it_may_not),
		cmocka_unit_test(test_given_up_where_it_never_pays),
		cmocka_unit_test(test_given_up_where_it_hardly_pays),
		cmocka_unit_test(test_given_up_shortly_at_first),
		cmocka_unit_test(test_taken_up_again),
		cmocka_unit_test(test_long_rounds_count_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
