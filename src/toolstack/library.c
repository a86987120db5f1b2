/* SPDX-License-Identifier: MIT */
/*
 * The library of xenstore; see toolstack/library.h and base/library.h.
 *
 * Failure: one that is not there, or too old, is named in the log.
 */
#include "toolstack/library.h"

#include <xenstore.h>

#include "base/library.h"

LIBRARY_CALL(struct xs_handle *, xs_open, (unsigned long flags), (flags))
LIBRARY_CALL(void, xs_close, (struct xs_handle * xs), (xs))
LIBRARY_CALL(int, xs_fileno, (struct xs_handle * h), (h))
LIBRARY_CALL(char **, xs_check_watch, (struct xs_handle * h), (h))
LIBRARY_CALL(bool, xs_watch,
	     (struct xs_handle * xs, const char *path, const char *token),
	     (xs, path, token))
LIBRARY_CALL(bool, xs_is_domain_introduced,
	     (struct xs_handle * xs, unsigned int domain), (xs, domain))
LIBRARY_CALL(xs_transaction_t, xs_transaction_start, (struct xs_handle * h),
	     (h))
LIBRARY_CALL(bool, xs_transaction_end,
	     (struct xs_handle * xs, xs_transaction_t t, bool abort),
	     (xs, t, abort))
LIBRARY_CALL(char **, xs_directory,
	     (struct xs_handle * h, xs_transaction_t t, const char *path,
	      unsigned int *n),
	     (h, t, path, n))
LIBRARY_CALL(void *, xs_read,
	     (struct xs_handle * h, xs_transaction_t t, const char *path,
	      unsigned int *length),
	     (h, t, path, length))
LIBRARY_CALL(bool, xs_write,
	     (struct xs_handle * xs, xs_transaction_t t, const char *path,
	      const void *data, unsigned int length),
	     (xs, t, path, data, length))
LIBRARY_CALL(bool, xs_rm,
	     (struct xs_handle * xs, xs_transaction_t t, const char *path),
	     (xs, t, path))

static const struct library_function functions[] = {
	LIBRARY_FUNCTION(xs_open),
	LIBRARY_FUNCTION(xs_close),
	LIBRARY_FUNCTION(xs_fileno),
	LIBRARY_FUNCTION(xs_check_watch),
	LIBRARY_FUNCTION(xs_watch),
	LIBRARY_FUNCTION(xs_is_domain_introduced),
	LIBRARY_FUNCTION(xs_transaction_start),
	LIBRARY_FUNCTION(xs_transaction_end),
	LIBRARY_FUNCTION(xs_directory),
	LIBRARY_FUNCTION(xs_read),
	LIBRARY_FUNCTION(xs_write),
	LIBRARY_FUNCTION(xs_rm),
};

int toolstack_library_load(void)
{
	return library_load("libxenstore.so.4", functions,
			    sizeof(functions) / sizeof(functions[0]));
}
