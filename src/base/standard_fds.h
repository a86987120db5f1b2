/* SPDX-License-Identifier: MIT */
/*
 * Descriptors 0, 1 and 2: never those of anything else than standard input,
 * output and error.
 */
#ifndef BASE_STANDARD_FDS_H
#define BASE_STANDARD_FDS_H

#include <stdbool.h>

/*
 * Open /dev/null for those that are closed; before anything else is opened.
 * 0 or a negative errno.
 */
int standard_fds_reserve(void);

/* Whether standard error is the same socket as `fd`: a log would go into it. */
bool standard_fds_log_is(int fd);

#endif
