/* SPDX-License-Identifier: MIT */
/*
 * The list of system calls; what is made of it is in program/sandbox.c.
 */
#ifndef PROGRAM_SANDBOX_LIST_H
#define PROGRAM_SANDBOX_LIST_H

#include <stddef.h>
#include <stdint.h>

/* What is served: each needs what the other does not. */
enum sandbox_for {
	SANDBOX_XEN = 1,
	SANDBOX_VHOST = 2,
};

/* Stands for our own process among the values. */
#define SANDBOX_OWN_PID UINT32_MAX

/* An argument's low half, masked, has to be one of the values. */
struct sandbox_check {
	unsigned int argument;
	uint32_t mask;
	const uint32_t *values;
	unsigned int nvalues;
};

struct sandbox_call {
	uint16_t nr;
	uint16_t what;                     /* of enum sandbox_for */
	const struct sandbox_check *check; /* or NULL: any arguments */
};

/* Allowed, the most frequent ones first. */
extern const struct sandbox_call sandbox_allowed[];
extern const size_t sandbox_nallowed;

/* What ends the process. */
extern const uint16_t sandbox_killing[];
extern const size_t sandbox_nkilling;

#endif
