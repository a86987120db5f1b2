/* SPDX-License-Identifier: MIT */
/*
 * How often the workers of a guest have died, and when the next one may be
 * started: at once, as long as that is rare; then later each time; and at last
 * never.
 */
#ifndef MONITOR_WORKER_LIVES_H
#define MONITOR_WORKER_LIVES_H

#include <stdbool.h>
#include <stdint.h>

enum {
	/* So many deaths within so many seconds are no rare ones yet. */
	WORKER_LIVES_AT_ONCE = 5,
	WORKER_LIVES_WITHIN_S = 10,
	/* Then there are so many more, after 1 s, 2 s, 4 s ... */
	WORKER_LIVES_SLOW = 8,
	WORKER_LIVES_PAUSE_MAX_S = 10,
};

/* Zeroes: none has died. */
struct worker_lives {
	uint64_t died_ns[WORKER_LIVES_AT_ONCE]; /* the last ones; a ring */
	unsigned int deaths;                    /* in it, and in all */
	unsigned int slow; /* pauses since deaths were rare; or 0 */
	uint64_t next_ns;  /* when the one after the last pause began */
};

/*
 * One has died, at this time of the monotonic clock. Whether there is to be
 * another one, and after what pause: 0, at once.
 */
bool worker_lives_died(struct worker_lives *lives, uint64_t now_ns,
		       uint64_t *pause_ns);

#endif
