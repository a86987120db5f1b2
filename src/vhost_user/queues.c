/* SPDX-License-Identifier: MIT */
/*
 * The queues of a vhost-user session; see vhost_user/queues.h.
 *
 * The device is up for the core while a queue runs. A queue starts when the
 * front end has set all that it needs, on its part of the in-flight area where
 * there is one; where there is none it is served all the same, and the log says
 * what that means.
 *
 * Failure: a queue that cannot start ends the session.
 */
#include "vhost_user/queues.h"

#include <errno.h>
#include <string.h>

#include "vhost_user/takeover.h"

uint32_t vhost_queues_running(const struct vhost_session *s)
{
	uint32_t queues = 0;

	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (s->vring[i].running)
			queues |= 1u << i;
	return queues;
}

static void device_down_if_unused(struct vhost_session *s)
{
	if (vhost_queues_running(s))
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
			    "front end's in-flight area of %u queue%s of %u%s: "
			    "if this process is killed, the guest's requests "
			    "under way are lost",
			    s->name, v->index, v->size, s->inflight.nqueues,
			    log_plural(s->inflight.nqueues),
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

static int cannot_start(struct vhost_session *s, const struct vring *v, int r)
{
	return vhost_session_wrong(s, "queue %u cannot start: %s", v->index,
				   r == -EINVAL ?
					   "its rings are not aligned, or its "
					   "in-flight area is not one" :
					   strerror(-r));
}

static void log_start(struct vhost_session *s, const struct vring *v)
{
	if (v->lost)
		log_limited(&s->limit.lost, LOG_LEVEL_WARNING,
			    "%s: queue %u: %u request%s that a back end "
			    "before this one had taken %s lost; no in-flight "
			    "area tells of them",
			    s->name, v->index, v->lost, log_plural(v->lost),
			    v->lost == 1 ? "is" : "are");
	log_debug("%s: queue %u starts at %u, size %u", s->name, v->index,
		  v->base, v->size);
}

/* Start a queue whose rings are there: 0, or a negative errno with a reason. */
static int start_mapped(struct vhost_session *s, struct vring *v)
{
	void *inflight = inflight_for(s, v);
	int r;

	virtio_device_up(s->dev);
	vhost_takeover_settle(s, v, inflight);
	/* For the back end after this one, where it gets to see them. */
	virtqueue_set_leaves(v->vq, inflight != s->dev->inflight[v->index]);
	r = vring_start(v, virtio_device_features(s->dev), inflight);
	device_down_if_unused(s);
	if (r)
		return cannot_start(s, v, r);
	__atomic_store_n(&v->early_kick, false, __ATOMIC_RELAXED);
	log_start(s, v);
	return 0;
}

/* ... as soon as the owner wants it to. */
static int start_ready(struct vhost_session *s, struct vring *v)
{
	const struct vhost_owner_ops *ops = s->owner->ops;
	int r = ops->may_start ? ops->may_start(s->owner) : 0;

	s->asked = true;
	if (r > 0) {
		s->waits = true;
		return 0;
	}
	return r ? cannot_start(s, v, r) : start_mapped(s, v);
}

/* Start one queue, if it can: 0, or a negative errno with a reason. */
static int start_one(struct vhost_session *s, struct vring *v)
{
	/* Before the rings are looked at: a kick says that they are there. */
	bool kicked = __atomic_load_n(&v->early_kick, __ATOMIC_ACQUIRE);

	if (!vring_is_ready(v))
		return 0;
	if (vring_is_mapped(v, vhost_session_packed(s)))
		return start_ready(s, v);
	if (kicked)
		return vhost_session_wrong(s,
					   "queue %u was kicked, but its "
					   "rings are not in a memory region",
					   v->index);
	return 0;
}

int vhost_queues_start(struct vhost_session *s)
{
	int r = 0;

	s->waits = false;
	for (unsigned int i = 0; r == 0 && i < s->dev->nqueues; i++)
		r = start_one(s, &s->vring[i]);
	vhost_queues_check_log(s);
	return r;
}

/* ---- draining ---- */

static void set_held(struct vhost_session *s, uint32_t queues, bool held)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		if (!(queues & (1u << i)))
			continue;
		s->vring[i].held = held;
		vring_update_pause(&s->vring[i]);
	}
}

void vhost_queues_pause(struct vhost_session *s, uint32_t queues)
{
	set_held(s, queues, true);
}

void vhost_queues_resume(struct vhost_session *s, uint32_t queues)
{
	set_held(s, queues, false);
}

bool vhost_queues_are_drained(struct vhost_session *s, uint32_t queues)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if ((queues & (1u << i)) && !vring_is_drained(&s->vring[i]))
			return false;
	return true;
}

void vhost_queues_forget(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		virtqueue_set_leaves(s->vring[i].vq, false);
	virtio_device_abandon(s->dev);
}

void vhost_queues_wind_up(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		struct virtqueue *vq = s->vring[i].vq;

		if (virtqueue_leaves(vq))
			virtqueue_abandon(vq);
		else
			virtqueue_wind_up(vq);
	}
}

void vhost_queues_stop_one(struct vhost_session *s, struct vring *v)
{
	vring_stop(v);
	device_down_if_unused(s);
	if (!s->asked || vhost_queues_running(s))
		return;
	s->asked = false;
	if (s->owner->ops->stopped)
		s->owner->ops->stopped(s->owner);
}

void vhost_queues_stop(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vhost_queues_stop_one(s, &s->vring[i]);
}

/* ---- threads ---- */

/* Whether queue i is the first one of its thread. */
static bool first_of_thread(const struct vhost_session *s, unsigned int i)
{
	for (unsigned int j = 0; j < i; j++)
		if (s->vring[j].thread == s->vring[i].thread)
			return false;
	return s->vring[i].thread != NULL;
}

void vhost_queues_hold(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (first_of_thread(s, i))
			thread_loop_hold(s->vring[i].thread);
}

void vhost_queues_release(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (first_of_thread(s, i))
			thread_loop_release(s->vring[i].thread);
}

/* ---- dirty log ---- */

void vhost_queues_update_log(struct vhost_session *s)
{
	bool logging = vhost_session_has(s, VHOST_F_LOG_ALL) &&
		       s->regions.log.map.data;

	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		queue_memory_log(&s->vring[i].memory, logging);
}

/* Bytes of the log that has a bit for all that the queues can write. */
static uint64_t log_needed(const struct vhost_session *s)
{
	uint64_t last = regions_last(&s->regions);

	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		const struct vring *v = &s->vring[i];
		uint64_t end = v->memory.used_log + vring_used_bytes(v->size);

		if (v->running && v->memory.log_used &&
		    !v->memory.log_in_place && end > last)
			last = end;
	}
	return dirty_log_bytes(last);
}

void vhost_queues_check_log(struct vhost_session *s)
{
	const struct mapping *map = &s->regions.log.map;
	bool wanted = vhost_session_has(s, VHOST_F_LOG_ALL) &&
		      vhost_queues_running(s);
	bool missing = wanted && (!map->data || map->size < log_needed(s));

	if (missing && !s->told_log)
		log_limited(&s->limit.dirty, LOG_LEVEL_WARNING,
			    "%s: the front end wants to know which pages are "
			    "written, but its log %s: a live migration would "
			    "lose what is written now",
			    s->name, map->data ? "is too small" : "is missing");
	s->told_log = missing;
}
