/* SPDX-License-Identifier: MIT */
/*
 * One worker after the other; see monitor/guest_lives.h.
 *
 * How many have died, and how fast, is worker_lives.c's to judge. One that died
 * of what it was to begin with, or to attach, has not lived, however long that
 * took: it may have hung, and been killed for that.
 */
#include "monitor/guest_lives.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void next_due(struct loop_timer *timer)
{
	struct guest_lives *l = container_of(timer, struct guest_lives, next);

	l->due(l);
}

void guest_lives_init(struct guest_lives *l, struct loop *loop,
		      const char *guest, void (*due)(struct guest_lives *))
{
	l->loop = loop;
	l->guest = guest;
	l->due = due;
	l->next.due = next_due;
}

void guest_lives_began(struct guest_lives *l)
{
	l->began_ns = clock_ns();
}

void guest_lives_died(struct guest_lives *l, bool served)
{
	if (!served)
		l->coming_ns += clock_ns() - l->began_ns;
}

enum worker_lives_next guest_lives_next(struct guest_lives *l)
{
	uint64_t pause_ns;
	enum worker_lives_next next = worker_lives_died(
		&l->lives, clock_ns() - l->coming_ns, &pause_ns);

	if (!pause_ns)
		return next;
	log_warning("%s: worker after worker dies; the next one begins in %u "
		    "s, until then the guest waits",
		    l->guest, (unsigned int)(pause_ns / NS_PER_SECOND));
	loop_arm(l->loop, &l->next, pause_ns);
	return next;
}

bool guest_lives_pause(const struct guest_lives *l)
{
	return l->next.armed;
}

void guest_lives_stop(struct guest_lives *l)
{
	loop_disarm(l->loop, &l->next);
}

void guest_lives_forget(struct guest_lives *l)
{
	memset(&l->lives, 0, sizeof(l->lives));
}

unsigned int guest_lives_breaks(const struct guest_lives *l)
{
	return l->lives.breaks;
}
