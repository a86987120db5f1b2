/* SPDX-License-Identifier: MIT */
/*
 * All disks of a guest: the back-end directories that there are, served or not.
 */
#ifndef MONITOR_GUEST_DISKS_H
#define MONITOR_GUEST_DISKS_H

#include "monitor/guest_disk.h"

struct guest_disks {
	struct guest_disk_host host;
	struct guest_disk *first; /* as many as the toolstack leaves; owned */
};

/* Look at all directories, and do what they ask for. */
void guest_disks_review(struct guest_disks *disks);

/* Disks that the worker has. */
unsigned int guest_disks_active(const struct guest_disks *disks);

/* Have all end that are served. */
void guest_disks_detach(struct guest_disks *disks);

/* The worker has ended one. */
void guest_disks_ended(struct guest_disks *disks, uint64_t devid);

/* Forget all of them. The worker has none any more. */
void guest_disks_forget(struct guest_disks *disks);

#endif
