/* SPDX-License-Identifier: MIT */
/*
 * The worker's end of the link to the monitor of a vhost-user disk; see
 * worker/vhost_server.h.
 *
 *	open	  an image is made of the part that came, a device of that
 *	   |
 *	listen	  front ends are handed over, one after the other; take, give
 *	   |	  and what is answered
 *	   |
 *	end	  the monitor says so, or is gone itself: what is in flight is
 *	   |	  finished, by the loop
 *	ended	  the image is closed, and only then the link
 *
 * Failure modes: what cannot be done is answered so. A monitor that says what
 * makes no sense, or that does not listen, is as good as gone.
 */
#include "worker/vhost_server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "block/image.h"
#include "link/message.h"
#include "link/options.h"
#include "link/say.h"
#include "worker/vhost_worker.h"

static struct {
	struct vhost_worker_owner owner;  /* of the device */
	struct vhost_server_owner *whose; /* of this one */
	struct loop *loop;
	struct loop_source source; /* of the link; fd -1: it is cut */
	struct loop_deferred over; /* there is no device: that is to be told */
	bool tried;                /* to open: there is something to end */
	bool opened, listens, ends, deaf;
	struct log_limit refusals;
	int area_fd; /* where events are noted; or -1 */
	bool traces;
	struct link_open what; /* what the device was made of */
	struct disk_options options;
	struct block_image image;
} server;

static void tell(const struct link_message *m)
{
	link_say_to_monitor(server.source.fd, m);
}

static void say(enum link_type type)
{
	const struct link_message m = { .type = type };

	tell(&m);
}

/* ---- what the device says ---- */

static void take(struct vhost_worker_owner *owner)
{
	(void)owner;
	say(LINK_TAKE);
}

static void give(struct vhost_worker_owner *owner)
{
	(void)owner;
	say(LINK_GIVE);
}

static void left(struct vhost_worker_owner *owner)
{
	(void)owner;
	say(LINK_FRONT_END_LEFT);
}

static void finish(void)
{
	block_image_close(&server.image);
	if (server.area_fd >= 0)
		close(server.area_fd);
	server.area_fd = -1;
	/* The last: the monitor sees it. */
	if (!server.deaf)
		loop_remove(server.loop, &server.source);
	close(server.source.fd);
	server.source.fd = -1;
	server.whose->ended(server.whose);
}

static void device_ended(struct vhost_worker_owner *owner)
{
	(void)owner;
	finish();
}

static void nothing_to_end(struct loop_deferred *deferred)
{
	(void)deferred;
	finish();
}

static const struct vhost_worker_owner_ops owner_ops = {
	.take = take,
	.give = give,
	.left = left,
	.ended = device_ended,
};

/* ---- what the monitor says ---- */

/* The descriptors of the part are the image's or closed then. */
static int open_device(struct block_part *part, char error[BLOCK_ERROR_MAX])
{
	const struct vhost_worker_settings settings = {
		.name = server.what.name,
		.image = &server.image,
		.options = &server.options,
		.locked = server.what.locked,
		.area_fd = server.area_fd,
		.traces = server.traces,
	};
	int r = block_image_open(&server.image, part, error);

	if (r)
		return r;
	link_options_read(&server.options, &server.what.options,
			  &server.what.facts);
	server.tried = true;
	return vhost_worker_open(&settings, server.loop, &server.owner, error);
}

static const char *do_open(const struct link_message *m, int *fds)
{
	struct link_message answer = { .type = LINK_OPENED };
	struct block_part part = { .facts = m->open.facts,
				   .fd = -1,
				   .sync_fd = -1 };
	char error[BLOCK_ERROR_MAX] = "";
	int r;

	if (server.what.name[0])
		return "it opens a second disk";
	server.what = m->open;
	if (m->open.facts.has_file) {
		part.fd = fds[0];
		fds[0] = -1;
	}
	if (m->open.has_sync) {
		part.sync_fd = fds[1];
		fds[1] = -1;
	}
	r = open_device(&part, error);
	server.opened = r == 0;
	answer.opened.result = r;
	if (r)
		snprintf(answer.opened.error, sizeof(answer.opened.error), "%s",
			 error[0] ? error : strerror(-r));
	tell(&answer);
	return NULL;
}

static const char *do_listen(const struct link_message *m)
{
	if (server.listens)
		return "it listens twice";
	server.listens = true;
	vhost_worker_listen(m->listen.where);
	return NULL;
}

/* One that cannot be served sees its connection end, and may come again. */
static void not_served(int r)
{
	log_limited(&server.refusals, LOG_LEVEL_ERROR,
		    "%s: a front end cannot be served: %s%s", server.what.name,
		    strerror(-r), descriptors_advice(-r));
	say(LINK_FRONT_END_LEFT);
}

static const char *do_front_end(int *fds)
{
	int fd = fds[0], r;

	if (!server.listens || vhost_worker_serves())
		return "a front end too many";
	fds[0] = -1;
	r = vhost_worker_serve(fd);
	if (r)
		not_served(r);
	return NULL;
}

/* Before it opens a disk, and at any time. */
static const char *do_trace(const struct link_message *m, int *fds)
{
	if (m->trace.has_area && server.area_fd >= 0)
		return "it gives a place for events twice";
	if (m->trace.has_area) {
		server.area_fd = fds[0];
		fds[0] = -1;
	}
	server.traces = m->trace.on;
	if (server.opened)
		vhost_worker_trace(server.traces);
	return NULL;
}

/* NULL, or what is wrong with it. Descriptors that were taken are -1 then. */
static const char *obey(const struct link_message *m, int *fds)
{
	if (m->type == LINK_OPEN)
		return do_open(m, fds);
	if (m->type == LINK_LEAVE) {
		vhost_server_end();
		return NULL;
	}
	if (m->type == LINK_TRACE)
		return do_trace(m, fds);
	if (!server.opened)
		return "it wants something of no disk";
	switch (m->type) {
	case LINK_LISTEN:
		return do_listen(m);
	case LINK_FRONT_END:
		return do_front_end(fds);
	case LINK_TAKEN:
		vhost_worker_taken(m->taken.result);
		return NULL;
	case LINK_GIVEN:
		vhost_worker_given();
		return NULL;
	case LINK_RESIZE:
		vhost_worker_resize(m->resize.bytes);
		return NULL;
	case LINK_LOG_STATS:
		vhost_worker_log_stats();
		return NULL;
	default:
		return "it says what is for another guest";
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct link_message m;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r = link_message_receive(source->fd, LINK_TO_WORKER, &m, fds, &why);

	(void)events;
	if (r == -EAGAIN)
		return;
	/* All else that brings descriptors came before. */
	if (r == -EMFILE && server.listens && !server.ends) {
		not_served(r);
		return;
	}
	/* Nothing more is heard while it ends, but that nobody is there. */
	if (r == 1 && server.ends)
		why = NULL;
	else if (r == 1)
		why = obey(&m, fds);
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (r == 1 && !why)
		return;
	if (!server.ends)
		log_warning("the worker ends: %s", why ? why :
						   r == 0 ?
							 "its monitor is gone" :
							 strerror(-r));
	loop_remove(server.loop, source);
	server.deaf = true;
	vhost_server_end();
}

/* ---- from the first to the last ---- */

void vhost_server_end(void)
{
	if (server.ends)
		return;
	server.ends = true;
	if (server.tried)
		vhost_worker_end();
	else
		loop_defer(server.loop, &server.over);
}

int vhost_server_open(struct loop *loop, int fd,
		      struct vhost_server_owner *owner)
{
	int r;

	memset(&server, 0, sizeof(server));
	server.owner.ops = &owner_ops;
	server.whose = owner;
	server.loop = loop;
	server.source = (struct loop_source){ .fd = fd, .ready = ready };
	server.over.run = nothing_to_end;
	server.image.fd = -1;
	server.area_fd = -1;
	r = loop_add(loop, &server.source, EPOLLIN);
	if (r) {
		log_error("the worker cannot hear its monitor: %s",
			  strerror(-r));
		close(fd);
	}
	return r;
}
