/* SPDX-License-Identifier: MIT */
/*
 * Serving one Xen guest: all of its virtio disks, over its reboots, until it is
 * gone for good.
 */
#ifndef MONITOR_GUEST_H
#define MONITOR_GUEST_H

#include <stdbool.h>

#include "base/loop.h"
#include "config/command_line.h"

struct worker_starter;

/*
 * Serve until the guest is gone or loop_quit() is called, and then until what
 * is in flight is done: the loop runs on for that. `starter` makes the workers.
 * Returns the exit status of the program.
 */
int guest_serve(struct loop *loop, const struct options *options,
		struct worker_starter *starter);

/*
 * End the program now, with status 1, although requests are in flight: the
 * store does not answer, and somebody wants it to end all the same. Says what
 * is given up. Does not return.
 */
void guest_abandon(void) __attribute__((noreturn));

/* Log a line of statistics of the guest that is served. */
void guest_log_stats(void);

/* Log the last events of its disks; trace all requests, or not any more. */
void guest_log_events(void);
void guest_trace(bool on);

#endif
