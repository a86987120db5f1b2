/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of the link to the monitor of a vhost-user disk: what the
 * monitor says is done by worker/vhost_worker.h, and what comes of it is told.
 * There is one in a process.
 */
#ifndef WORKER_VHOST_SERVER_H
#define WORKER_VHOST_SERVER_H

#include "base/loop.h"

struct vhost_server_owner {
	/*
	 * The monitor has said so, or the link has ended: nothing is in flight
	 * any more, and nothing more is done. Once, by the loop.
	 */
	void (*ended)(struct vhost_server_owner *owner);
};

/*
 * In `loop`, for who is at the other end of `fd`, which is the server's from
 * then on. 0 or a negative errno, logged; then nothing is left.
 */
int vhost_server_open(struct loop *loop, int fd,
		      struct vhost_server_owner *owner);

/* End it as if the monitor had said so: ended() follows, if it has not been. */
void vhost_server_end(void);

#endif
