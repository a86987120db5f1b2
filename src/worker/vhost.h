/* SPDX-License-Identifier: MIT */
/*
 * Serving one disk to vhost-user front ends, one after the other. All that is
 * said between it and who has the image and its lock is here.
 */
#ifndef WORKER_VHOST_H
#define WORKER_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "block/image.h"
#include "config/keys.h"

struct vhost_image_owner;

/* What is asked of who has the image; both of one that lends. */
struct vhost_image_owner_ops {
	/*
	 * A queue is about to be served: have the lock. 0 or a negative errno,
	 * logged.
	 */
	int (*take)(struct vhost_image_owner *owner);
	/*
	 * No queue is served any more: the lock may be given to whoever wants
	 * it. True if that takes a while: vhost_given() follows.
	 */
	bool (*give)(struct vhost_image_owner *owner);
};

struct vhost_image_owner {
	const struct vhost_image_owner_ops *ops;
};

/* What is pointed at is the owner's. */
struct vhost_settings {
	const char *name;          /* of the disk, for the log */
	struct block_image *image; /* open until after vhost_drain() */
	const struct disk_options *options;
	const char *socket; /* path; NULL: the inherited descriptor `fd` */
	int fd;             /* ... or -1: the one of systemd */
	bool once;          /* end with the first front end */
};

/*
 * Make the device, its threads and its socket in `loop`: 0, or a negative errno
 * and a sentence in `error`. There is one in a process.
 */
int vhost_open(const struct vhost_settings *settings, struct loop *loop,
	       struct vhost_image_owner *owner, char error[BLOCK_ERROR_MAX]);

/*
 * Take front ends, until the loop is left: by the last of them with `once` or
 * on a connected socket, too. As vhost_open().
 */
int vhost_begin(char error[BLOCK_ERROR_MAX]);

/* The image has this size now. In the loop, or while it waits. */
void vhost_resize(uint64_t bytes);

/* The lock is given away, or kept for good. */
void vhost_given(void);

/*
 * Let the requests in flight finish and give the device up: nobody uses the
 * image any more. In the loop: it sees a second signal, which ends that by
 * vhost_abandon(). Also after vhost_open() has failed, or was never called.
 */
void vhost_drain(void);

/* Then: close the socket and what was made. */
void vhost_close(void);

/*
 * End the process at once, with status 1, for the requests in flight do not
 * end. The socket's path is removed before, if it is ours; the log is the
 * caller's.
 */
_Noreturn void vhost_abandon(void);

/* Log a line of statistics. */
void vhost_log_stats(void);

#endif
