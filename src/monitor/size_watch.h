/* SPDX-License-Identifier: MIT */
/*
 * Following the size of images while they are served.
 *
 * One watch for all disks of the process, used by its main thread only.
 */
#ifndef MONITOR_SIZE_WATCH_H
#define MONITOR_SIZE_WATCH_H

#include "base/loop.h"
#include "block/claim.h"

/* One image that is followed; zeroed while it is not. */
struct size_watch {
	struct block_claim *claim;
	const char *name; /* of its disk, for the log */
	/* image->size is another one; called in the loop. */
	void (*changed)(struct size_watch *watch);
	int wd; /* of inotify, or -1 */
	struct size_watch *next;
};

/*
 * Follow the size of an open image, by events of `loop`; `changed` must be set.
 * What cannot be watched is logged, and found at the next size_watch_look().
 */
void size_watch_add(struct size_watch *watch, struct block_claim *claim,
		    const char *name, struct loop *loop);

/* No more; one that was not added is allowed. */
void size_watch_remove(struct size_watch *watch);

/* Look at this one now; one that was not added is allowed. */
void size_watch_look_at(struct size_watch *watch);

/* Look at all sizes now. */
void size_watch_look(void);

#endif
