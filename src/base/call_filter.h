/* SPDX-License-Identifier: MIT */
/*
 * A filter of system calls (seccomp), made of a list of those that are allowed.
 *
 * Everything else is refused with EPERM and a line in the kernel's log, for it
 * may be a library that has learned something new; that must not take a guest's
 * disks away. What nothing in any of our processes has any business with ends
 * the process.
 */
#ifndef BASE_CALL_FILTER_H
#define BASE_CALL_FILTER_H

#include <stddef.h>
#include <stdint.h>

/* Stands for our own process among the values. */
#define CALL_FILTER_OWN_PID UINT32_MAX

/* An argument's low half, masked, has to be one of the values. */
struct call_filter_check {
	unsigned int argument;
	uint32_t mask;
	const uint32_t *values;
	unsigned int nvalues;
};

struct call_filter_call {
	uint16_t nr;
	uint16_t who;                          /* bits: whose call it is */
	const struct call_filter_check *check; /* or NULL: any arguments */
};

/* The calls, the most frequent ones first; none twice for the same `who`. */
struct call_filter_list {
	const struct call_filter_call *calls;
	size_t ncalls;
};

enum call_filter_verdict {
	CALL_FILTER_DENIED,  /* EPERM */
	CALL_FILTER_ALLOWED, /* some of it only with some arguments */
	CALL_FILTER_KILLS,
};

/*
 * Filter the calls of all threads, and of those to come, for ever: of the list,
 * those with a bit of `who` are allowed. Who calls this has no_new_privs. 0, or
 * a negative errno: -EOPNOTSUPP on a machine that it was not made for.
 */
int call_filter_install(const struct call_filter_list *list, unsigned int who);

/* What becomes of the system call of that number. */
enum call_filter_verdict
call_filter_verdict(const struct call_filter_list *list, unsigned int who,
		    unsigned int nr);

/* How many are allowed. */
unsigned int call_filter_size(const struct call_filter_list *list,
			      unsigned int who);

/* What ends the process, whatever the list is (call_filter_killing.c). */
extern const uint16_t call_filter_killing[];
extern const size_t call_filter_nkilling;

#endif
