/* SPDX-License-Identifier: MIT */
/*
 * What the monitor and the worker of a Xen guest say to each other, and all of
 * it: the monitor has xenstore, images and their locks, the worker has the
 * guest's memory and moves the data.
 *
 *	monitor -> worker	begin, attach, disown, resize, detach, leave,
 *				close
 *	worker -> monitor	begun, attached, ended
 *
 * What is said is plain structs and descriptors. Nothing of it is waited for:
 * begin, attach and detach are answered later, by the loop, each once and never
 * from within a call of the owner's.
 *
 * The state of a guest's devices may lie in files that the monitor gives: one
 * of the guest, one of each disk. Then another worker, which is given the same
 * files, goes on where this one was left or killed:
 *
 *	begin		with the guest's file: its server is taken over; each
 *	   |		disk of the worker before is awaited, and a vCPU that
 *	   |		accesses it stands still
 *	begun		says which they are
 *	   |
 *	attach, disown	each of those, when nothing of the worker before is in
 *			flight any more, which its image's lock tells
 *
 * A worker is there from a begin on, and may be gone at any time: lost() tells,
 * and the owner may begin again, with another one.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "block/part.h"
#include "config/keys.h"

struct worker;
struct worker_owner;
struct worker_starter; /* worker/starter.h */

/* Called by the loop, never from within a call of the owner's. */
struct worker_owner_ops {
	/*
	 * The answer to worker_begin(). 0: worker_awaits() tells from now on of
	 * the worker before. Or a negative errno and a sentence: no disk can be
	 * attached, and file and guest are as they were; the owner may begin
	 * with another file.
	 */
	void (*begun)(struct worker_owner *owner, int result,
		      const char *error);
	/*
	 * The answer to worker_attach(). 0: the guest may access the disk. Or a
	 * negative errno and a sentence: part and file are in nobody's hands
	 * but the owner's, and a disk that was to be adopted is awaited as
	 * before. -ENODEV: it was detached by the worker before, and the guest
	 * has lost it already.
	 */
	void (*attached)(struct worker_owner *owner, uint64_t id, int result,
			 const char *error);
	/*
	 * A disk that was to be detached is: nothing is in flight, its window
	 * is no more, and its image is in nobody's hands but the owner's.
	 */
	void (*ended)(struct worker_owner *owner, uint64_t id);
	/*
	 * The worker is no more: it has died, could not be started, or has said
	 * what it may not and was killed. Why was logged. Nothing that it was
	 * asked will be answered, it awaits nothing, and what is said to it is
	 * in vain. What it had in flight the images' locks tell of. The owner
	 * may begin again; but not if it was the `last`: none can be started
	 * any more.
	 */
	void (*lost)(struct worker_owner *owner, bool last);
};

struct worker_owner {
	const struct worker_owner_ops *ops;
};

/* A disk to attach. What is pointed at is the owner's. */
struct worker_disk {
	uint64_t id;      /* no other disk has it: from here to its end */
	const char *name; /* for the log */
	/* Of its image: the descriptors are the worker's, whatever it says. */
	struct block_part *part;
	const struct disk_options *options; /* with nothing left to decide */
	uint64_t base;                      /* of its window, a guest address */
	uint32_t irq;
	/*
	 * Of a file for its state, which the worker sizes; stays the owner's.
	 * Or -1: the disk ends with the process.
	 */
	int state_fd;
	/*
	 * Go on with the state in the file, if worker_awaits() it: what is not
	 * awaited no guest has seen, and it is made anew as any other. Queues
	 * and legacy interface are those of the state then, whatever the
	 * options say.
	 */
	bool adopt;
	/*
	 * Workers end on it: where it is adopted no queue of it is served, and
	 * the driver is asked for a reset, after which all is as ever. That
	 * stays so for the next worker, which need not be told.
	 */
	bool broken;
};

/*
 * Workers of a monitor in `loop`, one at a time, none at first; who starts them
 * is given and has to stay as long. 0 or a negative errno, logged; then nothing
 * is left.
 */
int worker_open(struct worker **worker, struct loop *loop,
		struct worker_owner *owner, struct worker_starter *starter);

/*
 * The guest whose disks are attached from now on; none is at the time, no
 * answer is outstanding, and what was awaited is not any more. Each guest has a
 * worker of its own, which is started, if there is none yet. `state_fd` is of a
 * file for what the guest's disks have in common, which the worker sizes if it
 * is empty, or -1: nothing outlives the worker. It stays the owner's, and open
 * until this is answered.
 *
 * A server that the file tells of is taken over; that there is none or that it
 * is gone is no failure. Answered by begun(), before which nothing is attached.
 */
void worker_begin(struct worker *worker, unsigned int domid, int state_fd);

/*
 * The guest is no more and no disk is attached: its worker ends. Nothing, where
 * there is none.
 */
void worker_rest(struct worker *worker);

/*
 * Whether disk `id` is one of the worker before this one, and neither attached
 * nor disowned yet.
 */
bool worker_awaits(const struct worker *worker, uint64_t id);

/* All of those: their number. */
unsigned int worker_awaited(const struct worker *worker,
			    uint64_t id[DISKS_MAX]);

/*
 * A disk that is awaited will not be adopted: its window is unmapped, and who
 * has accessed it goes on as where no device is. Nothing of the worker before
 * may be in flight for it. One that is not awaited is left as it is.
 */
void worker_disown(struct worker *worker, uint64_t id);

/*
 * Answer for a disk. Answered by attached(), before which it is not detached;
 * there are DISKS_MAX at most, those that are awaited with them.
 */
void worker_attach(struct worker *worker, const struct worker_disk *disk);

/*
 * Whether the disk whose state is in this file was given up, and its driver has
 * not reset it since. Also of a worker that is gone; of no file it is not.
 */
bool worker_state_is_given_up(int state_fd);

/* Its image has another size now: the disk has, and its driver is told. */
void worker_resize(struct worker *worker, uint64_t id, uint64_t bytes);

/*
 * Begin to end a disk: whatever the guest does, it is dead from now on. The
 * loop goes on with what is in flight and answers the vCPUs meanwhile. Answered
 * by ended().
 */
void worker_detach(struct worker *worker, uint64_t id);

/*
 * End all that is attached without a word to the owner, after waiting for what
 * is in flight if there is anything, but not for ever; then free the worker,
 * which is NULL before it is gone: until then it may be abandoned. The loop is
 * not needed. NULL is allowed.
 */
void worker_close(struct worker **worker);

/*
 * The process ends and the guest goes on with the next one: no access and no
 * request is taken any more, no vCPU is answered, nothing is undone at Xen.
 * Waits for what is in flight and frees the worker as worker_close() does.
 * Only where every disk that is attached has a file for its state; what is
 * awaited stays so, and what is not answered yet is one or the other.
 */
void worker_leave(struct worker **worker);

/*
 * The process ends now, although requests are in flight: say which. Where
 * nothing outlives the process have Xen send no more accesses, else leave all
 * to the next one. Also in another thread while the loop stands still.
 */
void worker_abandon(struct worker *worker);

/* Have it log a line of statistics. */
void worker_log_stats(struct worker *worker);

/* Have it trace all requests, this one and the next; see base/trace.h. */
void worker_trace(struct worker *worker, bool on);

/*
 * Log the last events of its disks, whatever it does meanwhile. Those of one
 * that has died are logged without being asked for.
 */
void worker_log_events(struct worker *worker);

#endif
