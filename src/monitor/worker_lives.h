/* SPDX-License-Identifier: MIT */
/*
 * How often the workers of a guest have died, and when the next one may be
 * started: at once, as long as that is rare; then later each time. Then the
 * next one is to do without what they may have died of; and at last there is
 * none.
 */
#ifndef MONITOR_WORKER_LIVES_H
#define MONITOR_WORKER_LIVES_H

#include <stdint.h>

enum {
	/* So many deaths within so many seconds are no rare ones yet. */
	WORKER_LIVES_AT_ONCE = 5,
	WORKER_LIVES_WITHIN_S = 10,
	/* Then there are so many more, after 1 s, 2 s, 4 s ... */
	WORKER_LIVES_SLOW = 8,
	WORKER_LIVES_PAUSE_MAX_S = 10,
	/* So often disks are given up then, each time for as many at once. */
	WORKER_LIVES_BREAKS = 2,
};

enum worker_lives_next {
	WORKER_LIVES_GO_ON,
	WORKER_LIVES_BREAK, /* without the disk, or disks, that they die of */
	WORKER_LIVES_END,   /* there is to be none */
};

/* Zeroes: none has died. */
struct worker_lives {
	uint64_t died_ns[WORKER_LIVES_AT_ONCE]; /* the last ones; a ring */
	unsigned int deaths;                    /* in it, and in all */
	unsigned int slow;   /* pauses since deaths were rare; or 0 */
	unsigned int breaks; /* the same, of disks that were given up */
	uint64_t next_ns;    /* when the one after the last of both began */
};

/*
 * One has died, at this time of the monotonic clock. What the next one is to
 * be, and after what pause it begins: 0, at once.
 */
enum worker_lives_next worker_lives_died(struct worker_lives *lives,
					 uint64_t now_ns, uint64_t *pause_ns);

#endif
