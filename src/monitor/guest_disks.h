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
	/*
	 * What the last worker was at when it died: the first that it was asked
	 * for and had not answered; or NULL.
	 */
	struct guest_disk *suspect;
};

/*
 * Find those that the process before has left, of which the guest's states and
 * the worker tell.
 */
void guest_disks_find_left(struct guest_disks *disks);

/*
 * Whether somebody names a device of a line virtio=[...], which are in another
 * directory of xenstore, to be watched.
 */
bool guest_disks_wants_generic(const struct guest_disks *disks);

/* Look at all directories, and do what they ask for. */
void guest_disks_review(struct guest_disks *disks);

/* Take up those that are left, as far as that can be done now. */
void guest_disks_take_up(struct guest_disks *disks);

/* How many are left still. */
unsigned int guest_disks_left(const struct guest_disks *disks);

/* Disks that the worker has or awaits. */
unsigned int guest_disks_active(const struct guest_disks *disks);

/*
 * What the worker answers for one that it was asked for. Returns whether that
 * one is to be tried again later.
 */
bool guest_disks_attached(struct guest_disks *disks, uint64_t devid, int result,
			  const char *error);

/* Have all end that are served or left, or are to be. */
void guest_disks_detach(struct guest_disks *disks);

/* The worker has ended one. */
void guest_disks_ended(struct guest_disks *disks, uint64_t devid);

/* The worker that had them is gone, and its requests may be in flight still. */
void guest_disks_lost(struct guest_disks *disks);

/*
 * Workers die again and again: the next one is to give disks up. That which the
 * last one has died of, where that is known and `all` are not wanted.
 */
void guest_disks_break(struct guest_disks *disks, bool all);

/* Whether any that was given up has been reset since then: once for each. */
bool guest_disks_were_reset(struct guest_disks *disks);

/* Forget all of them, also their images. The worker has none any more. */
void guest_disks_forget(struct guest_disks *disks);

#endif
