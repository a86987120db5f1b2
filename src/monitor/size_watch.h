/* SPDX-License-Identifier: MIT */
/*
 * Following the size of images while they are served.
 *
 * One watch for all disks of the process, used by its main thread only.
 */
#ifndef MONITOR_SIZE_WATCH_H
#define MONITOR_SIZE_WATCH_H

#include "disk/disk.h"

/*
 * Follow the size of a disk's image, by events of `loop`. What cannot be
 * watched is logged, and found at the next size_watch_look().
 */
void size_watch_add(struct disk *disk, struct loop *loop);

/* No more; a disk that was not added is allowed. */
void size_watch_remove(struct disk *disk);

/* Look at all sizes now. */
void size_watch_look(void);

#endif
