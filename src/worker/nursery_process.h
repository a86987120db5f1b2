/* SPDX-License-Identifier: MIT */
/*
 * The nursery itself; see worker/nursery.h. What it and its monitor say to each
 * other, over a socket of link/socket.h: both are of one program, and trust
 * each other.
 */
#ifndef WORKER_NURSERY_PROCESS_H
#define WORKER_NURSERY_PROCESS_H

#include <signal.h>

/* What a worker finds. */
enum {
	NURSERY_LINK_FD = 3,
	/*
	 * Pending as soon as it is to abandon what it does: blocked from the
	 * first. TERM, INT, HUP, QUIT, USR1 and those of base/trace_signals.h,
	 * which whole groups of processes are sent, are ignored.
	 */
	NURSERY_ABANDON = SIGVTALRM,
};

enum { NURSERY_ARGS_MAX = 15 };

enum nursery_verb {
	NURSERY_START, /* with a descriptor: the worker's end of its link */
	NURSERY_KILL,
	NURSERY_GIVE_UP, /* it abandons what it does */
};

struct nursery_order {
	enum nursery_verb verb;
	unsigned int domid; /* of NURSERY_START */
};

/* The worker is no more: one for each start. */
struct nursery_report {
	enum {
		NURSERY_ENDED,        /* `value` is as of wait() */
		NURSERY_NOT_FORKED,   /* an errno: no process was made ... */
		NURSERY_NOT_EXECUTED, /* ... or not of this program */
	} what;
	int value;
};

/* In a fork of the monitor's; as nursery_fork(). */
void nursery_process_run(int fd, const char *program, const char *const *args)
	__attribute__((noreturn));

#endif
