/* SPDX-License-Identifier: MIT */
/*
 * What is known of a driver whose queues start, and what of it outlives this
 * process: in the in-flight area, which the front end keeps.
 */
#ifndef VHOST_USER_TAKEOVER_H
#define VHOST_USER_TAKEOVER_H

#include "vhost_user/session.h"

/*
 * What owner's state() says has changed: keep it where it outlives us. In any
 * thread.
 */
void vhost_takeover_keep(struct vhost_session *s);

/*
 * Take the in-flight area that `of` tells of, or none (NULL), instead of the
 * one before. 0 or a negative errno of inflight_open().
 */
int vhost_takeover_set_area(struct vhost_session *s,
			    const struct vhost_inflight *of, int fd);

/* A queue that is mapped is about to start: what is known of its driver? */
void vhost_takeover_settle(struct vhost_session *s, const struct vring *v,
			   const void *inflight);

#endif
