/* SPDX-License-Identifier: MIT */
/*
 * Starting and stopping the queues of a vhost-user session; see
 * vhost_user/session.h.
 *
 * The device is up for the core while a queue runs. A queue starts when the
 * front end has set all that it needs, on its part of the in-flight area where
 * there is one; where there is none it is served all the same, and the log says
 * what that means.
 *
 * Failure: a queue that cannot start ends the session.
 */
#include <errno.h>
#include <string.h>

#include "vhost_user/session.h"

uint32_t vhost_session_running(const struct vhost_session *s)
{
	uint32_t queues = 0;

	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (s->vring[i].running)
			queues |= 1u << i;
	return queues;
}

static void device_down_if_unused(struct vhost_session *s)
{
	if (vhost_session_running(s))
		return;
	virtio_device_down(s->dev);
	s->needs_reset = false;
	s->config_set = false;
}

/* Once in a session: what is in flight will not survive this process. */
static void tell_area(struct vhost_session *s, const struct vring *v)
{
	if (s->told_area)
		return;
	s->told_area = true;
	if (s->inflight.map.data)
		log_limited(&s->limit.area, LOG_LEVEL_WARNING,
			    "%s: queue %u of %u entries has no place in the "
			    "front end's in-flight area of %u queues of %u%s: "
			    "if this process is killed, the guest's requests "
			    "under way are lost",
			    s->name, v->index, v->size, s->inflight.nqueues,
			    s->inflight.queue_size,
			    s->inflight.packed ? ", packed" : "");
	else
		log_limited(&s->limit.area, LOG_LEVEL_INFO,
			    "%s: the front end keeps no in-flight area: if "
			    "this process is killed, the guest's requests "
			    "under way are lost",
			    s->name);
}

static void *inflight_for(struct vhost_session *s, const struct vring *v)
{
	bool packed = vhost_session_packed(s);
	void *shared = inflight_of(&s->inflight, v->index, v->size, packed);
	void *own = s->dev->inflight[v->index];

	if (shared)
		return shared;
	tell_area(s, v);
	memset(own, 0, virtq_inflight_bytes(v->size, packed));
	return own;
}

static const char *why_no_start(int r)
{
	return r == -EINVAL ? "its rings are not aligned, or its in-flight "
			      "area is not one" :
			      strerror(-r);
}

static void log_start(struct vhost_session *s, const struct vring *v)
{
	if (v->lost)
		log_limited(&s->limit.lost, LOG_LEVEL_WARNING,
			    "%s: queue %u: %u requests that a back end before "
			    "this one had taken are lost; no in-flight area "
			    "tells of them",
			    s->name, v->index, v->lost);
	log_debug("%s: queue %u starts at %u, size %u", s->name, v->index,
		  v->base, v->size);
}

/* Start a queue whose rings are there: 0, or a negative errno with a reason. */
static int start_mapped(struct vhost_session *s, struct vring *v)
{
	void *inflight = inflight_for(s, v);
	int r;

	virtio_device_up(s->dev, s->features);
	vhost_session_settle(s, v, inflight);
	/* For the back end after this one, where it gets to see them. */
	v->vq->leaves = inflight != s->dev->inflight[v->index];
	r = vring_start(v, virtio_device_features(s->dev), inflight);
	device_down_if_unused(s);
	if (r)
		return vhost_session_wrong(s, "queue %u cannot start: %s",
					   v->index, why_no_start(r));
	__atomic_store_n(&v->early_kick, false, __ATOMIC_RELAXED);
	log_start(s, v);
	return 0;
}

/* Start one queue, if it can: 0, or a negative errno with a reason. */
static int start_one(struct vhost_session *s, struct vring *v)
{
	/* Before the rings are looked at: a kick says that they are there. */
	bool kicked = __atomic_load_n(&v->early_kick, __ATOMIC_ACQUIRE);

	if (!vring_is_ready(v))
		return 0;
	if (vring_is_mapped(v, vhost_session_packed(s)))
		return start_mapped(s, v);
	if (kicked)
		return vhost_session_wrong(s,
					   "queue %u was kicked, but its "
					   "rings are not in a memory region",
					   v->index);
	return 0;
}

int vhost_session_start(struct vhost_session *s)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < s->dev->nqueues; i++)
		r = start_one(s, &s->vring[i]);
	vhost_check_logging(s);
	return r;
}

void vhost_session_wind_up(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		struct virtqueue *vq = s->vring[i].vq;

		if (vq->leaves)
			virtqueue_abandon(vq);
		else
			virtqueue_wind_up(vq);
	}
}

void vhost_session_stop_one(struct vhost_session *s, struct vring *v)
{
	bool ran = v->running;

	vring_stop(v);
	device_down_if_unused(s);
	if (ran && !vhost_session_running(s) && s->owner->ops->stopped)
		s->owner->ops->stopped(s->owner);
}

void vhost_session_stop(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vhost_session_stop_one(s, &s->vring[i]);
}
