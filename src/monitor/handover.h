/* SPDX-License-Identifier: MIT */
/*
 * The lock of a disk that may go on elsewhere: another process, maybe on
 * another machine, has the same image open and serves the same guest after us.
 */
#ifndef MONITOR_HANDOVER_H
#define MONITOR_HANDOVER_H

#include <stdbool.h>

#include "base/log.h"
#include "base/loop.h"
#include "block/claim.h"
#include "block/flush.h"
#include "block/image.h"
#include "monitor/size_watch.h"

struct handover {
	struct block_claim *claim; /* NULL: one that does not lend */
	struct block_image *image; /* ... of its part */
	const char *file;          /* ... of it */
	const char *name;          /* of its disk, for the log */
	struct size_watch *size;   /* ... of it */
	struct loop *loop;
	void (*given)(struct handover *handover);
	struct block_flush *flush;
	struct loop_source source; /* ... of it */
	bool giving;               /* the lock, after it */
	bool again;  /* ... and after another one: more was written */
	bool waited; /* another process had the lock */
	struct log_limit log;
};

/*
 * Of an open image; file, name and size are set before. `given` is called in
 * `loop` when what handover_give() has begun is done. 0 or a negative errno;
 * one that was never made (zeroed) may be finished.
 */
int handover_init(struct handover *handover, struct block_claim *claim,
		  struct block_image *image, struct loop *loop,
		  void (*given)(struct handover *handover));

/* Nothing is under way: see handover_is_busy(). */
void handover_finish(struct handover *handover);

/*
 * A queue is about to be served: have the lock. 0, or a negative errno after a
 * line in the log. What others did to its size is seen then.
 */
int handover_take(struct handover *handover);

/*
 * No queue is served any more: make stable what was written, then give the lock
 * to whoever wants it.
 */
void handover_give(struct handover *handover);

/* Whether the lock is being given away. */
bool handover_is_giving(const struct handover *handover);

/* Whether the image is being flushed. */
bool handover_is_busy(const struct handover *handover);

#endif
