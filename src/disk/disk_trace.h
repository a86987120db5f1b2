/* SPDX-License-Identifier: MIT */
/*
 * What of a disk's requests goes into its trace (base/trace.h): who wants to
 * know of them is put in front of a queue's engine, which costs nothing where
 * nobody does.
 */
#ifndef DISK_DISK_TRACE_H
#define DISK_DISK_TRACE_H

#include "base/trace.h"
#include "block/engine.h"
#include "virtio/blk.h"

/* Of a queue; nothing of it is owned, and all of it stays. */
struct disk_trace {
	struct trace *trace; /* the disk's */
	unsigned int queue;
	struct virtio_blk_queue *bq;
	const struct block_request *own; /* a request that is no driver's */
};

/*
 * Trace its requests from now on, or not any more, as the disk's trace says: in
 * the thread that serves it, or while nobody does. Its engine is another one
 * then; NULL is allowed, there is nothing to trace yet.
 */
void disk_trace_switch(struct disk_trace *t, struct block_engine **engine);

/* The store has failed; traced or not. */
void disk_trace_error(const struct disk_trace *t,
		      const struct block_request *req);

#endif
