/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user session; see vhost_user/session.h.
 *
 * Failures: a front end that truncates a file which it shares, or makes one of
 * its event descriptors block, is found out when the session is looked at. A
 * driver that breaks its ring makes the device ask for a reset, and the front
 * end is told by the error descriptor. The device itself outlives all of that.
 */
#include "vhost_user/session.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/probe.h"
#include "vhost_user/channel.h"

void vhost_session_wake(const struct vhost_session *s)
{
	const uint64_t one = 1;

	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
}

static struct vhost_session *of(struct transport *transport)
{
	return (struct vhost_session *)transport;
}

static void notify_queue(struct transport *transport, unsigned int queue)
{
	struct vhost_session *s = of(transport);

	PROBE2(notification, s->name, (int)queue);
	if (trace_is_on(s->trace))
		trace_notified(s->trace, TRACE_NOTIFY, queue);
	vring_notify(&s->vring[queue]);
}

static void notify_config(struct transport *transport)
{
	struct vhost_session *s = of(transport);

	PROBE2(notification, s->name, -1);
	trace_notified(s->trace, TRACE_CONFIG, 0);
	__atomic_store_n(&s->config_changed, true, __ATOMIC_RELEASE);
	vhost_session_wake(s);
}

static void stopped(struct transport *transport)
{
	vhost_session_wake(of(transport));
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

int vhost_session_check(struct vhost_session *s)
{
	if (torn(s))
		return vhost_session_wrong(s, "the front end has truncated a "
					      "file that it shares with us");
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (vring_blocks(&s->vring[i]))
			return vhost_session_wrong(s,
						   "an event descriptor of "
						   "queue %u blocks",
						   i);
	return 0;
}

void vhost_session_tell(struct vhost_session *s)
{
	if (__atomic_exchange_n(&s->config_changed, false, __ATOMIC_ACQ_REL))
		tell_config(s);
}

/* ---- life ---- */

static void forget(struct vhost_session *s)
{
	virtio_device_accept(s->dev, 0);
	s->protocol = 0;
	s->status = 0;
	__atomic_store_n(&s->config_changed, false, __ATOMIC_RELAXED);
	s->told_area = false;
	s->told_log = false;
	s->asked = false;
	s->waits = false;
	s->known = false;
	s->config_read = false;
	s->config_set = false;
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vring_init(&s->vring[i], &s->regions);
}

void vhost_session_reset(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vring_finish(&s->vring[i]);
	regions_clear(&s->regions);
	mapping_close(&s->regions.log.map);
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->backend_fd = -1;
	forget(s);
}

static void init_queue(struct vhost_session *s, unsigned int i,
		       struct loop *loop, struct thread_loop *thread)
{
	struct vring *v = &s->vring[i];

	v->index = i;
	v->vq = s->dev->queue[i];
	v->owner = s->owner;
	v->trace = &s->trace;
	v->thread = thread;
	v->loop = thread ? &thread->loop : loop;
	v->wake_fd = s->wake_fd;
	write_guard_add(&s->guard, &v->call_write);
	write_guard_add(&s->guard, &v->err_write);
}

int vhost_session_init(struct vhost_session *s, const char *name,
		       struct virtio_device *dev, struct vhost_owner *owner,
		       struct loop *loop, struct thread_loop *const *threads)
{
	int r;

	s->transport.ops = &ops;
	s->name = name;
	s->dev = dev;
	s->owner = owner;
	s->backend_fd = -1;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return -errno;
	r = write_guard_start(&s->guard);
	if (r) {
		close(s->wake_fd);
		return r;
	}
	pthread_mutex_init(&s->area_lock, NULL);
	for (unsigned int i = 0; i < dev->nqueues; i++)
		init_queue(s, i, loop, threads ? threads[i] : NULL);
	forget(s);
	return 0;
}

void vhost_session_finish(struct vhost_session *s)
{
	write_guard_stop(&s->guard);
	close(s->wake_fd);
	pthread_mutex_destroy(&s->area_lock);
}
