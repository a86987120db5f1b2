/* SPDX-License-Identifier: MIT */
/*
 * A worker of a vhost-user disk in this process; see worker/vhost_local.h.
 *
 * Both ends of the link are sources of one loop, and nothing else is between
 * monitor and worker: what they say to each other goes the way that it goes to
 * another process.
 *
 * Failure modes: none of its own. Whatever ends the worker badly ends the
 * monitor as well. There is no second one, for the first may not be done.
 */
#include "worker/vhost_local.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "worker/vhost_server.h"

static struct {
	struct worker_starter starter;
	struct vhost_server_owner owner;
	struct loop *loop;
	struct loop_deferred gone; /* that is to be told */
	bool used;
} local;

static void ended(struct vhost_server_owner *owner)
{
	(void)owner;
	loop_defer(local.loop, &local.gone);
}

static void gone(struct loop_deferred *deferred)
{
	(void)deferred;
	worker_starter_tell_gone(&local.starter, "it has left");
}

static int start(struct worker_starter *starter, unsigned int domid, int fd)
{
	(void)starter;
	(void)domid;
	if (local.used) {
		close(fd);
		return -EBUSY;
	}
	local.used = true;
	return vhost_server_open(local.loop, fd, &local.owner);
}

static void end(struct worker_starter *starter)
{
	(void)starter;
	vhost_server_end();
}

/* Who waits has the loop run. */
static int wait_for_end(struct worker_starter *starter, uint64_t ns)
{
	(void)starter;
	(void)ns;
	return -ETIMEDOUT;
}

/* What is in flight is in the front end's area already. */
static void abandon(struct worker_starter *starter)
{
	(void)starter;
}

static const struct worker_starter_ops ops = {
	.start = start,
	.kill = end,
	.wait = wait_for_end,
	.abandon = abandon,
};

struct worker_starter *vhost_local(struct loop *loop)
{
	local.starter = (struct worker_starter){ .ops = &ops };
	local.owner.ended = ended;
	local.gone.run = gone;
	local.loop = loop;
	local.used = false;
	return &local.starter;
}
