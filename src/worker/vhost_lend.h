/* SPDX-License-Identifier: MIT */
/*
 * The lock of an image that lends, as the worker sees it: whoever serves a
 * queue has it, and what was written is stable before it is given away. The
 * lock itself is the monitor's; the worker has that of its part, which says
 * that requests may be in flight.
 */
#ifndef WORKER_VHOST_LEND_H
#define WORKER_VHOST_LEND_H

#include <stdbool.h>

#include "base/log.h"
#include "base/loop.h"
#include "block/flush.h"
#include "block/image.h"

enum vhost_lend_state {
	VHOST_LEND_HELD,
	VHOST_LEND_FLUSHING, /* to give it away then */
	VHOST_LEND_GIVING,   /* the monitor was told */
	VHOST_LEND_FREE,
	VHOST_LEND_TAKING, /* the monitor was asked */
};

struct vhost_lend {
	struct block_image *image; /* NULL: one that does not lend */
	const char *name;          /* of its disk, for the log */
	const char *file;          /* ... of it */
	/* Ask the monitor, see worker/vhost.h. */
	void (*take)(struct vhost_lend *lend);
	void (*give)(struct vhost_lend *lend);
	/* What was waited for is there: look again. */
	void (*news)(struct vhost_lend *lend);

	enum vhost_lend_state state;
	int refused;   /* why it was not had, until somebody has heard it */
	bool unwanted; /* it is asked for, and nobody needs it any more */
	bool again;    /* more was written than is being flushed */
	struct loop *loop;
	struct block_flush *flush;
	struct loop_source source; /* of it */
	struct log_limit log;
};

/*
 * Of an open image; name, file and calls are set. 0 or a negative errno; one
 * that was never made (zeroed) may be finished.
 */
int vhost_lend_init(struct vhost_lend *lend, struct block_image *image,
		    bool locked, struct loop *loop);

/* Nothing is flushed: see vhost_lend_is_busy(). */
void vhost_lend_finish(struct vhost_lend *lend);

/*
 * A queue could start: 0, the lock is ours; 1, news() follows; or a negative
 * errno, it cannot be had.
 */
int vhost_lend_want(struct vhost_lend *lend);

/* No queue runs: give it away, if it is ours. */
void vhost_lend_release(struct vhost_lend *lend);

/* Whether it is not on its way to somebody else; news() follows. */
bool vhost_lend_is_quiet(const struct vhost_lend *lend);

/* What the monitor answers. */
void vhost_lend_taken(struct vhost_lend *lend, int result);
void vhost_lend_given(struct vhost_lend *lend);

/* Whether the image is being flushed. */
bool vhost_lend_is_busy(const struct vhost_lend *lend);

#endif
