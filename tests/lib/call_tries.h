/* SPDX-License-Identifier: MIT */
/*
 * System calls, tried in a child that has given up some: by what it was
 * answered, or what it has died of.
 */
#ifndef TESTS_LIB_CALL_TRIES_H
#define TESTS_LIB_CALL_TRIES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/call_filter.h"

enum {
	TRIES_WAIT_S = 60,
	/* What a child says instead of an errno. */
	TRIES_BROKEN = 200,  /* it could not give up what it was to */
	TRIES_WRONG = 201,   /* it saw what must not be */
	TRIES_KILLED = 1000, /* of it: by the filter */
};

/* The errno of a system call's result, or 0. */
int errno_of(long result);

/*
 * Have a child give up what `give_up` does (0: done), and then call: what that
 * says, an errno below TRIES_BROKEN or one of the above, or TRIES_KILLED.
 */
int tries_in_child(int (*give_up)(void), int (*call)(void));

/* What the child says, which ends. */
int tries_answer(pid_t pid);

/*
 * The number that is called, with arguments that nothing takes: what is not
 * refused says another thing.
 */
extern unsigned int tries_number;
int tries_call_number(void);

/* ---- every number ---- */

/* Whose list; set before the two calls below. */
extern struct tries_list {
	const struct call_filter_list *list;
	unsigned int who;
	unsigned int numbers; /* that are tried */
} tries;

/*
 * All numbers have what the list says of them, in children that `in` makes; and
 * from 1 to `allowed_max` are allowed.
 */
void tries_check_all(int (*in)(int (*call)(void)), unsigned int allowed_max);

#endif
