/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of the link to a monitor: what the monitor says is done by
 * worker/xen_worker.h, and what comes of it is told.
 */
#ifndef WORKER_SERVER_H
#define WORKER_SERVER_H

#include "base/loop.h"

struct worker_server;

/*
 * In `loop`, for who is at the other end of `fd`, which is the server's from
 * then on. 0 or a negative errno, logged; then nothing is left.
 */
int worker_server_open(struct worker_server **server, struct loop *loop,
		       int fd);

/*
 * What was said before is done first. As worker_close(), worker_leave(),
 * worker_abandon() and worker_log_stats().
 */
void worker_server_close(struct worker_server **server);
void worker_server_leave(struct worker_server **server);
void worker_server_abandon(struct worker_server *server);
void worker_server_log_stats(const struct worker_server *server);

#endif
