/* SPDX-License-Identifier: MIT */
/*
 * The process of a worker that serves front ends; see worker/process.h. What it
 * has in flight is in an area of the front end already: there is nothing to say
 * of it at a sudden end.
 */
#include "worker/confine_list.h"
#include "worker/process.h"
#include "worker/vhost_server.h"

static struct {
	struct vhost_server_owner owner;
	void (*ended)(void);
} vhost;

static void ended(struct vhost_server_owner *owner)
{
	(void)owner;
	vhost.ended();
}

static int open_server(struct loop *loop, int fd, void (*when)(void))
{
	vhost.owner.ended = ended;
	vhost.ended = when;
	return vhost_server_open(loop, fd, &vhost.owner);
}

static void close_server(void)
{
}

const struct worker_process_kind worker_process_vhost = {
	.open = open_server,
	.close = close_server,
	.calls = CONFINE_ALL_OF_VHOST,
};
