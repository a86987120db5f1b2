/* SPDX-License-Identifier: MIT */
/*
 * The lock of an image that lends, at the worker; see worker/vhost_lend.h.
 *
 *	state		event			what is done		next
 *	HELD		no queue runs		flush			FLUSHING
 *	FLUSHING	a queue is to start	-			HELD
 *	FLUSHING	it is flushed		unlock the part, give	GIVING
 *	FLUSHING	... but not all		-			HELD
 *	GIVING		it is given		-			FREE
 *	FREE		a queue is to start	take			TAKING
 *	TAKING		it is taken		lock the part		HELD
 *	TAKING		it cannot be had	-			FREE
 *
 * A live migration goes
 *
 *	here				there
 *					open, without the lock
 *	the last queue stops
 *	flush, unlock
 *	answer GET_VRING_BASE
 *					a queue starts: lock, forget what
 *					was cached, look at the size
 *
 * and if it fails, a queue starts here again, which takes the lock back. The
 * flush is for another machine, to which our page cache is of no use. It is
 * done by the image's own thread: the loop goes on.
 *
 * Failures: an image that has lost what the guest relies on is not given away,
 * for it would find old data there without an error; here its flushes fail. A
 * flush that fails without such a loss is of no concern.
 */
#include "worker/vhost_lend.h"

#include <errno.h>
#include <string.h>

static void flush(struct vhost_lend *l)
{
	l->state = VHOST_LEND_FLUSHING;
	l->again = block_flush_is_busy(l->flush);
	if (!l->again)
		block_flush_start(l->flush);
}

static void give(struct vhost_lend *l)
{
	block_image_unlock(l->image);
	l->state = VHOST_LEND_GIVING;
	l->give(l);
}

static void keep(struct vhost_lend *l, int error)
{
	log_limited(&l->log, LOG_LEVEL_ERROR,
		    "%s: what the guest wrote could not be made stable (%s): "
		    "the lock of %s is kept, the disk cannot go on elsewhere",
		    l->name, strerror(-error), l->file);
	l->state = VHOST_LEND_HELD;
	l->news(l);
}

static void flushed(struct loop_source *source, uint32_t events)
{
	struct vhost_lend *l = container_of(source, struct vhost_lend, source);
	int r;

	(void)events;
	if (!block_flush_collect(l->flush) || l->state != VHOST_LEND_FLUSHING)
		return;
	r = block_image_flush_error(l->image);
	if (l->again)
		flush(l);
	else if (r)
		keep(l, r);
	else
		give(l);
}

int vhost_lend_init(struct vhost_lend *l, struct block_image *image,
		    bool locked, struct loop *loop)
{
	int r;

	if (!image->lends)
		return 0;
	r = block_flush_open(&l->flush, image);
	if (r)
		return r;
	l->source = (struct loop_source){ .fd = block_flush_fd(l->flush),
					  .ready = flushed };
	r = loop_add(loop, &l->source, EPOLLIN);
	if (r) {
		block_flush_close(l->flush);
		return r;
	}
	l->image = image;
	l->loop = loop;
	l->state = locked ? VHOST_LEND_HELD : VHOST_LEND_FREE;
	return 0;
}

void vhost_lend_finish(struct vhost_lend *l)
{
	if (!l->image)
		return;
	loop_remove(l->loop, &l->source);
	block_flush_close(l->flush);
	l->image = NULL;
}

int vhost_lend_want(struct vhost_lend *l)
{
	int r = l->refused;

	if (!l->image)
		return 0;
	l->unwanted = false;
	if (l->state == VHOST_LEND_HELD || l->state == VHOST_LEND_FLUSHING) {
		/* Still ours, if it was about to be given away. */
		l->state = VHOST_LEND_HELD;
		return 0;
	}
	if (l->state != VHOST_LEND_FREE)
		return 1;
	l->refused = 0;
	if (r)
		return r;
	l->state = VHOST_LEND_TAKING;
	l->take(l);
	return 1;
}

void vhost_lend_release(struct vhost_lend *l)
{
	if (!l->image)
		return;
	l->refused = 0;
	l->unwanted = l->state == VHOST_LEND_TAKING;
	if (l->state == VHOST_LEND_HELD)
		flush(l);
}

bool vhost_lend_is_quiet(const struct vhost_lend *l)
{
	return l->state != VHOST_LEND_FLUSHING &&
	       l->state != VHOST_LEND_GIVING && !l->unwanted;
}

/* The claim's is ours: the part tells that we may have requests in flight. */
static void lock_part(struct vhost_lend *l)
{
	int r = block_image_lock(l->image);

	if (r == 0) {
		l->state = VHOST_LEND_HELD;
		return;
	}
	log_limited(&l->log, LOG_LEVEL_ERROR, "%s: %s cannot be locked: %s",
		    l->name, l->file, strerror(-r));
	l->refused = r;
	give(l);
}

void vhost_lend_taken(struct vhost_lend *l, int result)
{
	const bool unwanted = l->unwanted;

	if (!l->image || l->state != VHOST_LEND_TAKING)
		return;
	l->unwanted = false;
	l->state = VHOST_LEND_FREE;
	if (result)
		l->refused = result;
	else
		lock_part(l);
	if (unwanted)
		vhost_lend_release(l);
	l->news(l);
}

void vhost_lend_given(struct vhost_lend *l)
{
	if (!l->image || l->state != VHOST_LEND_GIVING)
		return;
	l->state = VHOST_LEND_FREE;
	log_debug("%s: the lock of %s is free", l->name, l->file);
	l->news(l);
}

bool vhost_lend_is_busy(const struct vhost_lend *l)
{
	return l->image && block_flush_is_busy(l->flush);
}
