/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest as libxl sees it: a back-end directory, what was said
 * of it, and the image that is open for it. It knows nothing of virtio: who
 * serves it is the worker.
 */
#ifndef MONITOR_GUEST_DISK_H
#define MONITOR_GUEST_DISK_H

#include "base/loop.h"
#include "block/claim.h"
#include "config/keys.h"
#include "monitor/patience.h"
#include "monitor/size_watch.h"
#include "monitor/state_dir.h"
#include "toolstack/backend.h"
#include "worker/worker.h"

enum guest_disk_state {
	GUEST_DISK_FOUND,     /* a directory, not looked at yet */
	GUEST_DISK_LEFT,      /* by the worker or the process before */
	GUEST_DISK_ATTACHING, /* the worker is asked for it */
	GUEST_DISK_ADOPTING,  /* ... for one that was left */
	GUEST_DISK_UNTOLD,    /* served, which libxl does not know yet */
	GUEST_DISK_SERVED,
	GUEST_DISK_CLOSING,  /* the worker ends it */
	GUEST_DISK_UNCLOSED, /* it has ended, libxl does not know yet */
	GUEST_DISK_SETTLED,  /* closed or refused, and that was said */
	GUEST_DISK_FOREIGN,  /* of a process whose state is not known */
};

/* Whose image stays open although the worker that had it is gone. */
enum guest_disk_kept {
	KEPT_NOT,
	KEPT_NEW,    /* one that was to be attached; the guest may know it */
	KEPT_UNTOLD, /* one that libxl may not know of */
	KEPT_TOLD,   /* ... or does */
};

/* What all disks of a guest have in common. */
struct guest_disk_host {
	struct store *store;
	struct worker *worker;
	struct loop *loop;
	const struct state_dir *states; /* NULL: none outlives the process */
	const struct disk_options *overrides; /* of the command line */
	unsigned int noverrides;
	const char *guest; /* its name */
	const char *vm;    /* what tells it from others; or NULL */
	int domid;
};

struct guest_disk {
	struct guest_disk *next;
	const struct guest_disk_host *host;
	enum guest_disk_state state;
	bool seen; /* for who forgets those that are gone */
	uint64_t devid;
	char path[BACKEND_PATH_MAX];
	struct backend said;      /* when it was last asked for */
	char name[DISK_NAME_MAX]; /* once that was read */
	/* While the worker is asked for it or has it, or it is kept: */
	struct block_claim claim;
	enum guest_disk_kept kept;
	struct size_watch size; /* of it, but while it is closing */
	int state_fd;           /* or -1 */
	/* While it is left, or the worker is asked: */
	bool unwanted; /* whatever libxl says */
	struct patience patience;
};

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

/* Have a disk end, if it is served or left, or is to be. */
void guest_disk_detach(struct guest_disk *gd);

/* The worker has ended it: close the image and tell libxl. */
void guest_disk_ended(struct guest_disk *gd);

/* Close what is open. The worker has none of it any more. */
void guest_disk_finish(struct guest_disk *gd);

#endif
