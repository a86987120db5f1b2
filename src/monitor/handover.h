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
#include "monitor/size_watch.h"

struct handover {
	struct block_claim *claim; /* of an image that lends */
	const char *file;          /* ... of it */
	const char *name;          /* of its disk, for the log */
	struct size_watch *size;   /* ... of it */
	struct loop *loop;
	/* 0, or a negative errno after a line in the log. */
	void (*taken)(struct handover *handover, int result);
	bool waited;             /* another process had the lock */
	struct loop_timer again; /* armed: it is asked for once more */
	bool waits;              /* that was said */
	uint64_t until_ns;       /* ... but then no more */
	struct log_limit log;
};

/* Claim, names, size, loop and call are set. */
void handover_init(struct handover *handover);

/*
 * A queue is about to be served: have the lock, for which it is waited some
 * seconds. taken() follows, maybe from within. What others did to the image's
 * size is seen then.
 */
void handover_take(struct handover *handover);

/* Nobody wants it any more. */
void handover_forget(struct handover *handover);

/*
 * No queue is served any more, what was written is stable, and the worker's
 * part is unlocked: whoever wants the lock may have it.
 */
void handover_give(struct handover *handover);

#endif
