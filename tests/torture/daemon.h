/* SPDX-License-Identifier: MIT */
/*
 * The program under test, started and killed; each start is a generation.
 */
#ifndef TORTURE_DAEMON_H
#define TORTURE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon {
	const char *program;
	const char *socket;      /* path; its log is beside it */
	const char *disk;        /* the value of --disk */
	const char *preload;     /* a library for LD_PRELOAD, or NULL */
	unsigned int paths;      /* another path for each start */
	char path[108];          /* of the socket of the last start */
	unsigned int inherit;    /* it is given a socket that listens already */
	unsigned int foreground; /* all of it is this process */
	int listener;            /* ... this one, from the first start on */
	pid_t pid;               /* 0: none */
	unsigned int starts;
	unsigned int refusals; /* it ended by itself, as it may */
};

void daemon_start(struct daemon *d);

/*
 * Whether it is running. One that has ended because something of the one before
 * it was still in use is counted; any other end is the end of the test.
 */
bool daemon_is_alive(struct daemon *d);

/* SIGKILL; it is waited for later, by whoever starts the next one. */
void daemon_kill(struct daemon *d);

/* The same for its worker: false where there is none now. */
bool daemon_kill_worker(const struct daemon *d);

/* SIGTERM, and wait for it: dies if it does not end well. */
void daemon_stop(struct daemon *d);

/* Wait for those that were killed: how many are not gone yet. */
unsigned int daemon_reap(void);

/* Kill what was started, in whatever state. */
void daemon_end_all(void);

#endif
