/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user session; see vhost_user/session.h.
 *
 * Happy path: a front end connects; it negotiates, shares memory and sets its
 * rings up, message by message (requests.c); a ring starts when it has all it
 * needs; the front end goes, the queues drain, everything of it is given up and
 * the next one may come.
 *
 * Failures: a wrong message ends the session with one line in the log, as do a
 * truncated file and a peer that does not read our answers. A driver that
 * breaks its ring makes the device ask for a reset, and the front end is told
 * by the error descriptor. The device itself outlives all of that.
 */
#include "vhost_user/session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "vhost_user/channel.h"
#include "vhost_user/queues.h"
#include "vhost_user/takeover.h"

enum {
	/* Messages handled in one turn of the loop. */
	MESSAGES_MAX = 16,
};

/* For the rest of a message; its descriptors may keep the connection alive. */
#define STALL_NS (10 * NS_PER_SECOND)

static void wake(const struct vhost_session *s)
{
	const uint64_t one = 1;

	if (write(s->wake.fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

static struct vhost_session *of(struct transport *transport)
{
	return (struct vhost_session *)transport;
}

static void notify_queue(struct transport *transport, unsigned int queue)
{
	vring_notify(&of(transport)->vring[queue]);
}

static void notify_config(struct transport *transport)
{
	struct vhost_session *s = of(transport);

	__atomic_store_n(&s->config_changed, true, __ATOMIC_RELEASE);
	wake(s);
}

static void stopped(struct transport *transport)
{
	wake(of(transport));
}

static const struct transport_ops ops = {
	.notify_queue = notify_queue,
	.notify_config = notify_config,
	.stopped = stopped,
};

int vhost_session_wrong(struct vhost_session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->reason, sizeof(s->reason), format, args);
	va_end(args);
	return -EPROTO;
}

/* ---- changes that wait ---- */

static void set_reading(struct vhost_session *s, bool reading)
{
	if (s->reading == reading || s->socket.fd < 0)
		return;
	if (!reading) {
		loop_remove(s->loop, &s->socket);
	} else if (loop_add(s->loop, &s->socket, EPOLLIN)) {
		/* UNTESTED: should fail only with ENOMEM. */
		s->deaf = true;
		wake(s);
		return;
	}
	s->reading = reading;
}

static bool owner_is_quiet(const struct vhost_session *s)
{
	const struct vhost_owner_ops *owner_ops = s->owner->ops;

	return !owner_ops->is_quiet || owner_ops->is_quiet(s->owner);
}

/* Make the change that waits, if nothing stands in its way any more. */
static void drain_step(struct vhost_session *s)
{
	void (*then)(struct vhost_session * s) = s->then;
	uint32_t queues = s->draining;

	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if ((queues & (1u << i)) && !vring_is_drained(&s->vring[i]))
			return;
	if (s->until_quiet && !owner_is_quiet(s))
		return;
	s->until_quiet = false;
	s->draining = 0;
	s->then = NULL;
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		s->vring[i].held = false;
	then(s);
	if (s->then)
		return;
	/* Those that `then` did not stop go on. */
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (queues & (1u << i))
			vring_update_pause(&s->vring[i]);
	set_reading(s, true);
}

void vhost_session_drain(struct vhost_session *s, uint32_t queues,
			 void (*then)(struct vhost_session *s))
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		if (!(queues & (1u << i)))
			continue;
		s->vring[i].held = true;
		vring_update_pause(&s->vring[i]);
	}
	s->draining |= queues;
	s->then = then;
	set_reading(s, false);
	drain_step(s);
}

void vhost_session_when_quiet(struct vhost_session *s,
			      void (*then)(struct vhost_session *s))
{
	s->until_quiet = true;
	vhost_session_drain(s, 0, then);
}

/* ---- the end ---- */

static void forget(struct vhost_session *s)
{
	s->features = 0;
	s->protocol = 0;
	s->status = 0;
	s->closing = false;
	__atomic_store_n(&s->config_changed, false, __ATOMIC_RELAXED);
	s->told_area = false;
	s->told_log = false;
	s->deaf = false;
	s->known = false;
	s->config_read = false;
	s->config_set = false;
	vhost_message_init(&s->message);
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vring_init(&s->vring[i], &s->regions);
}

static void close_drained(struct vhost_session *s)
{
	vhost_queues_stop(s);
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vring_finish(&s->vring[i]);
	regions_clear(&s->regions);
	mapping_close(&s->regions.log.map);
	vhost_takeover_set_area(s, NULL, -1);
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->backend_fd = -1;
	vhost_message_clear(&s->message);
	set_reading(s, false);
	close(s->socket.fd);
	s->socket.fd = -1;
	forget(s);
	s->owner->ops->closed(s->owner);
}

static void begin_close(struct vhost_session *s)
{
	if (s->closing || s->socket.fd < 0)
		return;
	s->closing = true;
	s->until_quiet = false;
	loop_disarm(s->loop, &s->stall);
	vhost_session_drain(s, vhost_queues_running(s), close_drained);
}

/* The front end has gone, or is not heard any more. */
static void give_up(struct vhost_session *s)
{
	virtio_device_abandon(s->dev);
	begin_close(s);
}

void vhost_session_close(struct vhost_session *s)
{
	vhost_queues_wind_up(s);
	begin_close(s);
}

bool vhost_session_is_open(const struct vhost_session *s)
{
	return s->socket.fd >= 0;
}

/* ---- messages ---- */

static const char *request_name(uint32_t request)
{
	const struct vhost_request_kind *kind = vhost_request_kind(request);

	return kind ? kind->name : "message";
}

static void close_wrong(struct vhost_session *s)
{
	log_limited(&s->limit.wrong, LOG_LEVEL_WARNING,
		    "%s: closing the session: %s (%" PRIu32 "): %s", s->name,
		    request_name(s->message.header.request),
		    s->message.header.request, s->reason);
	give_up(s);
}

static bool wants_ack(const struct vhost_session *s)
{
	const struct vhost_header *h = &s->message.header;
	const struct vhost_request_kind *kind = vhost_request_kind(h->request);

	return (s->protocol & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK)) &&
	       (h->flags & VHOST_HEADER_NEED_REPLY) && !(kind && kind->replies);
}

static int send_reply(struct vhost_session *s)
{
	int r = vhost_message_reply(&s->message, s->socket.fd, s->reply_fd);

	if (r == -EAGAIN)
		return vhost_session_wrong(s, "the front end does not read its "
					      "answers");
	if (r)
		return vhost_session_wrong(s, "answering: %s", strerror(-r));
	return 0;
}

static int send_ack(struct vhost_session *s, uint64_t result)
{
	s->message.header.size = sizeof(s->message.payload.u64);
	s->message.payload.u64 = result;
	return send_reply(s);
}

void vhost_session_answer(struct vhost_session *s, int answer)
{
	int r = 0;

	if (answer == VHOST_ANSWER_REPLY)
		r = send_reply(s);
	else if (wants_ack(s))
		r = send_ack(s, answer != VHOST_ANSWER_OK);
	if (s->reply_fd >= 0)
		close(s->reply_fd);
	s->reply_fd = -1;
	if (answer < 0 || r < 0)
		close_wrong(s);
	else
		vhost_message_clear(&s->message);
}

/* Whether the message is of its kind: 0, or a negative errno with a reason. */
static int check(struct vhost_session *s, const struct vhost_request_kind *kind)
{
	const struct vhost_message *m = &s->message;

	if (!kind)
		return vhost_session_wrong(s, "not a request that is known "
					      "here");
	if (m->header.size < kind->size_min || m->header.size > kind->size_max)
		return vhost_session_wrong(s, "%" PRIu32 " bytes of payload",
					   m->header.size);
	if (m->nfds < kind->fds_min || m->nfds > kind->fds_max)
		return vhost_session_wrong(s, "%u descriptors", m->nfds);
	if ((s->protocol & kind->needs) != kind->needs)
		return vhost_session_wrong(s, "its protocol feature was not "
					      "negotiated");
	return 0;
}

static void handle(struct vhost_session *s)
{
	struct vhost_message *m = &s->message;
	const struct vhost_request_kind *kind =
		vhost_request_kind(m->header.request);
	int r = check(s, kind);

	if (r == 0)
		log_debug("%s: %s", s->name, kind->name);
	if (r == 0)
		r = kind->handle(s, m);
	if (r != VHOST_ANSWER_LATER)
		vhost_session_answer(s, r);
}

/* The connection cannot be read: the peer's end, or a message that is none. */
static void receive_failed(struct vhost_session *s, int r)
{
	if (r == -EPROTO) {
		vhost_session_wrong(s, "wrong header or too many descriptors");
		close_wrong(s);
		return;
	}
	if (r == -EMFILE) {
		vhost_session_wrong(s, "this process may not have as many "
				       "descriptors: raise LimitNOFILE= of the "
				       "unit, ulimit -n, or fs.file-max");
		close_wrong(s);
		return;
	}
	log_limited(&s->limit.end, LOG_LEVEL_INFO,
		    "%s: the front end has disconnected%s%s", s->name,
		    r == -EPIPE ? "" : ": ", r == -EPIPE ? "" : strerror(-r));
	give_up(s);
}

static void stalled(struct loop_timer *timer)
{
	struct vhost_session *s = container_of(timer, struct vhost_session,
					       stall);

	vhost_session_wrong(s, "the rest of a message does not come");
	close_wrong(s);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct vhost_session *s = container_of(source, struct vhost_session,
					       socket);

	(void)events;
	for (int i = 0; i < MESSAGES_MAX && s->reading; i++) {
		int r = vhost_message_receive(&s->message, s->socket.fd);

		if (r == 0 && s->message.got && !s->stall.armed)
			loop_arm(s->loop, &s->stall, STALL_NS);
		if (r == 0)
			return;
		loop_disarm(s->loop, &s->stall);
		if (r > 0)
			handle(s);
		else
			receive_failed(s, r);
	}
}

/* ---- news of other threads ---- */

static void tell_broken(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		if (!vring_is_broken(&s->vring[i]))
			continue;
		log_limited(&s->limit.broken, LOG_LEVEL_WARNING,
			    "%s: the driver broke the rules of queue %u; the "
			    "device waits for a reset",
			    s->name, i);
		vring_signal_error(&s->vring[i]);
	}
}

static void tell_config(struct vhost_session *s)
{
	int r;

	if (virtio_device_wants_reset(s->dev) && !s->needs_reset) {
		s->needs_reset = true;
		tell_broken(s);
	}
	if (s->backend_fd < 0)
		return;
	r = channel_send(s->backend_fd, VHOST_BACKEND_CONFIG_CHANGE);
	if (r)
		log_limited(&s->limit.channel, LOG_LEVEL_WARNING,
			    "%s: telling of a configuration change: %s",
			    s->name, strerror(-r));
}

static bool torn(const struct vhost_session *s)
{
	return regions_torn(&s->regions) || mapping_torn(&s->inflight.map);
}

/* What a front end has done to us meanwhile: 0, or a reason to close. */
static int check_peer(struct vhost_session *s)
{
	if (torn(s))
		return vhost_session_wrong(s, "the front end has truncated a "
					      "file that it shares with us");
	if (s->deaf)
		return vhost_session_wrong(s, "its messages cannot be awaited: "
					      "there is no memory");
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (vring_blocks(&s->vring[i]))
			return vhost_session_wrong(s,
						   "an event descriptor of "
						   "queue %u blocks",
						   i);
	return 0;
}

static void look_after(struct vhost_session *s)
{
	if (!s->closing && check_peer(s)) {
		close_wrong(s);
		return;
	}
	if (__atomic_exchange_n(&s->config_changed, false, __ATOMIC_ACQ_REL))
		tell_config(s);
	if (s->then)
		drain_step(s);
	else if (vhost_queues_start(s))
		close_wrong(s);
}

static void woken(struct loop_source *source, uint32_t events)
{
	struct vhost_session *s = container_of(source, struct vhost_session,
					       wake);
	uint64_t n;

	(void)events;
	if (read(source->fd, &n, sizeof(n)) == sizeof(n) && s->socket.fd >= 0)
		look_after(s);
}

/* ---- life ---- */

int vhost_session_init(struct vhost_session *s, const char *name,
		       struct virtio_device *dev, struct vhost_owner *owner,
		       struct loop *loop, struct thread_loop *const *threads)
{
	int r;

	s->transport.ops = &ops;
	s->name = name;
	s->dev = dev;
	s->owner = owner;
	s->loop = loop;
	s->socket = (struct loop_source){ .fd = -1, .ready = socket_ready };
	s->reply_fd = -1;
	s->backend_fd = -1;
	s->wake.ready = woken;
	s->stall.due = stalled;
	s->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake.fd < 0)
		return -errno;
	r = loop_add(loop, &s->wake, EPOLLIN);
	if (r)
		goto err_after_eventfd;
	r = write_guard_start(&s->guard);
	if (r)
		goto err_after_loop;
	pthread_mutex_init(&s->area_lock, NULL);
	for (unsigned int i = 0; i < dev->nqueues; i++) {
		struct vring *v = &s->vring[i];

		v->index = i;
		v->vq = dev->queue[i];
		v->owner = owner;
		v->thread = threads ? threads[i] : NULL;
		v->loop = v->thread ? &v->thread->loop : loop;
		v->wake_fd = s->wake.fd;
		write_guard_add(&s->guard, &v->call_write);
		write_guard_add(&s->guard, &v->err_write);
	}
	forget(s);
	return 0;

err_after_loop:
	loop_remove(loop, &s->wake);
err_after_eventfd:
	close(s->wake.fd);
	assert(r < 0);
	return r;
}

void vhost_session_finish(struct vhost_session *s)
{
	assert(s->socket.fd < 0);
	write_guard_stop(&s->guard);
	loop_remove(s->loop, &s->wake);
	close(s->wake.fd);
	pthread_mutex_destroy(&s->area_lock);
}

int vhost_session_open(struct vhost_session *s, int fd)
{
	int r;

	assert(s->socket.fd < 0);
	s->socket.fd = fd;
	r = loop_add(s->loop, &s->socket, EPOLLIN);
	if (r) {
		close(fd);
		s->socket.fd = -1;
		return r;
	}
	s->reading = true;
	return 0;
}
