/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of the link; see worker/server.h.
 *
 *	receive	  a message, checked (link/message.h)
 *	   |
 *	do	  what it says: nothing of it is waited for but a begin and an
 *	   |	  attach, which are done at once
 *	answer	  begun, attached; or ended, when a disk has
 *	   |
 *	end	  it says so, or is gone itself: what is in flight is waited
 *		  for, and the guest left or let go. Then the owner is told
 *
 * An image is made of the part that a monitor has sent, and is closed before
 * the monitor hears that the disk has ended or was not attached.
 *
 * Failure modes: what cannot be done is answered so. A monitor that says what
 * makes no sense, or that does not listen, is as good as gone.
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
#include "link/options.h"
#include "link/say.h"
#include "worker/xen_worker.h"

struct served {
	bool used;
	bool ending;
	uint64_t id;
	struct block_image image;
};

struct worker_server {
	struct xen_worker_owner owner;     /* of the worker */
	struct worker_server_owner *whose; /* of this one */
	struct xen_worker *xen;
	bool kept; /* the next worker can go on with the guest */
	bool over; /* and the owner is told */
	struct loop *loop;
	struct loop_source source; /* of the link; fd -1: it is cut */
	int area_fd;               /* where events are noted, or -1 */
	struct served disk[DISKS_MAX];
};

static void tell(struct worker_server *s, const struct link_message *m)
{
	link_say_to_monitor(s->source.fd, m);
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

static void say_pong(struct worker_server *s)
{
	const struct link_message m = { .type = LINK_PONG };

	tell(s, &m);
}

static void waits(struct xen_worker_owner *owner)
{
	say_pong(container_of(owner, struct worker_server, owner));
}

static const struct xen_worker_owner_ops owner_ops = {
	.ended = ended,
	.waits = waits,
};

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
		.broken = a->broken,
	};
	int r = block_image_open(&disk->image, part, error);

	if (r)
		return r;
	link_options_read(&options, &a->options, &a->facts);
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
	s->kept = b->result == 0 && m->begin.kept;
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

static const char *do_trace(struct worker_server *s, struct link_message *m,
			    int *fds)
{
	if (m->trace.has_area && s->area_fd >= 0)
		return "it gives a place for events twice";
	if (m->trace.has_area) {
		s->area_fd = fds[0];
		fds[0] = -1;
	}
	xen_worker_trace(s->xen, s->area_fd, m->trace.on);
	return NULL;
}

/* ---- the end ---- */

/* Also where nobody has said so: then the guest is left, if it can be. */
static void end(struct worker_server *s, bool leaves)
{
	if (s->over)
		return;
	if (leaves && s->kept)
		xen_worker_leave(&s->xen);
	else
		xen_worker_close(&s->xen);
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (s->disk[i].used)
			forget(&s->disk[i]);
	if (s->area_fd >= 0)
		close(s->area_fd);
	s->area_fd = -1;
	/* The last: the monitor sees it. */
	loop_remove(s->loop, &s->source);
	close(s->source.fd);
	s->source.fd = -1;
	s->over = true;
	s->whose->ended(s->whose);
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
	case LINK_LEAVE:
	case LINK_CLOSE:
		end(s, m->type == LINK_LEAVE);
		return NULL;
	case LINK_LOG_STATS:
		xen_worker_log_stats(s->xen);
		return NULL;
	case LINK_PING:
		say_pong(s);
		return NULL;
	case LINK_TRACE:
		return do_trace(s, m, fds);
	default:
		return "it says what there is nobody for";
	}
}

/* One message, if there is any: whether there may be another one. */
static bool serve(struct worker_server *s)
{
	struct link_message m;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r;

	if (s->over)
		return false;
	r = link_message_receive(s->source.fd, LINK_TO_WORKER, &m, fds, &why);
	if (r == -EAGAIN)
		return false;
	if (r == 1)
		why = obey(s, &m, fds);
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (r == 1 && !why)
		return true;
	log_warning("the worker ends: %s", why    ? why :
					   r == 0 ? "its monitor is gone" :
						    strerror(-r));
	end(s, true);
	return false;
}

static void ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	serve(container_of(source, struct worker_server, source));
}

/* ---- from the first to the last ---- */

int worker_server_open(struct worker_server **server, struct loop *loop, int fd,
		       struct worker_server_owner *owner)
{
	struct worker_server *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	*server = NULL;
	if (r == 0) {
		s->owner.ops = &owner_ops;
		s->whose = owner;
		s->loop = loop;
		s->area_fd = -1;
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

void worker_server_end(struct worker_server *s)
{
	while (serve(s))
		continue;
	end(s, true);
}

void worker_server_free(struct worker_server **server)
{
	struct worker_server *s = *server;

	assert(!s || s->over);
	*server = NULL;
	free(s);
}

void worker_server_abandon(struct worker_server *s)
{
	if (s->xen)
		xen_worker_abandon(s->xen);
}
