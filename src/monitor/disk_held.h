/* SPDX-License-Identifier: MIT */
/*
 * What a monitor holds of a disk of a Xen guest: the claim of its image, the
 * watch of its size and the file of its state; and how it gets them, and hands
 * them to the worker. What becomes of the disk is guest_disk.c's to say.
 */
#ifndef MONITOR_DISK_HELD_H
#define MONITOR_DISK_HELD_H

#include "base/loop.h"
#include "block/claim.h"
#include "config/config_file.h"
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
	const struct config_file *defaults;   /* of all disks */
	const struct config_file *file;       /* of the guest */
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
	bool unwanted;     /* whatever libxl says */
	bool breaks;       /* the next worker is to give it up */
	uint64_t asked_ns; /* when the last one was asked for it */
	struct patience patience;
	/* A worker has given it up, and its driver may not have reset it. */
	bool broken;
};

/*
 * From what the directory says to the open image: 0, or a negative errno and a
 * sentence. `o` is to be finished in any case. A kept image is asked whether
 * anything of the worker before is in flight.
 */
int disk_held_prepare(struct guest_disk *gd, struct disk_options *o,
		      enum block_in_use in_use, char error[BLOCK_ERROR_MAX]);

/*
 * Its image is open: 0, and the worker is asked; or a negative errno and a
 * sentence, and it is open only if it is kept.
 */
int disk_held_attach(struct guest_disk *gd, const struct disk_options *o,
		     char error[BLOCK_ERROR_MAX]);

/* It is not attached, and may be later. */
void disk_held_step_back(struct guest_disk *gd);

/* Which image its state is of, for who comes after this process. */
void disk_held_note_image(const struct guest_disk *gd);

void disk_held_close_claim(struct guest_disk *gd);

/* The worker has none of it any more, and no next one shall. */
void disk_held_remove_state(struct guest_disk *gd);

/* All of it; the state stays where it is. */
void disk_held_close(struct guest_disk *gd);

#endif
