/* SPDX-License-Identifier: MIT */
/*
 * The lock of a disk that may go on elsewhere: another process, maybe on
 * another machine, has the same image open and serves the same guest after us.
 */
#ifndef MONITOR_HANDOVER_H
#define MONITOR_HANDOVER_H

#include <stdbool.h>

#include "base/log.h"
#include "block/claim.h"
#include "monitor/size_watch.h"

struct handover {
	struct block_claim *claim; /* of an image that lends */
	const char *file;          /* ... of it */
	const char *name;          /* of its disk, for the log */
	struct size_watch *size;   /* ... of it */
	bool waited;               /* another process had the lock */
	struct log_limit log;
};

/*
 * A queue is about to be served: have the lock. 0, or a negative errno after a
 * line in the log. What others did to its size is seen then.
 */
int handover_take(struct handover *handover);

/*
 * No queue is served any more, what was written is stable, and the worker's
 * part is unlocked: whoever wants the lock may have it.
 */
void handover_give(struct handover *handover);

#endif
