/* SPDX-License-Identifier: MIT */
/*
 * The log of Xen's libraries; see xen/logger.h.
 *
 * By themselves they write to standard error, and wait where nobody reads it,
 * as often as a guest makes a call of theirs fail. Our log does neither.
 */
#include "xen/logger.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { TEXT_MAX = 256 };

static enum log_level level_of(xentoollog_level level)
{
	if (level >= XTL_ERROR)
		return LOG_LEVEL_ERROR;
	return level == XTL_WARN ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG;
}

__attribute__((format(printf, 5, 0))) static void
vmessage(struct xentoollog_logger *logger, xentoollog_level level, int error,
	 const char *context, const char *format, va_list args)
{
	static struct log_limit limit;
	char text[TEXT_MAX];

	(void)logger;
	if (!log_enabled(level_of(level)))
		return;
	vsnprintf(text, sizeof(text), format, args);
	log_limited(&limit, level_of(level), "Xen's libraries: %s%s%s%s%s",
		    context ? context : "", context ? ": " : "", text,
		    error > 0 ? ": " : "", error > 0 ? strerror(error) : "");
}

static void destroy(struct xentoollog_logger *logger)
{
	(void)logger;
}

xentoollog_logger *xen_logger(void)
{
	static xentoollog_logger logger = {
		.vmessage = vmessage,
		.destroy = destroy,
	};

	return &logger;
}
