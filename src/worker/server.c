/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of the link; see worker/server.h.
 *
 *	receive	  a message, checked (link/message.h)
 *	   |
 *	do	  what it says: nothing of it is waited for but a begin and an
 *	   |	  attach, which are done at once
 *	answer	  begun, attached; or ended, when a disk has
 *
 * An image is made of the part that a monitor has sent, and is closed before
 * the monitor hears that the disk has ended or was not attached.
 *
 * Failure modes: what cannot be done is answered so. A monitor that says what
 * makes no sense, or that does not listen, is not listened to any more.
 */
#include "worker/server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "block/image.h"
#include "link/message.h"
#include "worker/xen_worker.h"

struct served {
	bool used;
	bool ending;
	uint64_t id;
	struct block_image image;
};

struct worker_server {
	struct xen_worker_owner owner; /* of the worker */
	struct xen_worker *xen;
	struct loop *loop;
	struct loop_source source; /* of the link; fd -1: it is cut */
	struct served disk[DISKS_MAX];
};

static void cut(struct worker_server *s, const char *why)
{
	if (s->source.fd < 0)
		return;
	if (why)
		log_error("the worker does not listen to its monitor any more: "
			  "%s",
			  why);
	loop_remove(s->loop, &s->source);
	close(s->source.fd);
	s->source.fd = -1;
}

static void tell(struct worker_server *s, const struct link_message *m)
{
	int r;

	if (s->source.fd < 0)
		return;
	r = link_message_send(s->source.fd, m, NULL);
	if (r)
		cut(s, strerror(-r));
}

/* A failure has a sentence, or the monitor would not believe it. */
static void explain(int result, char error[LINK_ERROR_MAX])
{
	if (result && !error[0])
		snprintf(error, LINK_ERROR_MAX, "%s", strerror(-result));
}

/* ---- disks ---- */

static struct served *find(struct worker_server *s, uint64_t id)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (s->disk[i].used && s->disk[i].id == id)
			return &s->disk[i];
	return NULL;
}

static struct served *free_entry(struct worker_server *s)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (!s->disk[i].used)
			return &s->disk[i];
	return NULL;
}

static void forget(struct served *disk)
{
	block_image_close(&disk->image);
	disk->used = false;
}

static void ended(struct xen_worker_owner *owner, uint64_t id)
{
	struct worker_server *s = container_of(owner, struct worker_server,
					       owner);
	struct link_message m = { .type = LINK_ENDED };

	forget(find(s, id));
	m.disk.id = id;
	tell(s, &m);
}

static const struct xen_worker_owner_ops owner_ops = { .ended = ended };

/* What is pointed at is the message's. */
static void read_options(struct disk_options *o, struct link_attach *a)
{
	struct link_options *said = &a->options;

	*o = (struct disk_options){
		.given = said->given,
		.file = a->facts.has_file ? a->facts.name : NULL,
		.id = said->id[0] ? said->id : NULL,
		.readonly = said->readonly,
		.cache = (enum block_cache)said->cache,
		.discard = (enum disk_discard)said->discard,
		.engine = said->engine,
		.serial = said->serial,
		.block_size = said->block_size,
		.queues = said->queues,
		.queue_size = said->queue_size,
		.packed = said->packed,
		.legacy = said->legacy,
		.size = said->size,
	};
}

/* The descriptors of the part are the image's or closed then. */
static int attach(struct worker_server *s, struct served *disk,
		  struct link_attach *a, int state_fd, struct block_part *part,
		  char error[BLOCK_ERROR_MAX])
{
	struct disk_options options;
	const struct xen_worker_disk wanted = {
		.id = a->id,
		.name = a->name,
		.image = &disk->image,
		.options = &options,
		.base = a->base,
		.irq = a->irq,
		.state_fd = state_fd,
		.adopt = a->adopt,
	};
	int r = block_image_open(&disk->image, part, error);

	if (r)
		return r;
	read_options(&options, a);
	*disk = (struct served){
		.used = true,
		.id = a->id,
		.image = disk->image,
	};
	r = xen_worker_attach(s->xen, &wanted, error);
	if (r)
		forget(disk);
	return r;
}

/* ---- what the monitor says ---- */

static const char *do_begin(struct worker_server *s, struct link_message *m,
			    const int *fds)
{
	struct link_message answer = { .type = LINK_BEGUN };
	struct link_begun *b = &answer.begun;

	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (s->disk[i].used)
			return "it begins with disks attached";
	b->result = xen_worker_begin(s->xen, m->begin.domid, fds[0], b->error);
	if (b->result == 0) {
		b->nawaited = xen_worker_awaited(s->xen, b->awaited);
		memset(b->error, 0, sizeof(b->error));
	}
	explain(b->result, b->error);
	tell(s, &answer);
	return NULL;
}

static const char *do_attach(struct worker_server *s, struct link_message *m,
			     int *fds)
{
	struct link_attach *a = &m->attach;
	struct link_message answer = { .type = LINK_ATTACHED };
	struct served *disk = free_entry(s);
	struct block_part part = {
		.facts = a->facts,
		.fd = a->facts.has_file ? fds[a->kept] : -1,
		.sync_fd = a->has_sync ? fds[a->kept + 1] : -1,
	};
	char error[BLOCK_ERROR_MAX] = "";

	if (!disk || find(s, a->id))
		return "it attaches a disk twice";
	fds[a->kept] = -1;
	if (a->has_sync)
		fds[a->kept + 1] = -1;
	answer.attached.id = a->id;
	answer.attached.result = attach(s, disk, a, a->kept ? fds[0] : -1,
					&part, error);
	if (answer.attached.result)
		memcpy(answer.attached.error, error, strlen(error) + 1);
	explain(answer.attached.result, answer.attached.error);
	tell(s, &answer);
	return NULL;
}

static const char *do_detach(struct worker_server *s, uint64_t id)
{
	struct served *disk = find(s, id);

	if (!disk || disk->ending)
		return "it detaches what is not attached";
	disk->ending = true;
	xen_worker_detach(s->xen, id);
	return NULL;
}

/* NULL, or what is wrong with it. Descriptors that were taken are -1 then. */
static const char *obey(struct worker_server *s, struct link_message *m,
			int *fds)
{
	switch (m->type) {
	case LINK_BEGIN:
		return do_begin(s, m, fds);
	case LINK_ATTACH:
		return do_attach(s, m, fds);
	case LINK_DISOWN:
		xen_worker_disown(s->xen, m->disk.id);
		return NULL;
	case LINK_RESIZE:
		xen_worker_resize(s->xen, m->resize.id, m->resize.bytes);
		return NULL;
	case LINK_DETACH:
		return do_detach(s, m->disk.id);
	case LINK_LOG_STATS:
		xen_worker_log_stats(s->xen);
		return NULL;
	default:
		return "it says what there is nobody for";
	}
}

/* One message, if there is any: whether there was. */
static bool serve(struct worker_server *s)
{
	struct link_message m;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r;

	if (s->source.fd < 0)
		return false;
	r = link_message_receive(s->source.fd, LINK_TO_WORKER, &m, fds, &why);
	if (r == -EAGAIN)
		return false;
	if (r == 1)
		why = obey(s, &m, fds);
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (r != 1 || why)
		cut(s, why || r == 0 ? why : strerror(-r));
	return s->source.fd >= 0;
}

static void ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	serve(container_of(source, struct worker_server, source));
}

/* ---- from the first to the last ---- */

int worker_server_open(struct worker_server **server, struct loop *loop, int fd)
{
	struct worker_server *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	*server = NULL;
	if (r == 0) {
		s->owner.ops = &owner_ops;
		s->loop = loop;
		s->source = (struct loop_source){ .fd = fd, .ready = ready };
		for (unsigned int i = 0; i < DISKS_MAX; i++)
			s->disk[i].image.fd = -1;
		r = xen_worker_open(&s->xen, loop, &s->owner);
	}
	if (r == 0)
		r = loop_add(loop, &s->source, EPOLLIN);
	if (r == 0) {
		*server = s;
		return 0;
	}
	if (s)
		xen_worker_close(&s->xen);
	close(fd);
	free(s);
	return r;
}

static void end(struct worker_server **server,
		void (*end_xen)(struct xen_worker **))
{
	struct worker_server *s = *server;

	if (!s)
		return;
	while (serve(s))
		continue;
	end_xen(&s->xen);
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (s->disk[i].used)
			forget(&s->disk[i]);
	cut(s, NULL);
	*server = NULL;
	free(s);
}

void worker_server_close(struct worker_server **server)
{
	end(server, xen_worker_close);
}

void worker_server_leave(struct worker_server **server)
{
	end(server, xen_worker_leave);
}

void worker_server_abandon(struct worker_server *s)
{
	if (s->xen)
		xen_worker_abandon(s->xen);
}

void worker_server_log_stats(const struct worker_server *s)
{
	xen_worker_log_stats(s->xen);
}
