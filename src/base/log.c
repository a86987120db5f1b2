/* SPDX-License-Identifier: MIT */
/*
 * Log lines on standard error; see base/log.h.
 *
 * A line is built in one buffer and written with one call, so that lines of
 * several threads or processes do not mix. A log that cannot be written is no
 * reason to fail.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = 1024 };

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= threshold;
}

/* What stands before the text: for journald a number, for people a word. */
static const char *prefix(enum log_level level)
{
	static const char *const for_journal[] = { "<3>", "<4>", "<6>", "<7>" };
	static const char *const for_people[] = {
		"virtio-disk: error: ", "virtio-disk: warning: ",
		"virtio-disk: ", "virtio-disk: debug: ",
	};

	return getenv("JOURNAL_STREAM") ? for_journal[level] :
					  for_people[level];
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	size_t used;
	int n;

	if (!log_enabled(level))
		return;
	n = snprintf(line, sizeof(line), "%s", prefix(level));
	used = (size_t)n;
	va_start(args, format);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	used = strnlen(line, sizeof(line) - 2);
	/* One line each: what a guest named must not forge another one. */
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

bool log_limit_allows(struct log_limit *limit)
{
	uint64_t now = clock_ns();

	if (limit->since_ns == 0 || now - limit->since_ns > LOG_INTERVAL_NS) {
		if (limit->dropped)
			log_warning("%u similar lines were left out",
				    limit->dropped);
		limit->since_ns = now;
		limit->lines = 0;
		limit->dropped = 0;
	}
	if (limit->lines == LOG_BURST) {
		limit->dropped++;
		return false;
	}
	limit->lines++;
	return true;
}
