/* SPDX-License-Identifier: MIT */
/*
 * What a device has to know of its driver when queues start: the state that its
 * owner keeps (the cache mode, a failed flush), and which a back end before us
 * may have left in the tail of the in-flight area.
 *
 * A queue that starts is the driver's first, or it is taken over from somebody:
 * from the process before this one, from another host, or from ourselves. Then
 *
 *	an area with a word	says the state
 *	an area without one	came with a driver of whom nothing is known
 *	no area			the state is what it was in this session, else
 *				nothing is known
 *
 * A driver that begins chooses its state by what the front end shows it, which
 * the front end has read from us or written to us. If it has done neither, and
 * is one that comes back to another back end (it keeps an area), it still shows
 * what it had from the one before, of which nothing is known.
 *
 * Failure: what the area says is the front end's; the owner checks it.
 */
#include "vhost_user/takeover.h"

#include <pthread.h>

void vhost_takeover_keep(struct vhost_session *s)
{
	const struct vhost_owner_ops *ops = s->owner->ops;

	pthread_mutex_lock(&s->area_lock);
	/* Not over what a process before us has left and nobody has taken. */
	if (s->settled)
		inflight_save(&s->inflight, ops->state(s->owner));
	pthread_mutex_unlock(&s->area_lock);
}

int vhost_takeover_set_area(struct vhost_session *s,
			    const struct vhost_inflight *of, int fd)
{
	int r = 0;

	pthread_mutex_lock(&s->area_lock);
	s->settled = false;
	inflight_close(&s->inflight);
	if (of)
		r = inflight_open(&s->inflight, of, fd, s->dev->nqueues,
				  vhost_session_packed(s), s->wake_fd);
	pthread_mutex_unlock(&s->area_lock);
	return r;
}

/* Whether the front end shows its driver what a back end before us had said. */
static bool shows_other(const struct vhost_session *s)
{
	return (s->protocol & VHOST_BIT(VHOST_PROTOCOL_F_CONFIG)) &&
	       s->inflight.map.data && !s->config_read && !s->config_set &&
	       !s->had_driver;
}

void vhost_takeover_settle(struct vhost_session *s, const struct vring *v,
			   const void *inflight)
{
	const struct vhost_owner_ops *ops = s->owner->ops;
	bool over = vring_is_taken_over(v, vhost_session_packed(s), inflight);
	uint32_t word;

	/* The first queue may have had no requests yet, where another has. */
	if (s->settled && (!over || s->taken_over || v->has_run))
		return;
	if (over && inflight_saved(&s->inflight, &word))
		ops->taken_over(s->owner, &word, s->config_set);
	else if (over ? !s->known || s->inflight.tail : shows_other(s))
		ops->taken_over(s->owner, NULL, s->config_set);
	pthread_mutex_lock(&s->area_lock);
	s->settled = true;
	pthread_mutex_unlock(&s->area_lock);
	s->taken_over = over;
	s->known = true;
	s->had_driver = true;
	vhost_takeover_keep(s);
}
