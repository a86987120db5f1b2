/* SPDX-License-Identifier: MIT */
/*
 * How long to look for work before falling asleep: a policy, of numbers alone.
 *
 * Looking costs its time where it is in vain, and saves falling asleep and
 * being woken where it is not. Both are put to one account:
 *
 *	paid		something came: the account rises, and the time nears
 *			twice what was waited
 *	in vain		nothing came: the account falls by what it took
 *	slept		shortly: looking longer might have found it, so the time
 *			doubles; for long: it halves, down to none
 *
 * Where the account falls too low, looking is given up for a while, which is
 * short at first, as a few lone messages are no sign of anything, and doubles
 * each time until the account has recovered. So it is where whoever is waited
 * for needs this very processor to go on: nothing is ever found, and each sleep
 * is short.
 */
#ifndef BASE_POLLING_H
#define BASE_POLLING_H

#include <stdbool.h>
#include <stdint.h>

/* All in nanoseconds; zeroed but for `max_ns` to begin with. */
struct polling {
	uint64_t max_ns;     /* the longest time; 0: never look */
	uint64_t ns;         /* the present one, of 0 to max_ns */
	int64_t balance_ns;  /* saved less spent: 0 at most */
	uint64_t pause_ns;   /* how long it was given up last, or 0 */
	uint64_t holdoff_ns; /* it is given up until then */
};

/* Something came after `waited_ns`. */
void polling_paid(struct polling *polling, uint64_t waited_ns);

/* Nothing came for `waited_ns`, and it is `now_ns` of the monotonic clock. */
void polling_in_vain(struct polling *polling, uint64_t waited_ns,
		     uint64_t now_ns);

/*
 * Whether it may be looked at `now_ns`, and so matters how long a sleep is that
 * begins then.
 */
static inline bool polling_learns(const struct polling *polling,
				  uint64_t now_ns)
{
	return polling->max_ns && now_ns >= polling->holdoff_ns;
}

/* A sleep of `slept_ns` has ended at `now_ns`. */
void polling_slept(struct polling *polling, uint64_t slept_ns, uint64_t now_ns);

#endif
