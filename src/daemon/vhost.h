/* SPDX-License-Identifier: MIT */
/* Serving one disk to vhost-user front ends, one after the other. */
#ifndef DAEMON_VHOST_H
#define DAEMON_VHOST_H

#include "base/loop.h"
#include "daemon/options.h"

/*
 * Serve until loop_quit() is called or, with --once or on a connected socket,
 * until the front end has gone. Returns the exit status of the program.
 */
int vhost_serve(struct loop *loop, const struct options *options);

/* Log a line of statistics. */
void vhost_log_stats(void);

#endif
