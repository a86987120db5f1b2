/* SPDX-License-Identifier: MIT */
/*
 * What the monitor and the worker of a Xen guest say to each other, and all of
 * it: the monitor has xenstore, images and their locks, the worker has the
 * guest's memory and moves the data.
 *
 *	monitor -> worker	attach, resize, detach
 *	worker -> monitor	ended
 *
 * What is said is plain structs. The monitor waits for the answer to an attach
 * alone; a detach is answered by `ended`, when what was in flight is done.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdint.h>

#include "base/loop.h"
#include "block/image.h"
#include "config/keys.h"

struct worker;
struct worker_owner;

/* Called by the loop, never from within a call of the owner's. */
struct worker_owner_ops {
	/*
	 * A disk that was to be detached is: nothing is in flight, its window
	 * is no more, and its image is in nobody's hands but the owner's.
	 */
	void (*ended)(struct worker_owner *owner, uint64_t id);
};

struct worker_owner {
	const struct worker_owner_ops *ops;
};

/* A disk to attach. What is pointed at is the owner's. */
struct worker_disk {
	uint64_t id;               /* no other attached disk has it */
	const char *name;          /* for the log */
	struct block_image *image; /* open, and stays so until `ended` */
	const struct disk_options *options; /* with nothing left to decide */
	unsigned int domid; /* the same for all that are attached */
	uint64_t base;      /* of its window, a guest address */
	uint32_t irq;
};

/*
 * A worker in `loop`, with the handles that it takes. 0 or a negative errno,
 * logged; then nothing is left.
 */
int worker_open(struct worker **worker, struct loop *loop,
		struct worker_owner *owner);

/*
 * Answer for a disk: 0, or a negative errno and a sentence in `error`. From
 * then on the guest may access it.
 */
int worker_attach(struct worker *worker, const struct worker_disk *disk,
		  char error[BLOCK_ERROR_MAX]);

/* Its image has another size now: the disk has, and its driver is told. */
void worker_resize(struct worker *worker, uint64_t id, uint64_t bytes);

/*
 * Begin to end a disk: whatever the guest does, it is dead from now on. The
 * loop goes on with what is in flight and answers the vCPUs meanwhile.
 */
void worker_detach(struct worker *worker, uint64_t id);

/*
 * End all that is attached without a word to the owner, after waiting for what
 * is in flight if there is anything; then free the worker, which is NULL before
 * it is gone: until then it may be abandoned. NULL is allowed.
 */
void worker_close(struct worker **worker);

/*
 * The process ends now, although requests are in flight: say which, and have
 * Xen send no more accesses. Also in another thread while the loop stands
 * still.
 */
void worker_abandon(struct worker *worker);

/* Log a line of statistics. */
void worker_log_stats(const struct worker *worker);

#endif
