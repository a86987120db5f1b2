/* SPDX-License-Identifier: MIT */
/*
 * The lock of a disk that may go on elsewhere; see monitor/handover.h.
 *
 * Whoever serves a queue has the lock, so there is never more than one writer.
 * When it is taken and given is the worker's to say (worker/vhost_lend.c, which
 * draws a live migration).
 *
 * Failures: a lock that cannot be had ends the session, and the log says who
 * has it.
 */
#include "monitor/handover.h"

int handover_take(struct handover *h)
{
	char error[BLOCK_ERROR_MAX];
	int r;

	if (h->claim->locked)
		return 0;
	r = block_claim_lock(h->claim, error);
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
	block_claim_unlock(h->claim);
}
