/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user session: one front end that drives a virtio device.
 *
 * The struct lives as long as the device and serves one connection at a time.
 * Its messages are handled in the session's loop; the queues may be served by
 * other threads (see vhost_user/vring.h).
 *
 * A change that the driver must not see half done (stopping a queue, exchanging
 * its memory, the end) first waits until nothing is in flight, without
 * blocking: no further message is read until it is made and answered.
 */
#ifndef VHOST_USER_SESSION_H
#define VHOST_USER_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "vhost_user/inflight.h"
#include "vhost_user/message.h"
#include "vhost_user/regions.h"
#include "vhost_user/vring.h"
#include "virtio/device.h"
#include "virtio/transport.h"

enum { VHOST_REASON_MAX = 160 };

struct vhost_session {
	struct transport transport; /* first: the device's way to the driver */
	const char *name;           /* for the log */
	struct virtio_device *dev;
	struct vhost_owner *owner;
	struct loop *loop;
	struct write_guard guard;  /* of the queues' event descriptors */
	struct loop_source wake;   /* eventfd: another thread has news */
	struct loop_source socket; /* fd -1: no session */
	bool reading;              /* the socket is watched */
	bool closing;
	bool deaf; /* ... should be, and cannot */

	struct vhost_message message;
	struct loop_timer stall;       /* half a message has come */
	int reply_fd;                  /* goes with the reply; or -1 */
	char reason[VHOST_REASON_MAX]; /* why a message is wrong */

	/* While a change waits for queues to drain. */
	uint32_t draining;                     /* bits of the queues */
	void (*then)(struct vhost_session *s); /* NULL: none waits */
	bool until_quiet; /* and for the owner, see its is_quiet() */

	uint64_t features;   /* of the front end, vhost's bits included */
	uint64_t protocol;   /* protocol features of the front end */
	uint8_t status;      /* as the front end wrote it */
	bool needs_reset;    /* ... was told to the front end */
	bool config_changed; /* the front end is to be told; atomic */
	int backend_fd;      /* channel for our requests, or -1 */
	struct inflight inflight;
	pthread_mutex_t area_lock; /* of `inflight` and `settled` */
	bool told_area;            /* that requests do not survive us */
	bool told_log;             /* that not all writes are logged */

	/* What is known of the driver, see takeover.c. */
	bool settled;     /* its state is the device's */
	bool taken_over;  /* ... and was, when it was settled */
	bool known;       /* it was settled once in this session ... */
	bool had_driver;  /* ... or in one before */
	bool config_read; /* by the front end, in this session */
	bool config_set;  /* ... and written, since the queues stopped */
	/* What a front end can make us say: none hides another. */
	struct {
		struct log_limit end, wrong, broken, channel, config, area,
			lost, dirty;
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

/* Nothing is connected. */
void vhost_session_finish(struct vhost_session *s);

/* Talk to the front end on `fd`, owned from here on. 0 or a negative errno. */
int vhost_session_open(struct vhost_session *s, int fd);

bool vhost_session_is_open(const struct vhost_session *s);

/*
 * We end by ourselves: when the requests in flight are done, or left to whoever
 * serves the driver next; then owner's closed().
 */
void vhost_session_close(struct vhost_session *s);

/* ---- for requests.c ---- */

/* What a handler answers; or a negative errno, with a reason. */
enum vhost_answer {
	VHOST_ANSWER_OK,      /* done; acknowledge if that is wanted */
	VHOST_ANSWER_REFUSED, /* not done, and said so; the session goes on */
	VHOST_ANSWER_REPLY,   /* the message is the reply now */
	VHOST_ANSWER_LATER,   /* vhost_session_answer() will be called */
};

struct vhost_request_kind {
	const char *name;
	/* The message is checked against the rest of this struct before. */
	int (*handle)(struct vhost_session *s, struct vhost_message *m);
	uint16_t size_min; /* bytes of payload */
	uint16_t size_max;
	uint8_t fds_min;
	uint8_t fds_max;
	uint64_t needs; /* protocol features, negotiated before */
	bool replies;   /* its own way, so never acknowledged */
};

/* NULL for a number that is no request of a front end we know. */
const struct vhost_request_kind *vhost_request_kind(uint32_t request);

/* Say why a message is wrong; returns -EPROTO. */
int vhost_session_wrong(struct vhost_session *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Answer the message that a handler left for later. */
void vhost_session_answer(struct vhost_session *s, int answer);

/* Pause these queues, and call `then` when nothing of them is in flight. */
void vhost_session_drain(struct vhost_session *s, uint32_t queues,
			 void (*then)(struct vhost_session *s));

/* As that, when the owner says that it is quiet: see vhost_owner_ops. */
void vhost_session_when_quiet(struct vhost_session *s,
			      void (*then)(struct vhost_session *s));

/* Whether the front end has taken packed virtqueues. */
static inline bool vhost_session_packed(const struct vhost_session *s)
{
	return s->features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
}

#endif
