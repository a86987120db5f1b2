/* SPDX-License-Identifier: MIT */
/*
 * The connection of a vhost-user front end; see vhost_user/connection.h.
 *
 * Happy path: a front end connects; it negotiates, shares memory and sets its
 * rings up, message by message; it goes, the queues drain, everything of it is
 * given up, and the next one may come.
 *
 * Failures: a wrong message ends the session with one line in the log, as do a
 * truncated file and a peer that does not read our answers. A front end that
 * goes while something drains is noticed: then nobody waits for long requests.
 */
#include "vhost_user/connection.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/probe.h"
#include "vhost_user/queues.h"
#include "vhost_user/requests.h"
#include "vhost_user/takeover.h"

enum {
	/* Messages handled in one turn of the loop. */
	MESSAGES_MAX = 16,
};

/* For the rest of a message; its descriptors may keep the connection alive. */
#define STALL_NS (10 * NS_PER_SECOND)

/* ---- the socket ---- */

static enum vhost_watch wanted(const struct vhost_connection *c)
{
	if (c->socket.fd < 0 || c->gone)
		return VHOST_WATCH_NOTHING;
	return c->stage == VHOST_STAGE_RECEIVE ? VHOST_WATCH_MESSAGES :
						 VHOST_WATCH_END;
}

/* The next message is read only when this one is answered. */
static int watch(struct vhost_connection *c)
{
	enum vhost_watch what = wanted(c);
	int r = 0;

	if (c->watch == what)
		return 0;
	if (c->watch != VHOST_WATCH_NOTHING)
		loop_remove(c->loop, &c->socket);
	/* That nobody is there any more is always told. */
	if (what != VHOST_WATCH_NOTHING)
		r = loop_add(c->loop, &c->socket,
			     what == VHOST_WATCH_MESSAGES ? EPOLLIN : 0);
	c->watch = r ? VHOST_WATCH_NOTHING : what;
	return r;
}

/* ---- the end ---- */

/* The session is to end; go_on() does it. */
static void begin_end(struct vhost_connection *c)
{
	c->stage = VHOST_STAGE_END;
	c->queues = vhost_queues_running(&c->session);
	vhost_queues_pause(&c->session, c->queues);
	loop_disarm(c->loop, &c->stall);
	trace_device(c->session.trace, "loses its front end");
}

/* ... and nobody needs what is in flight to be finished. */
static void give_up(struct vhost_connection *c)
{
	c->gone = true;
	/* A front end may come back, and its driver never have gone. */
	vhost_queues_wind_up(&c->session);
	virtio_device_abandon(c->session.dev);
	if (c->stage != VHOST_STAGE_END)
		begin_end(c);
}

/* For a reason that the session knows, and no message is about. */
static void give_up_session(struct vhost_connection *c)
{
	log_limited(&c->limit.wrong, LOG_LEVEL_WARNING,
		    "%s: closing the session: %s", c->session.name,
		    c->session.reason);
	give_up(c);
}

/* The message is wrong, for a reason that the session knows. */
static void give_up_wrong(struct vhost_connection *c)
{
	uint32_t request = c->message.header.request;
	const struct vhost_request_kind *kind = vhost_request_kind(request);

	log_limited(&c->limit.wrong, LOG_LEVEL_WARNING,
		    "%s: closing the session: %s (%" PRIu32 "): %s",
		    c->session.name, kind ? kind->name : "message", request,
		    c->session.reason);
	give_up(c);
}

/* Nobody is there any more. */
static void give_up_lost(struct vhost_connection *c)
{
	log_limited(&c->limit.end, LOG_LEVEL_INFO,
		    "%s: the front end has disconnected", c->session.name);
	give_up(c);
}

static void forget(struct vhost_connection *c)
{
	c->stage = VHOST_STAGE_RECEIVE;
	c->queues = 0;
	c->gone = false;
	c->deaf = false;
}

/* Nothing is in flight: give up all that was the front end's. */
static void end(struct vhost_connection *c)
{
	struct vhost_session *s = &c->session;
	int fd = c->socket.fd;

	vhost_queues_stop(s);
	vhost_takeover_set_area(s, NULL, -1);
	vhost_session_reset(s);
	vhost_message_clear(&c->message);
	c->gone = true;
	watch(c);
	c->socket.fd = -1;
	close(fd);
	forget(c);
	s->owner->ops->closed(s->owner);
}

/* ---- the stages of a message ---- */

/* 0, or a negative errno with a reason. */
static int check(struct vhost_connection *c)
{
	const struct vhost_request_kind *kind = c->kind;
	const struct vhost_message *m = &c->message;
	struct vhost_session *s = &c->session;

	if (!kind)
		return vhost_session_wrong(s, "not a request that is known "
					      "here");
	if (m->header.size < kind->size_min || m->header.size > kind->size_max)
		return vhost_session_wrong(s, "%" PRIu32 " bytes of payload",
					   m->header.size);
	if (m->nfds < kind->fds_min || m->nfds > kind->fds_max)
		return vhost_session_wrong(s, "%u descriptor%s", m->nfds,
					   log_plural(m->nfds));
	if ((s->protocol & kind->needs) != kind->needs)
		return vhost_session_wrong(s, "its protocol feature was not "
					      "negotiated");
	log_debug("%s: %s", s->name, kind->name);
	PROBE3(message, s->name, kind->name, m->header.size);
	trace_message(s->trace, kind->name, m->header.size);
	/* What it does may be what a driver that broke its ring waits for. */
	trace_look_reset(s->trace, virtio_device_wants_reset(s->dev));
	return 0;
}

static void drain(struct vhost_connection *c)
{
	if (c->kind->abandons)
		vhost_queues_forget(&c->session);
	c->queues = c->kind->drains ?
			    c->kind->drains(&c->session, &c->message) :
			    0;
	vhost_queues_pause(&c->session, c->queues);
	c->stage = VHOST_STAGE_DRAIN;
}

static void handle(struct vhost_connection *c)
{
	c->answer = c->kind->handle(&c->session, &c->message);
	/* Those that it did not stop go on. */
	vhost_queues_resume(&c->session, c->queues);
	c->queues = 0;
	c->stage = VHOST_STAGE_SETTLE;
}

static bool is_settled(const struct vhost_connection *c)
{
	const struct vhost_owner *owner = c->session.owner;

	if (c->answer >= 0 && c->session.waits)
		return false;
	return c->answer < 0 || !c->kind->settles || !owner->ops->is_quiet ||
	       owner->ops->is_quiet(c->session.owner);
}

static bool wants_ack(const struct vhost_connection *c)
{
	return (c->session.protocol & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK)) &&
	       (c->message.header.flags & VHOST_HEADER_NEED_REPLY) &&
	       !(c->kind && c->kind->replies);
}

static int send_answer(struct vhost_connection *c)
{
	struct vhost_message *m = &c->message;
	int r;

	if (c->answer != VHOST_ANSWER_REPLY) {
		if (!wants_ack(c))
			return 0;
		vhost_message_number(m, c->answer != VHOST_ANSWER_OK);
	}
	r = vhost_message_reply(m);
	if (r == -EAGAIN)
		return vhost_session_wrong(&c->session, "the front end does "
							"not read its answers");
	if (r)
		return vhost_session_wrong(&c->session, "answering: %s",
					   strerror(-r));
	return 0;
}

static void answer(struct vhost_connection *c)
{
	int r = send_answer(c);

	c->stage = VHOST_STAGE_RECEIVE;
	if (c->answer < 0 || r < 0)
		give_up_wrong(c);
	else
		vhost_message_clear(&c->message);
}

/* A queue that the message would have started, had the owner been ready. */
static void start_again(struct vhost_connection *c)
{
	int r;

	if (c->answer < 0 || !c->session.waits)
		return;
	r = vhost_queues_start(&c->session);
	if (r)
		c->answer = r;
}

/* Go on as far as that is possible now. */
static void go_on(struct vhost_connection *c)
{
	if (c->stage == VHOST_STAGE_DRAIN &&
	    vhost_queues_are_drained(&c->session, c->queues))
		handle(c);
	else if (c->stage == VHOST_STAGE_SETTLE)
		start_again(c);
	if (c->stage == VHOST_STAGE_SETTLE && is_settled(c))
		answer(c);
	if (c->stage == VHOST_STAGE_END &&
	    vhost_queues_are_drained(&c->session, c->queues))
		end(c);
}

/* A whole message has come. */
static void take(struct vhost_connection *c)
{
	c->kind = vhost_request_kind(c->message.header.request);
	c->answer = check(c);
	if (c->answer == 0)
		drain(c);
	else
		c->stage = VHOST_STAGE_SETTLE;
}

/* ---- what the loop tells ---- */

static void receive_failed(struct vhost_connection *c, int r)
{
	struct vhost_session *s = &c->session;

	if (r == -EPIPE || r == -ECONNRESET) {
		give_up_lost(c);
		return;
	}
	if (r != -EPROTO && r != -EMFILE) {
		vhost_session_wrong(s, "receiving: %s", strerror(-r));
		give_up_session(c);
		return;
	}
	if (r == -EPROTO)
		vhost_session_wrong(s, "wrong header or too many descriptors");
	else
		vhost_session_wrong(s, "this process may not have as many "
				       "descriptors: raise LimitNOFILE= of the "
				       "unit, ulimit -n, or fs.file-max");
	give_up_wrong(c);
}

/* False if no more can be done now. */
static bool receive(struct vhost_connection *c)
{
	int r = vhost_message_receive(&c->message);

	if (r == 0 && c->message.got && !c->stall.armed)
		loop_arm(c->loop, &c->stall, STALL_NS);
	if (r == 0)
		return false;
	loop_disarm(c->loop, &c->stall);
	if (r > 0)
		take(c);
	else
		receive_failed(c, r);
	go_on(c);
	return c->stage == VHOST_STAGE_RECEIVE && c->socket.fd >= 0;
}

/* Whatever was done: watch for what comes next. */
static void rest(struct vhost_connection *c)
{
	/* UNTESTED: should fail only with ENOMEM. */
	if (watch(c) && c->stage == VHOST_STAGE_RECEIVE) {
		c->deaf = true;
		vhost_session_wake(&c->session);
	}
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct vhost_connection *c =
		container_of(source, struct vhost_connection, socket);

	(void)events;
	if (c->stage == VHOST_STAGE_RECEIVE) {
		for (int i = 0; i < MESSAGES_MAX && receive(c); i++)
			continue;
	} else {
		give_up_lost(c);
		go_on(c);
	}
	rest(c);
}

static void stalled(struct loop_timer *timer)
{
	struct vhost_connection *c =
		container_of(timer, struct vhost_connection, stall);

	vhost_session_wrong(&c->session, "the rest of a message does not come");
	give_up_session(c);
	go_on(c);
	rest(c);
}

/* What a front end has done to us meanwhile: 0, or a reason to give it up. */
static int look_after(struct vhost_connection *c)
{
	int r = vhost_session_check(&c->session);

	if (r == 0 && c->deaf)
		r = vhost_session_wrong(&c->session, "its messages cannot be "
						     "awaited: there is no "
						     "memory");
	return r;
}

/* A queue that was kicked before it could start, say. */
static void start_late(struct vhost_connection *c)
{
	if (c->stage != VHOST_STAGE_RECEIVE || c->socket.fd < 0 ||
	    vhost_queues_start(&c->session) == 0)
		return;
	give_up_session(c);
	go_on(c);
}

static void woken(struct loop_source *source, uint32_t events)
{
	struct vhost_connection *c =
		container_of(source, struct vhost_connection, wake);
	uint64_t n;

	(void)events;
	if (read(source->fd, &n, sizeof(n)) != sizeof(n) || c->socket.fd < 0)
		return;
	if (c->stage != VHOST_STAGE_END && look_after(c))
		give_up_session(c);
	vhost_session_tell(&c->session);
	go_on(c);
	start_late(c);
	rest(c);
}

/* ---- life ---- */

int vhost_connection_init(struct vhost_connection *c, const char *name,
			  struct virtio_device *dev, struct vhost_owner *owner,
			  struct loop *loop, struct thread_loop *const *threads)
{
	int r = vhost_session_init(&c->session, name, dev, owner, loop,
				   threads);

	if (r)
		return r;
	c->loop = loop;
	c->socket = (struct loop_source){ .fd = -1, .ready = socket_ready };
	c->wake = (struct loop_source){ .fd = c->session.wake_fd,
					.ready = woken };
	c->stall.due = stalled;
	forget(c);
	r = loop_add(loop, &c->wake, EPOLLIN);
	if (r)
		vhost_session_finish(&c->session);
	return r;
}

void vhost_connection_finish(struct vhost_connection *c)
{
	assert(c->socket.fd < 0);
	loop_remove(c->loop, &c->wake);
	vhost_session_finish(&c->session);
}

int vhost_connection_open(struct vhost_connection *c, int fd)
{
	int r;

	assert(c->socket.fd < 0);
	c->socket.fd = fd;
	vhost_message_init(&c->message, fd);
	r = watch(c);
	if (r == 0) {
		trace_device(c->session.trace, "has a front end");
		return 0;
	}
	close(fd);
	c->socket.fd = -1;
	return r;
}

bool vhost_connection_is_open(const struct vhost_connection *c)
{
	return c->socket.fd >= 0;
}

void vhost_connection_close(struct vhost_connection *c)
{
	if (c->socket.fd < 0 || c->stage == VHOST_STAGE_END)
		return;
	vhost_queues_wind_up(&c->session);
	begin_end(c);
	go_on(c);
	rest(c);
}
