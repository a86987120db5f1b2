/* SPDX-License-Identifier: MIT */
/*
 * The lock of a disk that may go on elsewhere; see monitor/handover.h.
 *
 * Whoever serves a queue has the lock, so there is never more than one writer.
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
 * flush that fails without such a loss is of no concern. A lock that
 * cannot be had ends the session, and the log says who has it.
 */
#include "monitor/handover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool lends(const struct handover *h)
{
	return h->claim && h->claim->facts.lends;
}

static void flush(struct handover *h)
{
	h->again = false;
	block_flush_start(h->flush);
}

static void give(struct handover *h)
{
	int r = block_image_flush_error(h->image);

	h->giving = false;
	if (r) {
		log_limited(&h->log, LOG_LEVEL_ERROR,
			    "%s: what the guest wrote could not be made stable "
			    "(%s): the lock of %s is kept, the disk cannot go "
			    "on elsewhere",
			    h->name, strerror(-r), h->file);
	} else {
		block_image_unlock(h->image);
		block_claim_unlock(h->claim);
		log_debug("%s: the lock of %s is free", h->name, h->file);
	}
	h->given(h);
}

static void flushed(struct loop_source *source, uint32_t events)
{
	struct handover *h = container_of(source, struct handover, source);

	(void)events;
	if (!block_flush_collect(h->flush) || !h->giving)
		return;
	if (h->again)
		flush(h);
	else
		give(h);
}

int handover_init(struct handover *h, struct block_claim *claim,
		  struct block_image *image, struct loop *loop,
		  void (*given)(struct handover *h))
{
	int r;

	if (!claim->facts.lends)
		return 0;
	r = block_flush_open(&h->flush, image);
	if (r)
		return r;
	h->source = (struct loop_source){ .fd = block_flush_fd(h->flush),
					  .ready = flushed };
	r = loop_add(loop, &h->source, EPOLLIN);
	if (r) {
		block_flush_close(h->flush);
		return r;
	}
	h->claim = claim;
	h->image = image;
	h->loop = loop;
	h->given = given;
	h->waited = !claim->locked;
	return 0;
}

void handover_finish(struct handover *h)
{
	if (!h->claim)
		return;
	loop_remove(h->loop, &h->source);
	block_flush_close(h->flush);
	h->claim = NULL;
}

/* The claim, and then what tells that we may have requests in flight. */
static int take_both(struct handover *h, char error[BLOCK_ERROR_MAX])
{
	int r = block_claim_lock(h->claim, error);

	if (r)
		return r;
	r = block_image_lock(h->image);
	if (r) {
		block_claim_unlock(h->claim);
		snprintf(error, BLOCK_ERROR_MAX, "%s: cannot be locked: %s",
			 h->file, strerror(-r));
	}
	return r;
}

int handover_take(struct handover *h)
{
	char error[BLOCK_ERROR_MAX];
	int r;

	if (!lends(h))
		return 0;
	/* Still ours, if it was about to be given away. */
	h->giving = false;
	if (h->claim->locked)
		return 0;
	r = take_both(h, error);
	if (r) {
		log_limited(&h->log, LOG_LEVEL_ERROR,
			    "%s: a queue cannot start: %s", h->name, error);
		h->waited = true;
		return r;
	}
	if (h->waited)
		log_limited(&h->log, LOG_LEVEL_INFO,
			    "%s: has the lock of %s now", h->name, h->file);
	h->waited = false;
	size_watch_look_at(h->size);
	return 0;
}

void handover_give(struct handover *h)
{
	if (!lends(h) || !h->claim->locked || h->giving)
		return;
	h->giving = true;
	if (block_flush_is_busy(h->flush))
		h->again = true;
	else
		flush(h);
}

bool handover_is_giving(const struct handover *h)
{
	return h->giving;
}

bool handover_is_busy(const struct handover *h)
{
	return h->claim && block_flush_is_busy(h->flush);
}
