/* SPDX-License-Identifier: MIT */
/*
 * Deaths of workers; see monitor/worker_lives.h.
 *
 * Six of them in ten seconds begin a row of pauses, which ends when a worker
 * has lived that long, or with the last pause. A request that ends each worker
 * is found after a few deaths (virtio/blk_alone.c): what goes on after that is
 * a fault of the host, which may pass. One that has not passed by then may be
 * of a disk: without that one there are six deaths more, without any of them
 * another six, and then it is none of the disks'.
 */
#include "monitor/worker_lives.h"

#include <stdbool.h>
#include <string.h>

#include "base/clock.h"

#define WITHIN_NS (WORKER_LIVES_WITHIN_S * NS_PER_SECOND)

/* Whether this one is one too many for so short a time. */
static bool is_often(struct worker_lives *l, uint64_t now_ns)
{
	uint64_t *last = &l->died_ns[l->deaths % WORKER_LIVES_AT_ONCE];
	bool often = l->deaths >= WORKER_LIVES_AT_ONCE &&
		     now_ns - *last <= WITHIN_NS;

	*last = now_ns;
	l->deaths++;
	return often;
}

/* It is no use to wait any longer. */
static enum worker_lives_next break_or_end(struct worker_lives *l,
					   uint64_t now_ns)
{
	if (l->breaks == WORKER_LIVES_BREAKS)
		return WORKER_LIVES_END;
	l->breaks++;
	l->slow = 0;
	l->deaths = 0;
	l->next_ns = now_ns;
	return WORKER_LIVES_BREAK;
}

enum worker_lives_next worker_lives_died(struct worker_lives *l,
					 uint64_t now_ns, uint64_t *pause_ns)
{
	uint64_t pause_s;

	*pause_ns = 0;
	if ((l->slow || l->breaks) && now_ns >= l->next_ns + WITHIN_NS)
		memset(l, 0, sizeof(*l));
	if (!is_often(l, now_ns) && !l->slow)
		return WORKER_LIVES_GO_ON;
	if (l->slow == WORKER_LIVES_SLOW || l->breaks)
		return break_or_end(l, now_ns);
	pause_s = UINT64_C(1) << l->slow++;
	if (pause_s > WORKER_LIVES_PAUSE_MAX_S)
		pause_s = WORKER_LIVES_PAUSE_MAX_S;
	*pause_ns = pause_s * NS_PER_SECOND;
	l->next_ns = now_ns + *pause_ns;
	return WORKER_LIVES_GO_ON;
}
