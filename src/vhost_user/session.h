/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user session: what one front end and we have agreed on, and what it
 * shares with us, for a device whose way to the driver this is.
 *
 * The struct lives as long as the device and has one session at a time. It
 * belongs to the loop's thread; the queues may be served by other threads (see
 * vhost_user/vring.h), which ring wake_fd when they have news.
 */
#ifndef VHOST_USER_SESSION_H
#define VHOST_USER_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/thread_loop.h"
#include "base/trace.h"
#include "vhost_user/inflight.h"
#include "vhost_user/regions.h"
#include "vhost_user/vring.h"
#include "virtio/device.h"
#include "virtio/transport.h"

enum { VHOST_REASON_MAX = 160 };

struct vhost_session {
	struct transport transport; /* first: the device's way to the driver */
	const char *name;           /* for the log */
	struct trace *trace;        /* the owner sets it after that; or NULL */
	struct virtio_device *dev;
	struct vhost_owner *owner;
	int wake_fd;                   /* eventfd: another thread has news */
	struct write_guard guard;      /* of the queues' event descriptors */
	char reason[VHOST_REASON_MAX]; /* why it is to end */

	uint64_t protocol; /* protocol features of the front end */
	/* What the front end wrote, to be read back; the queues say what is. */
	uint8_t status;
	bool needs_reset;    /* that the device does was told */
	bool config_changed; /* the front end is to be told; atomic */
	int backend_fd;      /* channel for our requests, or -1 */
	struct inflight inflight;
	pthread_mutex_t area_lock; /* of `inflight` and `settled` */
	bool told_area;            /* that requests do not survive us */
	bool told_log;             /* that not all writes are logged */
	bool asked;                /* the owner, for a queue that could start */
	bool waits;                /* such a queue, for his answer */

	/* What is known of the driver, see takeover.c. */
	bool settled;     /* its state is the device's */
	bool taken_over;  /* ... and was, when it was settled */
	bool known;       /* it was settled once in this session ... */
	bool had_driver;  /* ... or in one before */
	bool config_read; /* by the front end, in this session */
	bool config_set;  /* ... and written, since the queues stopped */
	/* What a front end can make us say: none hides another. */
	struct {
		struct log_limit broken, channel, config, area, lost, dirty;
	} limit;
	struct vring vring[VIRTIO_QUEUES_MAX];
	struct regions regions; /* last: large, and most of it never used */
};

/*
 * Make a session for `dev`, none of whose queues runs, of zeroed memory, most
 * of which stays untouched. Every queue i is served by the loop of threads[i],
 * or by `loop` where that is NULL. All pointers outlive the session. 0 or a
 * negative errno.
 */
int vhost_session_init(struct vhost_session *s, const char *name,
		       struct virtio_device *dev, struct vhost_owner *owner,
		       struct loop *loop, struct thread_loop *const *threads);

/* There is no session. */
void vhost_session_finish(struct vhost_session *s);

/* The session is over, no queue runs: give up all that was the front end's. */
void vhost_session_reset(struct vhost_session *s);

/* Say why the session has to end; returns -EPROTO. */
int vhost_session_wrong(struct vhost_session *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* There is something to look at; any thread. */
void vhost_session_wake(const struct vhost_session *s);

/* What a front end has done to us meanwhile: 0, or -EPROTO with a reason. */
int vhost_session_check(struct vhost_session *s);

/* Tell the front end what other threads have noticed. */
void vhost_session_tell(struct vhost_session *s);

/* Whether the front end has accepted a feature, also one of vhost's own. */
static inline bool vhost_session_has(const struct vhost_session *s,
				     unsigned int bit)
{
	return virtio_device_accepted(s->dev) & VHOST_BIT(bit);
}

static inline bool vhost_session_packed(const struct vhost_session *s)
{
	return vhost_session_has(s, VIRTIO_F_RING_PACKED);
}

#endif
