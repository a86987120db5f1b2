/* SPDX-License-Identifier: MIT */
/*
 * A worker in this process; see worker/local.h.
 *
 * Both ends of the link are sources of one loop, and nothing else is between
 * monitor and worker: what they say to each other goes the way that it goes to
 * another process. Who waits for the worker's end serves it himself meanwhile.
 *
 * Failure modes: none of its own. Whatever ends the worker badly ends the
 * monitor as well.
 */
#include "worker/local.h"

#include "worker/server.h"

static struct {
	struct worker_starter starter;
	struct worker_server_owner owner;
	struct worker_server *server;
	struct loop *loop;
	struct loop_deferred gone; /* that is to be told */
} local;

static void ended(struct worker_server_owner *owner)
{
	(void)owner;
	loop_defer(local.loop, &local.gone);
}

static void gone(struct loop_deferred *deferred)
{
	(void)deferred;
	worker_server_free(&local.server);
	worker_starter_tell_gone(&local.starter, "it has left");
}

/* Which guest it is is said over the link. */
static int start(struct worker_starter *starter, unsigned int domid, int fd)
{
	(void)starter;
	(void)domid;
	return worker_server_open(&local.server, local.loop, fd, &local.owner);
}

static void end(struct worker_starter *starter)
{
	(void)starter;
	worker_server_end(local.server);
}

static int wait_for_end(struct worker_starter *starter, uint64_t ns)
{
	(void)starter;
	(void)ns;
	worker_server_end(local.server);
	loop_undefer(local.loop, &local.gone);
	worker_server_free(&local.server);
	return 0;
}

static void abandon(struct worker_starter *starter)
{
	(void)starter;
	if (local.server)
		worker_server_abandon(local.server);
}

static const struct worker_starter_ops ops = {
	.start = start,
	.kill = end,
	.wait = wait_for_end,
	.abandon = abandon,
};

struct worker_starter *worker_local(struct loop *loop)
{
	local.starter = (struct worker_starter){ .ops = &ops };
	local.owner.ended = ended;
	local.gone.run = gone;
	local.loop = loop;
	return &local.starter;
}
