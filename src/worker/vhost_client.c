/* SPDX-License-Identifier: MIT */
/*
 * The monitor's end of the link to a worker that serves front ends; see
 * worker/vhost.h. There is one worker at a time:
 *
 *	state	event				what is done		next
 *	NONE	open				start one		OPENS
 *	OPENS	it says that it was opened	tell			OPEN
 *	OPENS	the monitor leaves		tell it			LEAVES
 *	OPEN
 *	any	it says what it may not, or	kill it			DIES
 *		its end of the link is closed
 *	any	it is gone			tell			NONE
 *
 * Failure modes: a worker that answers what it was not asked, that asks twice,
 * or that does not listen, is lost: it is killed, and gone() follows.
 */
#include "worker/vhost.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "link/message.h"
#include "link/options.h"
#include "link/say.h"
#include "worker/events.h"
#include "worker/starter.h"

enum vhost_state {
	VHOST_NONE,
	VHOST_OPENS,
	VHOST_OPEN,
	VHOST_LEAVES,
	VHOST_DIES,
};

/* Whose the lock of an image that lends is, as far as was said. */
enum vhost_lock {
	VHOST_LOCK_THEIRS,
	VHOST_LOCK_TAKING, /* taken() is outstanding */
	VHOST_LOCK_OURS,
	VHOST_LOCK_GIVING, /* given() is outstanding */
};

struct vhost {
	struct worker_starter *starter;
	struct loop *loop;
	struct vhost_monitor *monitor;
	enum vhost_state state;
	enum vhost_lock lock;
	bool lends;
	bool serves;               /* a front end, which has not left yet */
	struct loop_source source; /* of the link; fd -1: there is none */
	bool failed;               /* why it dies was said */
	struct events events;
};

static void cut(struct vhost *v)
{
	if (v->source.fd < 0)
		return;
	loop_remove(v->loop, &v->source);
	close(v->source.fd);
	v->source.fd = -1;
}

/* One that has closed its end most likely is gone, and how, that says. */
static void lose(struct vhost *v, const char *why)
{
	if (v->state == VHOST_LEAVES) {
		/* It has left, or does not any more. */
		cut(v);
		if (why)
			worker_starter_kill(v->starter);
		return;
	}
	if (why)
		log_error("the worker has failed: %s", why);
	v->failed = why != NULL;
	cut(v);
	v->state = VHOST_DIES;
	worker_starter_kill(v->starter);
}

static void send_message(struct vhost *v, const struct link_message *m,
			 const int *fds)
{
	const char *why;

	if (v->source.fd < 0)
		return;
	why = link_say_to_worker(v->source.fd, m, fds);
	if (why)
		lose(v, why);
}

static void say(struct vhost *v, enum link_type type)
{
	const struct link_message m = { .type = type };

	send_message(v, &m, NULL);
}

/* ---- what the worker says ---- */

static const char *do_opened(struct vhost *v, const struct link_message *m)
{
	if (v->state != VHOST_OPENS)
		return "an answer that was not asked for";
	v->state = VHOST_OPEN;
	v->monitor->ops->opened(v->monitor, m->opened.result, m->opened.error);
	return NULL;
}

static const char *do_take(struct vhost *v)
{
	if (v->state != VHOST_OPEN || !v->lends || v->lock != VHOST_LOCK_THEIRS)
		return "it asks for what it has";
	v->lock = VHOST_LOCK_TAKING;
	v->monitor->ops->take(v->monitor);
	return NULL;
}

static const char *do_give(struct vhost *v)
{
	if (v->state != VHOST_OPEN || !v->lends || v->lock != VHOST_LOCK_OURS)
		return "it gives what it has not";
	v->lock = VHOST_LOCK_GIVING;
	v->monitor->ops->give(v->monitor);
	return NULL;
}

static const char *do_left(struct vhost *v)
{
	if (v->state != VHOST_OPEN || !v->serves)
		return "a front end left that there was not";
	v->serves = false;
	v->monitor->ops->front_end_left(v->monitor);
	return NULL;
}

/* NULL, or what is wrong with it. */
static const char *hear(struct vhost *v, const struct link_message *m)
{
	/* It may have said that before it was told. */
	if (v->state == VHOST_LEAVES)
		return NULL;
	switch (m->type) {
	case LINK_OPENED:
		return do_opened(v, m);
	case LINK_TAKE:
		return do_take(v);
	case LINK_GIVE:
		return do_give(v);
	case LINK_FRONT_END_LEFT:
		return do_left(v);
	default:
		return "it says what is for another guest";
	}
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct vhost *v = container_of(source, struct vhost, source);
	struct link_message m;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r = link_message_receive(source->fd, LINK_TO_MONITOR, &m, fds,
				     &why);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r == 1)
		why = hear(v, &m);
	else if (r && !why)
		why = strerror(-r);
	if (r == 0 || why)
		lose(v, why);
}

static void gone(void *arg, const char *how)
{
	struct vhost *v = arg;
	const bool left = v->state == VHOST_LEAVES;

	if (left || v->failed)
		log_debug("the worker has ended: %s", how);
	else
		log_error("the worker has ended: %s", how);
	cut(v);
	events_end(&v->events, !left);
	v->state = VHOST_NONE;
	v->monitor->ops->gone(v->monitor, left);
}

/* ---- what the monitor says ---- */

static int start(struct vhost *v)
{
	int fd[2], r = link_socket_pair(fd);

	if (r)
		return r;
	v->source.fd = fd[0];
	r = loop_add(v->loop, &v->source, EPOLLIN);
	if (r) {
		close(fd[0]);
		close(fd[1]);
		v->source.fd = -1;
		return r;
	}
	r = worker_starter_start(v->starter, 0, fd[1]);
	if (r)
		cut(v);
	return r;
}

static void send_trace(struct vhost *v)
{
	const struct link_message m = events_begin(&v->events);

	send_message(v, &m, &v->events.area_fd);
}

static void send_open(struct vhost *v, const struct vhost_wanted *wanted)
{
	struct link_message m = { .type = LINK_OPEN };
	struct link_open *o = &m.open;
	int fds[LINK_FDS_MAX];
	unsigned int n = 0;

	o->has_sync = wanted->part->sync_fd >= 0;
	o->locked = wanted->locked;
	snprintf(o->name, sizeof(o->name), "%s", wanted->name);
	o->facts = wanted->part->facts;
	link_options_write(&o->options, wanted->options);
	if (o->facts.has_file)
		fds[n++] = wanted->part->fd;
	if (o->has_sync)
		fds[n++] = wanted->part->sync_fd;
	send_message(v, &m, fds);
}

int vhost_open(struct vhost *v, const struct vhost_wanted *wanted)
{
	int r;

	assert(v->state == VHOST_NONE);
	r = start(v);
	if (r == 0) {
		v->state = VHOST_OPENS;
		v->failed = false;
		v->serves = false;
		v->lends = wanted->part->facts.lends;
		v->lock = wanted->locked ? VHOST_LOCK_OURS : VHOST_LOCK_THEIRS;
		send_trace(v);
		send_open(v, wanted);
	}
	/* Theirs alone: what is in flight there keeps its lock. */
	block_part_close(wanted->part);
	return r;
}

void vhost_listen(struct vhost *v, const char *where)
{
	struct link_message m = { .type = LINK_LISTEN };

	snprintf(m.listen.where, sizeof(m.listen.where), "%s", where);
	send_message(v, &m, NULL);
}

void vhost_front_end(struct vhost *v, int fd)
{
	const struct link_message m = { .type = LINK_FRONT_END };

	assert(!v->serves);
	v->serves = true;
	send_message(v, &m, &fd);
}

void vhost_taken(struct vhost *v, int result)
{
	struct link_message m = { .type = LINK_TAKEN };

	assert(v->lock == VHOST_LOCK_TAKING);
	v->lock = result ? VHOST_LOCK_THEIRS : VHOST_LOCK_OURS;
	m.taken.result = result;
	send_message(v, &m, NULL);
}

void vhost_given(struct vhost *v)
{
	assert(v->lock == VHOST_LOCK_GIVING);
	v->lock = VHOST_LOCK_THEIRS;
	say(v, LINK_GIVEN);
}

void vhost_resize(struct vhost *v, uint64_t bytes)
{
	struct link_message m = { .type = LINK_RESIZE };

	m.resize.bytes = bytes;
	send_message(v, &m, NULL);
}

void vhost_leave(struct vhost *v)
{
	if (v->state != VHOST_OPENS && v->state != VHOST_OPEN)
		return;
	say(v, LINK_LEAVE);
	if (v->state != VHOST_DIES)
		v->state = VHOST_LEAVES;
}

bool vhost_runs(const struct vhost *v)
{
	return v->state != VHOST_NONE;
}

void vhost_abandon(struct vhost *v)
{
	worker_starter_abandon(v->starter);
}

void vhost_log_stats(struct vhost *v)
{
	say(v, LINK_LOG_STATS);
}

void vhost_trace(struct vhost *v, bool on)
{
	const struct link_message m = events_trace(&v->events, on);

	send_message(v, &m, NULL);
}

void vhost_log_events(struct vhost *v)
{
	events_log(&v->events);
}

/* ---- from the first to the last ---- */

int vhost_create(struct vhost **vhost, struct loop *loop,
		 struct vhost_monitor *monitor, struct worker_starter *starter)
{
	struct vhost *v = calloc(1, sizeof(*v));

	*vhost = v;
	if (!v)
		return -ENOMEM;
	v->loop = loop;
	v->monitor = monitor;
	v->starter = starter;
	v->events = EVENTS_OF(1);
	v->source = (struct loop_source){ .fd = -1, .ready = ready };
	starter->gone = gone;
	starter->arg = v;
	return 0;
}

void vhost_free(struct vhost **vhost)
{
	struct vhost *v = *vhost;

	if (!v)
		return;
	assert(v->state == VHOST_NONE);
	*vhost = NULL;
	free(v);
}
