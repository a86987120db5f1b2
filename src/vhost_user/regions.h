/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory: regions of files that the front end shares with us.
 *
 * A region has a guest address, by which descriptors name its bytes, and the
 * front end's own ("user") address, by which the rings are named. Neither may
 * overlap another region's.
 *
 * Queues look regions up without a lock: whoever changes the table first stops
 * all of their threads.
 */
#ifndef VHOST_USER_REGIONS_H
#define VHOST_USER_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost_user/dirty_log.h"
#include "vhost_user/mapping.h"
#include "vhost_user/wire.h"
#include "virtio/memory.h"

struct region {
	uint64_t guest;
	uint64_t size;
	uint64_t user;
	struct mapping map;
};

struct regions {
	struct dirty_log log;
	unsigned int n;
	struct region region[VHOST_REGIONS_MAX]; /* by guest address */
};

/*
 * Add a region of `fd`, which stays the caller's. 0, or a negative errno of
 * mapping_open() or
 *  -EINVAL  not at the start of a page, or addresses that run over
 *  -EEXIST  overlaps another region
 *  -ENOSPC  too many
 */
int regions_add(struct regions *regions, const struct vhost_region *new, int fd,
		int wake_fd);

/* Remove the region with these addresses and this size: 0 or -ENOENT. */
int regions_remove(struct regions *regions, const struct vhost_region *old);

/* Unmap all regions; the log stays. */
void regions_clear(struct regions *regions);

/* The last guest address that a region has; 0 without any. */
uint64_t regions_last(const struct regions *regions);

/* Whether a peer has truncated a region or the log under us. */
bool regions_torn(const struct regions *regions);

/* The byte at user address `addr`, if one region has `len` bytes there. */
void *regions_from_user(const struct regions *regions, uint64_t addr,
			uint64_t len);

/* What one queue sees of the regions. */
struct queue_memory {
	struct guest_memory mem;
	const struct regions *regions;
	bool log_used;     /* log writes to the used ring ... */
	uint64_t used_log; /* ... as if it were at this guest address */
	bool log_in_place; /* a packed ring: log what was written itself */
};

/* Look `regions` up; with `logging` note what is written in their log. */
void queue_memory_init(struct queue_memory *qm, const struct regions *regions);
void queue_memory_log(struct queue_memory *qm, bool logging);

/*
 * Forget the regions that were found last. To be called before a queue runs
 * again after a region has been removed.
 */
void queue_memory_forget(struct queue_memory *qm);

#endif
