/* SPDX-License-Identifier: MIT */
/*
 * The area in which requests in flight are noted, shared with the front end so
 * that it outlives us: one part per queue, laid out as the core has it for
 * split or for packed queues, each on cache lines of its own.
 *
 * Behind the parts of an area that we have made is a tail of our own: how large
 * the parts are, which front ends do not say rightly (QEMU before 11.1 asks for
 * its default queue size, whatever the queues have), and one word of the
 * session's owner. The front end can write all of it: what the tail says is
 * copied and checked when the area is opened, and an area with another tail, or
 * none, is laid out as the front end says.
 */
#ifndef VHOST_USER_INFLIGHT_H
#define VHOST_USER_INFLIGHT_H

#include "vhost_user/mapping.h"
#include "vhost_user/wire.h"
#include "virtio/queue.h"

struct inflight_tail;

struct inflight {
	struct mapping map; /* no data: no area */
	unsigned int nqueues;
	uint16_t queue_size;
	bool packed;
	uint64_t part_bytes;
	struct inflight_tail *tail; /* shared; NULL: the area is not ours */
	uint64_t saved;             /* our copy of the tail's word; atomic */
};

/*
 * Make a new area for what `want` says of queues, with room for `size_max`
 * entries in each, and complete `want`. Returns its descriptor, the caller's;
 * -EINVAL for sizes that cannot be; or another negative errno.
 */
int inflight_create(struct vhost_inflight *want, unsigned int nqueues_max,
		    uint16_t size_max);

/* Take the area of `fd`, which stays the caller's. 0 or a negative errno. */
int inflight_open(struct inflight *inflight, const struct vhost_inflight *of,
		  int fd, unsigned int nqueues_max, bool packed, int wake_fd);

/* Also for one of zeroes. */
void inflight_close(struct inflight *inflight);

/* The part of a queue of `size` entries, or NULL where there is none. */
void *inflight_of(const struct inflight *inflight, unsigned int queue,
		  uint16_t size, bool packed);

/*
 * Keep a word that outlives us, where the area has a place for it; any thread.
 * It is there wholly or not at all, whenever the process ends.
 */
void inflight_save(struct inflight *inflight, uint32_t word);

/* The word that was saved last, maybe by a process before us: false if none. */
bool inflight_saved(const struct inflight *inflight, uint32_t *word);

#endif
