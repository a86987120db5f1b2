/* SPDX-License-Identifier: MIT */
/*
 * The lock of a disk that may go on elsewhere; see monitor/handover.h.
 *
 * Whoever serves a queue has the lock, so there is never more than one writer.
 * When it is taken and given is the worker's to say (worker/vhost_lend.c, which
 * draws a live migration).
 *
 * Who has it may be about to go: the worker of a program that was killed, which
 * finishes what is in flight, or the source of a migration. So it is asked for
 * again, by the loop, before a queue is refused: a front end whose session ends
 * may come again only after a while, or never.
 *
 * Failures: a lock that cannot be had ends the session, and the log says who
 * has it.
 */
#include "monitor/handover.h"

#include <errno.h>

#include "base/clock.h"

/* A worker without a monitor is gone after two seconds, see program/process. */
#define WAIT_NS (3 * NS_PER_SECOND)
#define AGAIN_NS (5 * NS_PER_MS)

static void had(struct handover *h)
{
	if (h->waited)
		log_limited(&h->log, LOG_LEVEL_INFO,
			    "%s: has the lock of %s now", h->name, h->file);
	h->waited = false;
	size_watch_look_at(h->size);
	h->taken(h, 0);
}

static void wait(struct handover *h)
{
	if (!h->waits)
		log_limited(&h->log, LOG_LEVEL_INFO,
			    "%s: a queue waits for the lock of %s", h->name,
			    h->file);
	h->waits = true;
	h->waited = true;
	loop_arm(h->loop, &h->again, AGAIN_NS);
}

static void ask(struct handover *h)
{
	const bool last = clock_ns() >= h->until_ns;
	char error[BLOCK_ERROR_MAX];
	int r = block_claim_lock(
		h->claim, last ? BLOCK_IN_USE_SAY : BLOCK_IN_USE_ASK, error);

	if (r == 0) {
		had(h);
	} else if ((r == -EAGAIN || r == -EBUSY) && !last) {
		wait(h);
	} else {
		log_limited(&h->log, LOG_LEVEL_ERROR,
			    "%s: a queue cannot start: %s", h->name, error);
		h->waited = true;
		h->taken(h, r);
	}
}

static void ask_again(struct loop_timer *timer)
{
	ask(container_of(timer, struct handover, again));
}

void handover_init(struct handover *h)
{
	h->again.due = ask_again;
}

void handover_take(struct handover *h)
{
	if (h->claim->locked) {
		h->taken(h, 0);
		return;
	}
	h->waits = false;
	h->until_ns = clock_ns() + WAIT_NS;
	ask(h);
}

void handover_forget(struct handover *h)
{
	loop_disarm(h->loop, &h->again);
}

void handover_give(struct handover *h)
{
	block_claim_unlock(h->claim);
}
