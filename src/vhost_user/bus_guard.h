/* SPDX-License-Identifier: MIT */
/*
 * Surviving a peer that truncates a file which we have mapped.
 *
 * Touching a page behind the end of its file is SIGBUS. Where the address lies
 * in a guarded range, the handler puts a private page of zeroes in its place,
 * remembers the range as torn and rings; any other address ends the process as
 * ever. The kernel itself, reading or writing for us, just answers EFAULT.
 */
#ifndef VHOST_USER_BUS_GUARD_H
#define VHOST_USER_BUS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Install the handler; once per process. 0 or a negative errno. */
int bus_guard_install(void);

/*
 * Guard [base, base + len), whose pages are `page` bytes; `wake_fd` is an
 * eventfd that is rung when a page is replaced. Returns a number for the two
 * functions below, or -ENOSPC.
 */
int bus_guard_add(void *base, size_t len, size_t page, int wake_fd);

/* Before the range is unmapped, and when nobody touches it any more. */
void bus_guard_remove(int guard);

/* Whether a page of the range was replaced. */
bool bus_guard_torn(int guard);

#endif
