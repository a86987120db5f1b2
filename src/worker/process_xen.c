/* SPDX-License-Identifier: MIT */
/*
 * The process of a worker of a Xen guest; see worker/process.h.
 */
#include <stddef.h>

#include "worker/confine_list.h"
#include "worker/process.h"
#include "worker/server.h"
#include "xen/handles.h"

static struct {
	struct worker_server_owner owner;
	struct worker_server *server;
	void (*ended)(void);
} xen;

static void ended(struct worker_server_owner *owner)
{
	(void)owner;
	xen.ended();
}

static int open_server(struct loop *loop, int fd, void (*when)(void))
{
	xen.owner.ended = ended;
	xen.ended = when;
	return worker_server_open(&xen.server, loop, fd, &xen.owner);
}

static void close_server(void)
{
	worker_server_free(&xen.server);
}

static void abandon(void)
{
	if (xen.server)
		worker_server_abandon(xen.server);
}

const struct worker_process_kind worker_process_xen = {
	.open = open_server,
	.close = close_server,
	.abandon = abandon,
	.calls = CONFINE_ALL_OF_XEN,
	.restrict_handles = xen_handles_restrict,
};
