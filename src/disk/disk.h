/* SPDX-License-Identifier: MIT */
/*
 * One disk: a virtio block device joined with an image and block engines.
 *
 * Each queue is polled by the loop that it belongs to and has an engine of its
 * own; nothing on the data path is shared between queues but the thread that
 * flushes, and on a store of larger blocks than 512 bytes a lock for each
 * write.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/trace.h"
#include "block/engine.h"
#include "block/image.h"
#include "config/keys.h"
#include "disk/disk_state.h"
#include "disk/disk_trace.h"
#include "disk/store_watch.h"
#include "virtio/blk.h"
#include "virtio/transport.h"

struct disk;

struct disk_queue {
	struct disk *disk;
	unsigned int index;
	struct virtio_blk_queue *bq;
	struct block_engine *engine;
	unsigned int in_flight;    /* of the engine, as shown; atomic */
	unsigned int batch;        /* requests to start at once next time */
	struct loop *loop;         /* NULL while it is not served */
	struct loop_source source; /* engine->fd */
	struct loop_poller poller;
	struct block_request flush; /* our own, when the cache mode changes */
	bool flushing;              /* ... is with the engine */
	struct log_limit errors;
	struct disk_trace trace;
};

struct disk {
	char name[DISK_NAME_MAX];  /* for the log; first: for the probes */
	struct block_image *image; /* not owned */
	struct virtio_blk blk;
	struct transport *transport;
	struct disk_state state; /* of blk */
	bool any_engine;         /* auto: each queue has the first that opens */
	struct loop_deferred *drained; /* when it closes; not owned */
	/* The store is waited for in place, now and then; or NULL. */
	void (*waits)(struct disk *disk);
	uint64_t told_ns; /* when it was called last */
	struct store_watch watch;
	struct trace trace;
	struct disk_queue queue[VIRTIO_QUEUES_MAX];
};

/*
 * Make a device of an open image on `mem`; the image stays the caller's, until
 * disk_close(). Returns 0, or a negative errno and a sentence for the log in
 * `error`. `name` is for the log. The disk is quiet until disk_serve().
 */
int disk_open(struct disk *disk, const char *name, struct block_image *image,
	      const struct disk_options *options, struct guest_memory *mem,
	      char error[BLOCK_ERROR_MAX]);

/*
 * As disk_open(), with a state that outlives the process: in the file
 * `state_fd`, which gets its size and stays the caller's. Or with the one that
 * is in it, to go on where another process stopped, whose requests have to be
 * at their end; then disk_resume() is to be called once the disk is served.
 * Queues, packed virtqueues and legacy interface are as the state has them,
 * whatever the options say, with a log line where they differ. A state that
 * cannot be gone on with is left as it is.
 */
int disk_open_kept(struct disk *disk, const char *name,
		   struct block_image *image,
		   const struct disk_options *options, struct guest_memory *mem,
		   int state_fd, bool adopt, char error[BLOCK_ERROR_MAX]);

/*
 * Go on: what the driver waited for happens, queues run and do again what they
 * had in flight. Then the driver's accesses that were not answered are, and
 * then it is to be notified again, for of what the process before told or did
 * not come to tell nothing is known.
 */
void disk_resume(struct disk *disk);

/*
 * Before that, of a disk that processes end on: none of its queues will go on,
 * and its driver is asked for a reset. That is in its state from then on.
 */
void disk_give_up(struct disk *disk);
void disk_notify_again(struct disk *disk);

/* Log the keys that are in effect, for who wants all of it. */
void disk_log_keys(const struct disk *disk, const struct disk_options *options);

/*
 * Trace each request from now on, or not any more: `on` is set, and then each
 * queue switched, in the thread that serves it.
 */
void disk_set_trace(struct disk *disk, bool on);
void disk_switch_trace(struct disk *disk, unsigned int queue);

/* Serve the disk's queues in `loop`, talking to the driver by `transport`. */
int disk_serve(struct disk *disk, struct loop *loop,
	       struct transport *transport);

/*
 * As disk_serve(), for one queue; called in the loop's thread. One that is
 * served stays as it is. Its engine, rings and threads of the kernel's and
 * ours, is opened here, so that a queue which is never served costs nothing.
 */
int disk_serve_queue(struct disk *disk, unsigned int queue, struct loop *loop,
		     struct transport *transport);

/* Do again what a queue that was just recovered had in flight. */
void disk_resubmit(struct disk *disk, unsigned int queue);

/* The process has lasted since disk_resume(). */
void disk_lasted(struct disk *disk);

/*
 * The image has this size now: the disk has it as well, and the driver is told.
 * Called in the thread that answers for the configuration space.
 */
void disk_resize(struct disk *disk, uint64_t bytes);

/*
 * The disk ends, whatever its driver does: nothing more is taken, ranges that
 * are worked on end early. `drained` is deferred in `loop`, which serves all
 * its queues, when disk_in_flight() is 0; it may be so more than once.
 */
void disk_begin_close(struct disk *disk, struct loop *loop,
		      struct loop_deferred *drained);

/* Requests inside the engines. For any thread. */
unsigned int disk_in_flight(const struct disk *disk);

/*
 * Stop taking requests and wait for those in flight: bounded by the store, not
 * by the guest. Then stop the queues.
 */
void disk_drain(struct disk *disk);

/*
 * As disk_drain(), for another process to go on: what can end early does, and
 * stays in flight in the state; nobody is notified.
 */
void disk_leave(struct disk *disk);

/* Drain and free; a disk that was never opened (zeroed) is allowed. */
void disk_close(struct disk *disk);

#endif
