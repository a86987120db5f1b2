/* SPDX-License-Identifier: MIT */
/*
 * What a worker notes of its disks (base/trace.h), as its monitor has it: the
 * memory, of which each worker has its own, since one before it may have been
 * taken over, and whether requests are traced.
 */
#ifndef WORKER_EVENTS_H
#define WORKER_EVENTS_H

#include <stdbool.h>

#include "link/message.h"

struct events {
	int area_fd;        /* owned; -1: there is no worker, or no memory */
	unsigned int rings; /* that there are at most */
	bool traces;
};

/* There is no worker yet. */
#define EVENTS_OF(n) ((struct events){ .area_fd = -1, .rings = (n) })

/* One is there: what it has to be told, with events->area_fd. */
struct link_message events_begin(struct events *events);

/* It traces from now on, or not any more: what it has to be told. */
struct link_message events_trace(struct events *events, bool on);

/* There is none any more; if it has died, what it noted is logged. */
void events_end(struct events *events, bool died);

/* Log what it has noted. */
void events_log(const struct events *events);

#endif
