/* SPDX-License-Identifier: MIT */
/*
 * What Xen's libraries say goes into the log: by its level, in one line, and no
 * oftener than what a guest causes elsewhere.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "xen/logger.h"

static char text[65536];

__attribute__((format(printf, 4, 5))) static void say(xentoollog_level level,
						      int error,
						      const char *context,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	xen_logger()->vmessage(xen_logger(), level, error, context, format,
			       args);
	va_end(args);
}

static void test_messages(void **state)
{
	int keep = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
	unsigned int lines = 0;
	ssize_t n;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	dup2(log, STDERR_FILENO);
	say(XTL_ERROR, EINVAL, "xc", "map of %d\nfailed", 7);
	say(XTL_WARN, -1, NULL, "b");
	say(XTL_INFO, -1, "xc", "not for everybody");
	for (int i = 0; i < 1000; i++)
		say(XTL_ERROR, -1, "xc", "again");
	dup2(keep, STDERR_FILENO);
	n = pread(log, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	for (const char *s = text; *s; s++)
		lines += *s == '\n';
	assert_int_equal(lines, LOG_BURST);
	assert_non_null(strstr(text, "error: Xen's libraries: xc: map of 7?"
				     "failed: Invalid argument\n"));
	assert_non_null(strstr(text, "warning: Xen's libraries: b\n"));
	assert_null(strstr(text, "not for"));
	close(keep);
	close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests_name("xen_logger", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
