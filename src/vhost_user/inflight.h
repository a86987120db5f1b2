/* SPDX-License-Identifier: MIT */
/*
 * The area in which requests in flight are noted, shared with the front end so
 * that it outlives us: one part per queue, laid out as the core has it
 * for split or for packed queues, each on cache lines of its own.
 */
#ifndef VHOST_USER_INFLIGHT_H
#define VHOST_USER_INFLIGHT_H

#include "vhost_user/mapping.h"
#include "vhost_user/wire.h"
#include "virtio/queue.h"

struct inflight {
	struct mapping map;	/* no data: no area */
	unsigned int nqueues;
	uint16_t queue_size;
	bool packed;
};

/*
 * Make a new area for what `want` says of queues, and complete `want`. Returns
 * its descriptor, the caller's; -EINVAL for sizes that cannot be; or another
 * negative errno.
 */
int inflight_create(struct vhost_inflight *want, unsigned int nqueues_max,
		    bool packed);

/* Take the area of `fd`, which stays the caller's. 0 or a negative errno. */
int inflight_open(struct inflight *inflight, const struct vhost_inflight *of,
		  int fd, unsigned int nqueues_max, bool packed, int wake_fd);

/* Also for one of zeroes. */
void inflight_close(struct inflight *inflight);

/* The part of a queue of `size` entries, or NULL where there is none. */
void *inflight_of(const struct inflight *inflight, unsigned int queue,
		  uint16_t size, bool packed);

#endif
