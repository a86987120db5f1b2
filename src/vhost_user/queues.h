/* SPDX-License-Identifier: MIT */
/*
 * The queues of a vhost-user session, together: which of them run, and what is
 * done to all of them at once. The device is up for the core while one runs.
 */
#ifndef VHOST_USER_QUEUES_H
#define VHOST_USER_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost_user/session.h"

/* Bits of the queues that run. */
uint32_t vhost_queues_running(const struct vhost_session *s);

/*
 * Start those that can: 0, or a negative errno with a reason. What the owner
 * has wait is to be tried again when the session is woken.
 */
int vhost_queues_start(struct vhost_session *s);

/* Stop all, or one: they are drained. */
void vhost_queues_stop(struct vhost_session *s);
void vhost_queues_stop_one(struct vhost_session *s, struct vring *v);

/*
 * Let these queues take nothing more, until what is in flight of them is done;
 * and go on, those that still run.
 */
void vhost_queues_pause(struct vhost_session *s, uint32_t queues);
bool vhost_queues_are_drained(struct vhost_session *s, uint32_t queues);
void vhost_queues_resume(struct vhost_session *s, uint32_t queues);

/* The driver wants no answers any more, and nobody will go on with requests. */
void vhost_queues_forget(struct vhost_session *s);

/*
 * We end by ourselves, and the driver goes on with somebody else: a long
 * request is left where the front end keeps what is in flight, and given back
 * to the ring where that is possible; else it is finished.
 */
void vhost_queues_wind_up(struct vhost_session *s);

/* Make all queues' threads stand still while what they share changes. */
void vhost_queues_hold(struct vhost_session *s);
void vhost_queues_release(struct vhost_session *s);

/* They log what they write from now on, or no more; they stand still. */
void vhost_queues_update_log(struct vhost_session *s);

/*
 * Say so where a front end wants the pages logged that its queues write, and
 * has given no log, or one that is too small.
 */
void vhost_queues_check_log(struct vhost_session *s);

#endif
