/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of the link to a monitor: what the monitor says is done by
 * worker/xen_worker.h, and what comes of it is told.
 */
#ifndef WORKER_SERVER_H
#define WORKER_SERVER_H

#include "base/loop.h"

struct worker_server;

/* Who runs it. */
struct worker_server_owner {
	/*
	 * The monitor has said so, or the link has ended: nothing is in flight
	 * any more, and nothing more is done. The guest is left to the next
	 * worker, or let go where that was said, or where nothing of it is
	 * kept. Once, by the loop or from within worker_server_end(); there it
	 * is to be freed later.
	 */
	void (*ended)(struct worker_server_owner *owner);
};

/*
 * In `loop`, for who is at the other end of `fd`, which is the server's from
 * then on. 0 or a negative errno, logged; then nothing is left.
 */
int worker_server_open(struct worker_server **server, struct loop *loop, int fd,
		       struct worker_server_owner *owner);

/*
 * End it now, without the loop: what was said before is done first. Waits for
 * what is in flight. Nothing, if it has ended.
 */
void worker_server_end(struct worker_server *server);

/* One that has ended; NULL is allowed. It is NULL before it is gone. */
void worker_server_free(struct worker_server **server);

/* As worker_abandon(). */
void worker_server_abandon(struct worker_server *server);

#endif
