/* SPDX-License-Identifier: MIT */
/*
 * What the process may ask of the kernel: a filter of system calls (seccomp).
 *
 * One process opens images, hears xenstore and answers the guest, so that the
 * list is as long as all of that. Everything else is refused with EPERM and a
 * line in the kernel's log, for it may be a library that has learned something
 * new; that must not take a guest's disks away. What nothing in this process
 * has any business with ends it.
 */
#ifndef PROGRAM_SANDBOX_H
#define PROGRAM_SANDBOX_H

#include "program/sandbox_list.h"

enum sandbox_verdict {
	SANDBOX_DENIED,  /* EPERM */
	SANDBOX_ALLOWED, /* some of it only with some arguments */
	SANDBOX_KILLS,
};

/*
 * Filter the calls of all threads, and of those to come. To be called once,
 * after hardening_begin(). Where the kernel or the machine has no such filter,
 * the log says so, and there is none.
 */
void sandbox_enter(enum sandbox_for what);

/* The same, in a program of any kind: 0, or a negative errno. */
int sandbox_install(enum sandbox_for what);

/* What becomes of the system call of that number. */
enum sandbox_verdict sandbox_verdict(enum sandbox_for what, unsigned int nr);

/* How many it allows. */
unsigned int sandbox_size(enum sandbox_for what);

#endif
