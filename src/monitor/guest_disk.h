/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest as libxl sees it: a back-end directory, what was said
 * of it, and the image that is open for it. It knows nothing of virtio: who
 * serves it is the worker.
 */
#ifndef MONITOR_GUEST_DISK_H
#define MONITOR_GUEST_DISK_H

#include "monitor/disk_held.h"

void guest_disk_init(struct guest_disk *gd, const struct guest_disk_host *host,
		     uint64_t devid);

/* Look at the directory, and do what it asks for. `full`: there is no room. */
void guest_disk_review(struct guest_disk *gd, bool full);

/* Whether the worker has it, or awaits it, or is asked for it. */
bool guest_disk_is_active(const struct guest_disk *gd);

/* Whether it is left by another process or worker, and not taken up yet. */
bool guest_disk_is_left(const struct guest_disk *gd);

/*
 * Take up one that is left, if that can be done now: its image may still be in
 * use by the requests of who had it before, and then it stays left.
 */
void guest_disk_take_up(struct guest_disk *gd);

/* The worker's answer to who has asked it: as worker_owner_ops->attached(). */
void guest_disk_attached(struct guest_disk *gd, int result, const char *error);

/*
 * The worker is gone, and its requests may be in flight: one that it had, or
 * was asked for, is left.
 */
void guest_disk_lost(struct guest_disk *gd);

/* Whether the worker was asked for it, and has not said yet what it has. */
bool guest_disk_is_asked(const struct guest_disk *gd);

/*
 * One that is left, and that workers die of, as it seems: the next one is to
 * give it up (see worker_disk.broken).
 */
void guest_disk_break(struct guest_disk *gd);

/* Whether its driver has reset it since then: once. */
bool guest_disk_was_reset(struct guest_disk *gd);

/* Have a disk end, if it is served or left, or is to be. */
void guest_disk_detach(struct guest_disk *gd);

/* The worker has ended it: close the image and tell libxl. */
void guest_disk_ended(struct guest_disk *gd);

/* Close what is open. The worker has none of it any more. */
void guest_disk_finish(struct guest_disk *gd);

#endif
