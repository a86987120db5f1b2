/* SPDX-License-Identifier: MIT */
/*
 * One virtqueue as a vhost-user session sees it: what the front end has set for
 * it, its event descriptors, and the thread that serves it.
 *
 * The functions are called by the session's thread. What touches the running
 * queue they do in the queue's own thread, and wait for it.
 */
#ifndef VHOST_USER_VRING_H
#define VHOST_USER_VRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/thread_loop.h"
#include "base/trace.h"
#include "vhost_user/inflight.h"
#include "vhost_user/regions.h"
#include "vhost_user/write_guard.h"
#include "virtio/device.h"

struct vhost_owner;

struct vhost_owner_ops {
	/*
	 * A queue could start: 0, it may; 1, not yet, and the session is woken
	 * when it is to ask again; or a negative errno, it may not. In the
	 * session's thread. May be NULL.
	 */
	int (*may_start)(struct vhost_owner *owner);
	/*
	 * This queue is about to start: serve it from now on. Called in the
	 * queue's thread; 0 or a negative errno.
	 */
	int (*serve)(struct vhost_owner *owner, unsigned int queue);
	/*
	 * Take what virtqueue_repop() gives of this queue, which has just been
	 * recovered. Called in the queue's thread.
	 */
	void (*resubmit)(struct vhost_owner *owner, unsigned int queue);
	/*
	 * What of the device has to outlive this process, besides requests in
	 * flight, in one word. In any thread.
	 */
	uint32_t (*state)(struct vhost_owner *owner);
	/*
	 * A driver that somebody else has served is about to be served: by the
	 * state that was kept of it, which is the front end's to lie about; or
	 * it is not known (NULL). `chosen`: the front end has written the
	 * configuration since, which holds.
	 */
	void (*taken_over)(struct vhost_owner *owner, const uint32_t *state,
			   bool chosen);
	/* A front end looks at the device for the first time: it is as new. */
	void (*begin)(struct vhost_owner *owner);
	/*
	 * The last queue that ran, or was about to, has stopped. May be NULL.
	 */
	void (*stopped)(struct vhost_owner *owner);
	/*
	 * Whether the front end may be told so; if not, the session is woken
	 * when it may. May be NULL.
	 */
	bool (*is_quiet)(struct vhost_owner *owner);
	/* The session is over: another one may be opened. */
	void (*closed)(struct vhost_owner *owner);
};

struct vhost_owner {
	const struct vhost_owner_ops *ops;
};

struct vring {
	unsigned int index;
	struct virtqueue *vq;
	struct vhost_owner *owner;
	struct trace *const *trace; /* the session's; it may have none */
	struct loop *loop;          /* that serves it ... */
	struct thread_loop *thread; /* ... here; NULL: the session's thread */
	int wake_fd;                /* the session's */
	struct queue_memory memory;

	/* As the front end has set it. */
	uint16_t size; /* entries; 0: not set */
	uint32_t base; /* where it starts, see virtqueue_base() */
	bool has_addr;
	struct vhost_vring_addr addr;
	bool enabled;
	int err_fd; /* or -1 */
	struct guarded_write err_write;

	bool running;
	uint16_t lost; /* requests of a back end before, at the start */
	bool held;     /* paused for a change by the session */

	/* The queue's thread's. */
	int call_fd; /* or -1 */
	struct guarded_write call_write;
	bool blocks;             /* an event descriptor held us up; atomic */
	bool has_run;            /* a new call_fd is to be told at once */
	struct loop_source kick; /* fd -1: none */
	bool early_kick;         /* kicked, but not running; atomic */
};

/* Ready for a front end; vq and threads are set. */
void vring_init(struct vring *v, const struct regions *regions);

/* Give these up, stop watching them; the queue must not run. */
void vring_finish(struct vring *v);

/*
 * Set an event descriptor, owned from here on, or -1 for none. 0, -EINVAL for
 * what is not an eventfd, or an errno of epoll.
 */
int vring_set_kick(struct vring *v, int fd);
int vring_set_call(struct vring *v, int fd);
int vring_set_err(struct vring *v, int fd);

/* Whether the front end has set all that a start needs. */
bool vring_is_ready(const struct vring *v);

/* Whether the rings are in guest memory. */
bool vring_is_mapped(const struct vring *v, bool packed);

/*
 * Whether somebody has served this queue of this driver before, by its rings,
 * which are mapped, its position and its part of the in-flight area.
 */
bool vring_is_taken_over(const struct vring *v, bool packed,
			 const void *inflight);

/*
 * Start, with what is noted in flight in `inflight` (if anything) first; it is
 * ready and mapped. 0; -EINVAL for rings or an in-flight area that cannot be;
 * or another negative errno of the owner, who cannot serve the queue.
 */
int vring_start(struct vring *v, uint64_t features, void *inflight);

/* Take no more chains while not enabled or held. */
void vring_update_pause(struct vring *v);

/* Whether nothing is in flight. */
bool vring_is_drained(struct vring *v);

/* Stop; nothing is in flight. The position becomes the new base. */
void vring_stop(struct vring *v);

/* Whether the driver broke the rules of the ring. */
bool vring_is_broken(struct vring *v);

/* Tell the front end that the ring is broken. */
void vring_signal_error(struct vring *v);

/* Whether the front end held us up, which will not happen again. */
bool vring_blocks(const struct vring *v);

/* Send the driver a used buffer notification. In the queue's thread. */
void vring_notify(struct vring *v);

#endif
