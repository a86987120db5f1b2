/* SPDX-License-Identifier: MIT */
/*
 * A disk that is served over vhost-user, as the monitor has it: the image, its
 * lock and its size, and the socket. Who talks to front ends is its worker.
 */
#ifndef MONITOR_VHOST_DISK_H
#define MONITOR_VHOST_DISK_H

#include <stdbool.h>

#include "base/loop.h"
#include "config/command_line.h"

struct worker_starter;

/*
 * Serve until loop_quit() is called or, with --once or on a connected socket,
 * until the front end has gone. Returns the exit status of the program. There
 * is one in a process.
 */
int vhost_disk_serve(struct loop *loop, const struct options *options,
		     struct worker_starter *starter);

/*
 * End the process at once, with status 1, for the requests in flight do not
 * end. The socket's path is removed before, if it is ours; the log is the
 * caller's.
 */
_Noreturn void vhost_disk_abandon(void);

/* Log a line of statistics. */
void vhost_disk_log_stats(void);

/* Log the last events; trace all requests, or not any more. */
void vhost_disk_log_events(void);
void vhost_disk_trace(bool on);

#endif
