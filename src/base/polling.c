/* SPDX-License-Identifier: MIT */
/*
 * How long to look for work; see base/polling.h.
 */
#include "base/polling.h"

#include "base/clock.h"

/* The shortest time; it doubles from there. */
#define NS_MIN 4000u

/*
 * What a sleep costs that was not needed: system calls and a wake-up, some 5 us
 * of a processor, and as much again or twice that where it is a virtual one.
 */
#define SAVED_NS 16000

/* Of the longest time: spent until it is given up, and at each try after. */
#define SPENT_TIMES 16
#define TRIED_TIMES 2

#define PAUSE_MIN_NS NS_PER_MS
#define PAUSE_MAX_NS NS_PER_SECOND

/* What is waited too long goes by a part of this at each time that it pays. */
#define NEAR_PART 16u

void polling_paid(struct polling *p, uint64_t waited_ns)
{
	uint64_t enough_ns = 2 * waited_ns;

	p->balance_ns += SAVED_NS;
	if (p->balance_ns >= 0) {
		p->balance_ns = 0;
		p->pause_ns = 0;
	}
	if (enough_ns < p->ns)
		enough_ns = p->ns - (p->ns - enough_ns) / NEAR_PART;
	if (p->ns)
		p->ns = ns_within(enough_ns, NS_MIN, p->max_ns);
}

static void give_up(struct polling *p, uint64_t now_ns)
{
	p->ns = 0;
	p->pause_ns = ns_within(2 * p->pause_ns, PAUSE_MIN_NS, PAUSE_MAX_NS);
	p->holdoff_ns = now_ns + p->pause_ns;
	/* The next try is as long as all the times once, which double. */
	p->balance_ns += TRIED_TIMES * (int64_t)p->max_ns;
}

void polling_in_vain(struct polling *p, uint64_t waited_ns, uint64_t now_ns)
{
	/* Of longer ones somebody else had the rest. */
	p->balance_ns -= (int64_t)ns_within(waited_ns, 0, p->max_ns);
	if (p->balance_ns <= -SPENT_TIMES * (int64_t)p->max_ns)
		give_up(p, now_ns);
}

void polling_slept(struct polling *p, uint64_t slept_ns, uint64_t now_ns)
{
	if (!polling_learns(p, now_ns))
		return;
	if (slept_ns <= p->max_ns)
		p->ns = ns_within(2 * p->ns, NS_MIN, p->max_ns);
	else
		p->ns = p->ns / 2 < NS_MIN ? 0 : p->ns / 2;
}
