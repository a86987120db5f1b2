/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are needed: their functions by their own
 * names, and what is said of those that are not there. libm is everywhere, and
 * no test needs it otherwise.
 */
#include "lib/model_memory.h"

#include <math.h>
#include <unistd.h>

#include "base/library.h"
#include "base/log.h"

LIBRARY_CALL(double, hypot, (double a, double b), (a, b))
LIBRARY_CALL(double, cbrt, (double a), (a))

static const struct library_function functions[] = {
	LIBRARY_FUNCTION(hypot),
	LIBRARY_FUNCTION(cbrt),
};

/* What is said while `soname` is loaded. */
static const char *load(const char *soname, const struct library_function *f,
			size_t n, int result)
{
	static char text[1024];
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	ssize_t bytes;

	assert_int_equal(dup2(log, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(library_load(soname, f, n), result);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	bytes = pread(log, text, sizeof(text) - 1, 0);
	assert_true(bytes >= 0);
	text[bytes] = '\0';
	close(saved);
	close(log);
	return text;
}

static void test_calls(void **state)
{
	volatile double three = 3, eight = 8;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_string_equal(load("libm.so.6", functions, 2, 0), "");
		assert_true(hypot(three, 4) == 5.0);
		assert_true(cbrt(eight) == 2.0);
	}
}

static void test_not_installed(void **state)
{
	(void)state;
	assert_non_null(strstr(load("libnone.so.7", functions, 2, -ENOENT),
			       "libnone.so.7"));
}

static void test_too_old(void **state)
{
	static void *none;
	const struct library_function f[] = {
		LIBRARY_FUNCTION(cbrt),
		{ "no_such_function", &none },
	};
	const char *said = load("libm.so.6", f, 2, -ENOSYS);

	(void)state;
	assert_non_null(strstr(said, "libm.so.6"));
	assert_non_null(strstr(said, "no_such_function"));
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_not_installed),
		cmocka_unit_test(test_too_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
