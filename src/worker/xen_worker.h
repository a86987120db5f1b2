/* SPDX-License-Identifier: MIT */
/*
 * The worker of a Xen guest, as its own process sees it: what a monitor may say
 * to it (worker/worker.h), done at once. Only `ended` comes later, by the loop.
 */
#ifndef WORKER_XEN_WORKER_H
#define WORKER_XEN_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "block/image.h"
#include "config/keys.h"

struct xen_worker;
struct xen_worker_owner;

/* Called by the loop, never from within a call of the owner's. */
struct xen_worker_owner_ops {
	/*
	 * A disk that was to be detached is: nothing is in flight, its window
	 * is no more, and its image is in nobody's hands but the owner's.
	 */
	void (*ended)(struct xen_worker_owner *owner, uint64_t id);
	/*
	 * A store is waited for in place, now and then meanwhile: the worker is
	 * alive, although its loop stands still. From within a call.
	 */
	void (*waits)(struct xen_worker_owner *owner);
};

struct xen_worker_owner {
	const struct xen_worker_owner_ops *ops;
};

/* A disk to attach. What is pointed at is the owner's. */
struct xen_worker_disk {
	uint64_t id;      /* no other disk has it: from here to its end */
	const char *name; /* for the log */
	struct block_image *image;          /* open, and stays so: as long */
	const struct disk_options *options; /* with nothing left to decide */
	uint64_t base;                      /* of its window, a guest address */
	uint32_t irq;
	/*
	 * Of a file for its state, which the worker sizes; stays the owner's.
	 * Or -1: the disk ends with the process.
	 */
	int state_fd;
	/*
	 * Go on with the state in the file, if it is awaited: what is not
	 * awaited no guest has seen, and it is made anew as any other. Queues
	 * and legacy interface are those of the state then, whatever the
	 * options say.
	 */
	bool adopt;
	bool broken; /* ... and none of its queues: see disk_give_up() */
};

/*
 * A worker in `loop`, with the handles that it takes. 0 or a negative errno,
 * logged; then nothing is left.
 */
int xen_worker_open(struct xen_worker **worker, struct loop *loop,
		    struct xen_worker_owner *owner);

/*
 * Note in memory of the owner's (base/trace_area.h), which is for DISKS_MAX
 * rings, what happens to disks that are attached from now on; -1: there is
 * none. `on`: trace each request of all disks.
 */
void xen_worker_trace(struct xen_worker *worker, int area_fd, bool on);

/*
 * The guest whose disks are attached from now on; none is at the time, and what
 * was awaited is not any more. `state_fd` is of a file for what the guest's
 * disks have in common, which the worker sizes if it is empty, or -1: nothing
 * outlives the process. It stays the owner's and open.
 *
 * A server that the file tells of is taken over. 0, also if there is none or it
 * is gone; or a negative errno and a sentence in `error`, then no disk can be
 * attached, and file and guest are as they were: the owner may begin with
 * another file.
 */
int xen_worker_begin(struct xen_worker *worker, unsigned int domid,
		     int state_fd, char error[BLOCK_ERROR_MAX]);

/*
 * Whether disk `id` is one of the worker before this one, and neither attached
 * nor disowned yet.
 */
bool xen_worker_awaits(const struct xen_worker *worker, uint64_t id);

/* The ids of all of those: how many. */
unsigned int xen_worker_awaited(const struct xen_worker *worker,
				uint64_t id[DISKS_MAX]);

/*
 * A disk that is awaited will not be adopted: its window is unmapped, and who
 * has accessed it goes on as where no device is. Nothing of the worker before
 * may be in flight for it. One that is not awaited is left as it is.
 */
void xen_worker_disown(struct xen_worker *worker, uint64_t id);

/*
 * Answer for a disk: 0, or a negative errno and a sentence in `error`; one that
 * was to be adopted is awaited as before then. -ENODEV: it was detached by the
 * worker before, and the guest has lost it already. From then on the guest may
 * access it.
 */
int xen_worker_attach(struct xen_worker *worker,
		      const struct xen_worker_disk *disk,
		      char error[BLOCK_ERROR_MAX]);

/* Its image has another size now: the disk has, and its driver is told. */
void xen_worker_resize(struct xen_worker *worker, uint64_t id, uint64_t bytes);

/*
 * Begin to end a disk: whatever the guest does, it is dead from now on. The
 * loop goes on with what is in flight and answers the vCPUs meanwhile.
 */
void xen_worker_detach(struct xen_worker *worker, uint64_t id);

/*
 * End all that is attached without a word to the owner, after waiting for what
 * is in flight if there is anything; then free the worker, which is NULL before
 * it is gone: until then it may be abandoned. NULL is allowed.
 */
void xen_worker_close(struct xen_worker **worker);

/*
 * The process ends and the guest goes on with the next one: no access and no
 * request is taken any more, no vCPU is answered, nothing is undone at Xen.
 * Waits for what is in flight, then frees it as xen_worker_close() does.
 * Only where every disk that is attached has a file for its state; what is
 * awaited stays so.
 */
void xen_worker_leave(struct xen_worker **worker);

/*
 * The process ends now, although requests are in flight: say which. Where
 * nothing outlives the process have Xen send no more accesses, else leave all
 * to the next one. Also in another thread while the loop stands still.
 */
void xen_worker_abandon(struct xen_worker *worker);

/* Log a line of statistics. */
void xen_worker_log_stats(const struct xen_worker *worker);

#endif
