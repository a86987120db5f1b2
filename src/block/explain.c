/* SPDX-License-Identifier: MIT */
/*
 * The sentence that block_image_open() leaves when it fails: first the file, so
 * that a log is searched easily, then what is wrong, then what to do. A very
 * long file name is cut at its beginning, so that the reason is always there.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "explain.h"

/* Of BLOCK_ERROR_MAX, what the file's name may take. */
#define EXPLAIN_NAME_MAX 300u

int block_explain(char error[BLOCK_ERROR_MAX], int rc, const char *file,
		  const char *format, ...)
{
	size_t length = strlen(file);
	va_list args;
	int n;

	assert(rc < 0);
	if (length > EXPLAIN_NAME_MAX)
		n = snprintf(error, BLOCK_ERROR_MAX,
			     "...%s: ", file + length - EXPLAIN_NAME_MAX);
	else
		n = snprintf(error, BLOCK_ERROR_MAX, "%s: ", file);
	va_start(args, format);
	vsnprintf(error + n, BLOCK_ERROR_MAX - (size_t)n, format, args);
	va_end(args);
	return rc;
}
