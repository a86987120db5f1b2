/* SPDX-License-Identifier: MIT */
/*
 * What the monitor of a disk that is served over vhost-user and its worker say
 * to each other, and all of it: the monitor has the image, its lock and the
 * socket, on which it accepts front ends, the worker talks to them, has their
 * memory and moves the data.
 *
 *	monitor -> worker	open, listen, front end, taken, given, resize,
 *				leave
 *	worker -> monitor	opened, front end left, take, give
 *
 * As in worker/worker.h nothing of it is waited for; answers come by the loop.
 *
 *	open		the image, of which a device is made
 *	   |
 *	opened
 *	   |
 *	listen		front ends may come
 *	   |
 *	front end, left	... one after the other
 *	   |
 *	take, taken	of an image that lends: a queue is to be served, so its
 *	   |		lock has to be ours ...
 *	give, given	... and no queue is any more: all is flushed, whoever
 *	   |		wants the lock may have it
 *	leave		what is in flight is finished, or left to who serves
 *			the driver next
 *
 * A worker may be gone at any time. What a driver has in flight is in an area
 * that its front end keeps, so with the next worker, to which that connects
 * again, it goes on.
 */
#ifndef WORKER_VHOST_H
#define WORKER_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "block/part.h"
#include "config/keys.h"

struct vhost;
struct vhost_monitor;
struct worker_starter;

/* By the loop, never from within a call of the owner's. */
struct vhost_monitor_ops {
	/*
	 * The answer to vhost_open(): 0, or a negative errno and a sentence,
	 * and there is no device.
	 */
	void (*opened)(struct vhost_monitor *monitor, int result,
		       const char *error);
	/* Have the lock, and say so: vhost_taken(). */
	void (*take)(struct vhost_monitor *monitor);
	/* Nothing is in flight, and all is flushed: vhost_given(). */
	void (*give)(struct vhost_monitor *monitor);
	/* The front end has gone: the next one may come. */
	void (*front_end_left)(struct vhost_monitor *monitor);
	/* There is no worker any more; `left`: as it was told. */
	void (*gone)(struct vhost_monitor *monitor, bool left);
};

struct vhost_monitor {
	const struct vhost_monitor_ops *ops;
};

struct vhost_wanted {
	const char *name;        /* for the log */
	struct block_part *part; /* the worker's, whatever comes of it */
	const struct disk_options *options; /* with nothing left to decide */
	bool locked; /* the lock of one that lends is ours, and the part's */
};

/*
 * Workers of a monitor in `loop`, one at a time; none yet. Who starts them has
 * to stay as long. 0 or a negative errno.
 */
int vhost_create(struct vhost **vhost, struct loop *loop,
		 struct vhost_monitor *monitor, struct worker_starter *starter);

/* None runs. NULL is allowed. */
void vhost_free(struct vhost **vhost);

/*
 * Start a worker, none runs, and have it make a device. 0; or a negative errno,
 * and there is none.
 */
int vhost_open(struct vhost *vhost, const struct vhost_wanted *wanted);

/* It was opened, and front ends may come; `where` is for the log. */
void vhost_listen(struct vhost *vhost, const char *where);

/*
 * One has connected: serve it. `fd` stays the monitor's to close, whatever
 * comes of it. There is one at a time: front_end_left() follows.
 */
void vhost_front_end(struct vhost *vhost, int fd);

/* The lock is ours: 0; or a negative errno, which was logged. */
void vhost_taken(struct vhost *vhost, int result);

/* The lock is given away. */
void vhost_given(struct vhost *vhost);

/* The image has this size now. */
void vhost_resize(struct vhost *vhost, uint64_t bytes);

/*
 * Let the requests in flight finish and give the device up: nobody uses the
 * image then, and gone() follows. Nothing, if none runs.
 */
void vhost_leave(struct vhost *vhost);

/* Whether there is one, maybe one that leaves. */
bool vhost_runs(const struct vhost *vhost);

/*
 * This process ends now: have the worker end as well, without waiting for its
 * requests in flight. Also in another thread while the loop stands still.
 */
void vhost_abandon(struct vhost *vhost);

/* Have it log a line of statistics. */
void vhost_log_stats(struct vhost *vhost);

/* As worker_trace() and worker_log_events(). */
void vhost_trace(struct vhost *vhost, bool on);
void vhost_log_events(struct vhost *vhost);

#endif
