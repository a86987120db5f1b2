/* SPDX-License-Identifier: MIT */
/*
 * Log lines: one each, whatever is in them, cut where they are too long, and
 * limited where a guest can cause them.
 */
#include "model_memory.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { TEXT_MAX = 65536 };

static char text[TEXT_MAX];
static int saved = -1, captured = -1;

static void capture(void)
{
	saved = dup(STDERR_FILENO);
	captured = memfd_create("log", MFD_CLOEXEC);
	assert_true(saved >= 0 && captured >= 0);
	assert_int_equal(dup2(captured, STDERR_FILENO), STDERR_FILENO);
}

/* What was written to standard error since capture(). */
static const char *release(void)
{
	ssize_t n;

	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	n = pread(captured, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(saved);
	close(captured);
	return text;
}

static unsigned int lines_of(const char *s)
{
	unsigned int n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static int setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void test_levels(void **state)
{
	(void)state;
	capture();
	log_error("a %d", 1);
	log_warning("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(release(), "virtio-disk: error: a 1\n"
			    "virtio-disk: warning: b\nvirtio-disk: c\n");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	capture();
	log_debug("d");
	assert_string_equal(release(), "virtio-disk: debug: d\n");
	log_set_level(LOG_LEVEL_ERROR);
	capture();
	log_warning("b");
	assert_string_equal(release(), "");
}

static void test_for_the_journal(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_set_level(LOG_LEVEL_DEBUG);
	capture();
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(release(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}

/* What a guest names must not forge a line, nor steer a terminal. */
static void test_control_characters(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		const char *s;
		char name[8];

		snprintf(name, sizeof(name), "x%cy", c);
		capture();
		log_info("%s", name);
		s = release();
		assert_int_equal(lines_of(s), 1);
		assert_int_equal(strlen(s), strlen("virtio-disk: x.y\n"));
		if (c < ' ' || c == 0x7f)
			assert_string_equal(s, "virtio-disk: x?y\n");
		else
			assert_int_equal((unsigned char)s[14], c);
	}
}

static void test_long_lines(void **state)
{
	static char name[5000];

	(void)state;
	for (size_t n = 990; n <= 4999; n += n < 1050 ? 1 : 500) {
		const char *s;

		memset(name, 'x', n);
		name[n] = '\0';
		capture();
		log_info("%s", name);
		log_info("next");
		s = release();
		assert_int_equal(lines_of(s), 2);
		assert_non_null(strstr(s, "x\nvirtio-disk: next\n"));
	}
}

static void test_nobody_listens(void **state)
{
	int keep = dup(STDERR_FILENO);

	(void)state;
	close(STDERR_FILENO);
	log_error("lost");
	assert_int_equal(dup2(keep, STDERR_FILENO), STDERR_FILENO);
	close(keep);
}

static void test_limit(void **state)
{
	struct log_limit limit = { 0 };
	const char *s;

	(void)state;
	capture();
	for (int i = 0; i < 1000; i++)
		log_limited(&limit, LOG_LEVEL_ERROR, "again %d", i);
	s = release();
	assert_int_equal(lines_of(s), LOG_BURST);
	assert_non_null(strstr(s, "again 9\n"));
	assert_int_equal(limit.dropped, 1000 - LOG_BURST);
	/* When the time is over it says how many were left out, once. */
	limit.since_ns -= LOG_INTERVAL_NS + 1;
	capture();
	for (int i = 0; i < 1000; i++)
		log_limited(&limit, LOG_LEVEL_ERROR, "new %d", i);
	s = release();
	assert_int_equal(lines_of(s), LOG_BURST + 1);
	assert_non_null(strstr(s, "warning: 990 similar lines"));
	assert_non_null(strstr(s, "new 0\n"));
	/* Few lines are never held back. */
	limit = (struct log_limit){ 0 };
	capture();
	for (int i = 0; i < 5 * LOG_BURST; i++) {
		if (i % LOG_BURST == 0 && i)
			limit.since_ns -= LOG_INTERVAL_NS + 1;
		log_limited(&limit, LOG_LEVEL_ERROR, "line");
	}
	assert_int_equal(lines_of(release()), 5 * LOG_BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_levels, setup),
		cmocka_unit_test_setup(test_for_the_journal, setup),
		cmocka_unit_test_setup(test_control_characters, setup),
		cmocka_unit_test_setup(test_long_lines, setup),
		cmocka_unit_test_setup(test_nobody_listens, setup),
		cmocka_unit_test_setup(test_limit, setup),
	};

	return cmocka_run_group_tests_name("base_log", tests, NULL, NULL);
}
