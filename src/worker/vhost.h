/* SPDX-License-Identifier: MIT */
/* Serving one disk to vhost-user front ends, one after the other. */
#ifndef WORKER_VHOST_H
#define WORKER_VHOST_H

#include "base/loop.h"
#include "config/command_line.h"

/*
 * Serve until loop_quit() is called or, with --once or on a connected socket,
 * until the front end has gone. Returns the exit status of the program.
 */
int vhost_serve(struct loop *loop, const struct options *options);

/*
 * End the process at once, with status 1, for the requests in flight do not
 * end. The socket's path is removed before, if it is ours; the log is the
 * caller's.
 */
_Noreturn void vhost_abandon(void);

/* Log a line of statistics. */
void vhost_log_stats(void);

#endif
