/* SPDX-License-Identifier: MIT */
/*
 * A disk that is served over vhost-user, as the monitor has it: the image, its
 * lock and its size. Who talks to front ends is worker/vhost.c.
 */
#ifndef MONITOR_VHOST_DISK_H
#define MONITOR_VHOST_DISK_H

#include "base/loop.h"
#include "config/command_line.h"

/*
 * Serve until loop_quit() is called or, with --once or on a connected socket,
 * until the front end has gone. Returns the exit status of the program.
 */
int vhost_disk_serve(struct loop *loop, const struct options *options);

#endif
