/* SPDX-License-Identifier: MIT */
/*
 * Front ends that connect to a listener, one at a time: the next one is taken
 * when it is asked for, and until then waits there, also for the program that
 * has the listener after this one.
 */
#ifndef MONITOR_FRONT_ENDS_H
#define MONITOR_FRONT_ENDS_H

#include <stdbool.h>

#include "base/log.h"
#include "base/loop.h"

struct front_ends {
	const char *name; /* of the disk, for the log */
	/* Who has connected; the descriptor, which does not block, is yours. */
	void (*came)(struct front_ends *front_ends, int fd);

	struct loop *loop;
	struct loop_source source; /* the listener; fd -1: there is none */
	struct loop_timer retry;   /* armed instead, while accept() fails */
	bool wanted;               /* the next one is */
	bool failing;              /* accept() does, and that was said */
	struct log_limit waiting, failures, connections;
};

/* Name and call are set; none come. */
void front_ends_init(struct front_ends *fe, struct loop *loop);

/*
 * Take the next one that comes, or has come, on `listener`, which stays the
 * caller's; by the loop. Of those that come after it the log tells. Without a
 * descriptor for it that is tried again every second.
 */
void front_ends_want(struct front_ends *fe, int listener);

/* Nobody is taken: who comes waits for whoever asks for the next one. */
void front_ends_stop(struct front_ends *fe);

/* Who connected, never waiting: -EAGAIN if there is nobody. Or an errno. */
int front_ends_accept(int listener);

#endif
