/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest as libxl sees it: a back-end directory, what was said
 * of it, and the image that is open for it. It knows nothing of virtio: who
 * serves it is the worker.
 */
#ifndef MONITOR_GUEST_DISK_H
#define MONITOR_GUEST_DISK_H

#include "base/loop.h"
#include "block/image.h"
#include "config/keys.h"
#include "monitor/size_watch.h"
#include "toolstack/backend.h"
#include "worker/worker.h"

enum guest_disk_state {
	GUEST_DISK_FOUND,  /* a directory, not looked at yet */
	GUEST_DISK_UNTOLD, /* served, which libxl does not know yet */
	GUEST_DISK_SERVED,
	GUEST_DISK_CLOSING,  /* the worker ends it */
	GUEST_DISK_UNCLOSED, /* it has ended, libxl does not know yet */
	GUEST_DISK_SETTLED,  /* closed or refused, and that was said */
	GUEST_DISK_FOREIGN,  /* another instance's: its end is not ours */
};

/* What all disks of a guest have in common. */
struct guest_disk_host {
	struct store *store;
	struct worker *worker;
	struct loop *loop;
	const struct disk_options *overrides; /* of the command line */
	unsigned int noverrides;
	const char *guest; /* its name */
	int domid;
};

struct guest_disk {
	struct guest_disk *next;
	const struct guest_disk_host *host;
	enum guest_disk_state state;
	bool seen; /* for who forgets those that are gone */
	uint64_t devid;
	char path[BACKEND_PATH_MAX];
	char name[DISK_NAME_MAX]; /* once it is served */
	struct block_image image; /* while it is served or closing */
	struct size_watch size;   /* of it, while it is served */
};

void guest_disk_init(struct guest_disk *gd, const struct guest_disk_host *host,
		     uint64_t devid);

/* Look at the directory, and do what it asks for. `full`: there is no room. */
void guest_disk_review(struct guest_disk *gd, bool full);

/* Whether there is an image open, and the worker has it. */
bool guest_disk_is_active(const struct guest_disk *gd);

/* Have a disk end, if it is served. */
void guest_disk_detach(struct guest_disk *gd);

/* The worker has ended it: close the image and tell libxl. */
void guest_disk_ended(struct guest_disk *gd);

/* Close what is open. The worker has none of it any more. */
void guest_disk_finish(struct guest_disk *gd);

#endif
