/* SPDX-License-Identifier: MIT */
/*
 * Part of every unit test: FILTER of the environment is a pattern (* and ?) of
 * the test functions that are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static __attribute__((constructor)) void set_filter(void)
{
	const char *filter = getenv("FILTER");

	if (filter && *filter)
		cmocka_set_test_filter(filter);
}
