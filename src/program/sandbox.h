/* SPDX-License-Identifier: MIT */
/*
 * What the process may ask of the kernel: a filter of system calls (seccomp).
 *
 * Where one process opens images, hears xenstore and answers the guest, the
 * list is as long as all of that; a monitor has less, and its workers have a
 * list of their own (worker/confine_list.h). What becomes of the others is said
 * in base/call_filter.h.
 */
#ifndef PROGRAM_SANDBOX_H
#define PROGRAM_SANDBOX_H

#include "program/sandbox_list.h"

/*
 * Filter the calls of all threads, and of those to come. To be called once,
 * after hardening_begin(). Where the kernel or the machine has no such filter,
 * the log says so, and there is none.
 */
void sandbox_enter(enum sandbox_for what);

/* The same, in a program of any kind: 0, or a negative errno. */
int sandbox_install(enum sandbox_for what);

#endif
