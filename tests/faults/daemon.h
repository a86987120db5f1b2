/* SPDX-License-Identifier: MIT */
/*
 * The daemon as a child of the test, of which one system call or one
 * allocation is made to fail.
 *
 * System calls are failed by a seccomp filter that asks us: it holds for all
 * threads and for every way into the kernel, also for a library's own. Our
 * answer is "go on", but once it is an error, and the call is not made. What
 * the dynamic loader does before main() is not counted.
 *
 * Allocations are failed by a library that is loaded before (alloc.c), which
 * has its orders in a file that both have mapped.
 */
#ifndef FAULTS_DAEMON_H
#define FAULTS_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CALLS_MAX = 512,    /* numbers of system calls */
	CALL_ALLOCATE = -2, /* instead of a number: an allocation */
	CALL_ALL = -1,      /* count all, fail none */
	CALL_NONE = -3,     /* do not even look */
	CALL_XEN = -4,      /* a call of Xen's libraries (tests/double) */
};

/* For which calls of a number an error is plausible. */
enum call_kind {
	ANY_CALL,
	OF_EVENTFD,      /* that does not block: our own */
	OF_PEER_EVENTFD, /* that blocks: the front end's */
	OF_OTHER_FD,
	WAITING, /* of futex() */
	LOCKING, /* of fcntl() */
	SETTING, /* of fcntl() as well */
	ADDING,  /* of epoll_ctl(): what is removed needs no memory */
};

struct fault {
	int call; /* number, or one of the above */
	int error;
	enum call_kind kind;
	unsigned int k; /* which call of it fails, from 1; 0: none */
	bool stays;     /* and all after it */
};

struct daemon {
	const char *directory; /* for what it needs */
	const char *alloc;     /* the library of alloc.c */
	struct fault fault;
	pid_t pid;
	int pidfd;
	int notify; /* the filter's descriptor, or -1 */
	pthread_t thread;
	bool begun;    /* it is in main() */
	bool injected; /* atomic */
	unsigned int seen;
	unsigned int counts[CALLS_MAX]; /* of all, with CALL_ALL */
	char what[256];                 /* the call that failed, for people */
	struct alloc_orders *orders;
};

/* Shared with alloc.c. */
struct alloc_orders {
	uint32_t fail_at; /* from 1; 0: none */
	uint32_t count;
	uint32_t failed;
	uint32_t stays;
	char what[64];
};

/* Start argv[0]; standard error goes to DIRECTORY/log. */
void daemon_start(struct daemon *d, char *const argv[]);

bool daemon_injected(const struct daemon *d);

/* Whether it is still there. */
bool daemon_lives(const struct daemon *d);

/* Wait so long for its end: false if it goes on. */
bool daemon_wait(const struct daemon *d, int ms);

/* How many descriptors it has. */
unsigned int daemon_descriptors(const struct daemon *d);

/* After its end, or to kill it: the status as of waitpid(). */
int daemon_reap(struct daemon *d);

#endif
