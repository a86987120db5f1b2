/* SPDX-License-Identifier: MIT */
/*
 * The monitor's end of the link to a worker; see worker/worker.h.
 *
 * What the owner says is sent, and noted in the ledger; what comes is held
 * against that and told to the owner, by the loop. The worker is at the other
 * end of a socket, in this process and its loop: it knows nothing else of the
 * monitor, nor the monitor of it, but for the end of both.
 *
 * Failure modes: a worker that answers what it was not asked, or that is gone,
 * is not listened to any more, and the owner is told once. Answers that are not
 * there when the worker goes are not given at all.
 */
#include "worker/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "link/ledger.h"
#include "link/message.h"
#include "worker/server.h"

struct worker {
	struct worker_server *server; /* of the other end */
	struct loop *loop;
	struct worker_owner *owner;
	struct loop_source source; /* of the link; fd -1: it is cut */
	struct loop_deferred lost; /* that is to be told */
	struct link_ledger ledger;
};

static void cut(struct worker *w)
{
	if (w->source.fd < 0)
		return;
	loop_remove(w->loop, &w->source);
	close(w->source.fd);
	w->source.fd = -1;
}

/* The worker cannot be relied on any more. */
static void lose(struct worker *w, const char *why)
{
	log_error("the worker has failed: %s", why);
	cut(w);
	loop_defer(w->loop, &w->lost);
}

static void lost(struct loop_deferred *deferred)
{
	struct worker *w = container_of(deferred, struct worker, lost);

	w->owner->ops->lost(w->owner);
}

static void send_message(struct worker *w, const struct link_message *m,
			 const int *fds)
{
	int r;

	if (w->source.fd < 0)
		return;
	r = link_message_send(w->source.fd, m, fds);
	if (r)
		lose(w, r == -EAGAIN ? "it does not listen" : strerror(-r));
}

/* ---- what the worker answers ---- */

static void tell(struct worker *w, const struct link_message *m)
{
	const struct worker_owner_ops *ops = w->owner->ops;

	if (m->type == LINK_BEGUN)
		ops->begun(w->owner, m->begun.result, m->begun.error);
	else if (m->type == LINK_ATTACHED)
		ops->attached(w->owner, m->attached.id, m->attached.result,
			      m->attached.error);
	else
		ops->ended(w->owner, m->disk.id);
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct worker *w = container_of(source, struct worker, source);
	struct link_message m;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r = link_message_receive(source->fd, LINK_TO_MONITOR, &m, fds,
				     &why);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r == 1)
		why = link_ledger_answer(&w->ledger, &m);
	else if (!why)
		why = r == 0 ? "it is gone" : strerror(-r);
	if (why)
		lose(w, why);
	else
		tell(w, &m);
}

/* ---- what the owner says ---- */

void worker_begin(struct worker *w, unsigned int domid, int state_fd)
{
	struct link_message m = { .type = LINK_BEGIN };

	m.begin.domid = domid;
	m.begin.kept = state_fd >= 0;
	link_ledger_begin(&w->ledger);
	send_message(w, &m, &state_fd);
}

bool worker_awaits(const struct worker *w, uint64_t id)
{
	return link_ledger_awaits(&w->ledger, id);
}

void worker_disown(struct worker *w, uint64_t id)
{
	struct link_message m = { .type = LINK_DISOWN };

	m.disk.id = id;
	link_ledger_disown(&w->ledger, id);
	send_message(w, &m, NULL);
}

static void write_options(struct link_options *to, const struct disk_options *o)
{
	to->size = o->size;
	to->given = o->given;
	to->cache = o->cache;
	to->discard = o->discard;
	to->block_size = o->block_size;
	to->queues = o->queues;
	to->queue_size = o->queue_size;
	to->readonly = o->readonly;
	to->packed = o->packed;
	to->legacy = o->legacy;
	snprintf(to->engine, sizeof(to->engine), "%s", o->engine);
	snprintf(to->serial, sizeof(to->serial), "%s",
		 o->serial ? o->serial : "");
	snprintf(to->id, sizeof(to->id), "%s", o->id ? o->id : "");
}

void worker_attach(struct worker *w, const struct worker_disk *disk)
{
	struct link_message m = { .type = LINK_ATTACH };
	struct link_attach *a = &m.attach;
	int fds[LINK_FDS_MAX];
	unsigned int n = 0;

	a->id = disk->id;
	a->base = disk->base;
	a->irq = disk->irq;
	a->kept = disk->state_fd >= 0;
	a->adopt = disk->adopt;
	a->has_sync = disk->part->sync_fd >= 0;
	snprintf(a->name, sizeof(a->name), "%s", disk->name);
	a->facts = disk->part->facts;
	write_options(&a->options, disk->options);
	if (a->kept)
		fds[n++] = disk->state_fd;
	if (a->facts.has_file)
		fds[n++] = disk->part->fd;
	if (a->has_sync)
		fds[n++] = disk->part->sync_fd;
	link_ledger_attach(&w->ledger, disk->id);
	send_message(w, &m, fds);
	/* Theirs alone: what is in flight there keeps its lock. */
	block_part_close(disk->part);
}

void worker_resize(struct worker *w, uint64_t id, uint64_t bytes)
{
	struct link_message m = { .type = LINK_RESIZE };

	m.resize.id = id;
	m.resize.bytes = bytes;
	send_message(w, &m, NULL);
}

void worker_detach(struct worker *w, uint64_t id)
{
	struct link_message m = { .type = LINK_DETACH };

	m.disk.id = id;
	link_ledger_detach(&w->ledger, id);
	send_message(w, &m, NULL);
}

/* ---- from the first to the last ---- */

/* The worker at the other end; its descriptor is its own in any case. */
static int open_link(struct worker *w)
{
	int fd[2], r = link_socket_pair(fd);

	if (r)
		return r;
	r = worker_server_open(&w->server, w->loop, fd[1]);
	w->source.fd = fd[0];
	if (r == 0)
		r = loop_add(w->loop, &w->source, EPOLLIN);
	if (r) {
		worker_server_close(&w->server);
		close(fd[0]);
	}
	return r;
}

int worker_open(struct worker **worker, struct loop *loop,
		struct worker_owner *owner)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	*worker = NULL;
	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->owner = owner;
	w->lost.run = lost;
	w->source = (struct loop_source){ .fd = -1, .ready = ready };
	r = open_link(w);
	if (r)
		free(w);
	else
		*worker = w;
	return r;
}

static void end(struct worker **worker,
		void (*end_server)(struct worker_server **))
{
	struct worker *w = *worker;

	if (!w)
		return;
	end_server(&w->server);
	loop_undefer(w->loop, &w->lost);
	cut(w);
	*worker = NULL;
	free(w);
}

void worker_close(struct worker **worker)
{
	end(worker, worker_server_close);
}

void worker_leave(struct worker **worker)
{
	end(worker, worker_server_leave);
}

void worker_abandon(struct worker *w)
{
	if (w->server)
		worker_server_abandon(w->server);
}

void worker_log_stats(const struct worker *w)
{
	worker_server_log_stats(w->server);
}
