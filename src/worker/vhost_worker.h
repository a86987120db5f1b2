/* SPDX-License-Identifier: MIT */
/*
 * A device that is served to vhost-user front ends, one after the other: what
 * the worker does of what worker/vhost.h says. There is one in a process.
 */
#ifndef WORKER_VHOST_WORKER_H
#define WORKER_VHOST_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "block/image.h"
#include "config/keys.h"

struct vhost_worker_owner;

/* By the loop, or from within what it has called of the device. */
struct vhost_worker_owner_ops {
	/* Of an image that lends: as worker/vhost.h. */
	void (*take)(struct vhost_worker_owner *owner);
	void (*give)(struct vhost_worker_owner *owner);
	/* The front end has gone: the next one may come. */
	void (*left)(struct vhost_worker_owner *owner);
	/* See vhost_worker_end(). */
	void (*ended)(struct vhost_worker_owner *owner);
};

struct vhost_worker_owner {
	const struct vhost_worker_owner_ops *ops;
};

/* What is pointed at is the owner's. */
struct vhost_worker_settings {
	const char *name;          /* of the disk, for the log */
	struct block_image *image; /* open until the end */
	const struct disk_options *options;
	bool locked; /* the image lends, and we have its lock */
	int area_fd; /* for one ring of events (base/trace_area.h); or -1 */
	bool traces; /* each request */
};

/*
 * Make the device and its threads in `loop`: 0, or a negative errno and a
 * sentence in `error`. Then, too, it has to be ended.
 */
int vhost_worker_open(const struct vhost_worker_settings *settings,
		      struct loop *loop, struct vhost_worker_owner *owner,
		      char error[BLOCK_ERROR_MAX]);

/* Front ends may come, as the log is told; `where` is for that. */
void vhost_worker_listen(const char *where);

/*
 * Serve a front end at the other end of `fd`, owned from here on; there is
 * none. left() follows, but at our own end. Or a negative errno.
 */
int vhost_worker_serve(int fd);

/* Whether there is one. */
bool vhost_worker_serves(void);

/* The answers to take() and give(); those that were not asked for are none. */
void vhost_worker_taken(int result);
void vhost_worker_given(void);

/* The image has this size now. */
void vhost_worker_resize(uint64_t bytes);

/*
 * Let the requests in flight finish and give the device up: nobody uses the
 * image any more when ended() is called, by the loop. Once.
 */
void vhost_worker_end(void);

/* Log a line of statistics. */
void vhost_worker_log_stats(void);

/* Trace each request from now on, or not any more. */
void vhost_worker_trace(bool on);

#endif
