/* SPDX-License-Identifier: MIT */
/* When a guest is looked at again; see monitor/guest_pace.h. */
#include "monitor/guest_pace.h"

#include <string.h>

#include "base/clock.h"

/*
 * How long until xenstore is asked again what it has not answered: twice as
 * long each time. libxl waits for 10 s.
 */
#define AGAIN_MIN_NS (100 * NS_PER_MS)
#define AGAIN_MAX_NS (2 * NS_PER_SECOND)

/*
 * How long until the image of a disk that was left is tried again: a quarter of
 * the time that it was waited for. A killed process has it for some 35 ms.
 */
#define TAKE_UP_MIN_NS (2 * NS_PER_MS)
#define TAKE_UP_MAX_NS (250 * NS_PER_MS)

static void again_due(struct loop_timer *timer)
{
	struct guest_pace *p = container_of(timer, struct guest_pace, again);

	p->due(p);
}

static void take_up_due(struct loop_timer *timer)
{
	struct guest_pace *p = container_of(timer, struct guest_pace, take_up);

	p->due(p);
}

void guest_pace_init(struct guest_pace *p, struct loop *loop,
		     const char *domain, void (*due)(struct guest_pace *pace))
{
	p->loop = loop;
	p->domain = domain;
	p->due = due;
	p->again.due = again_due;
	p->take_up.due = take_up_due;
}

void guest_pace_finish(struct guest_pace *p)
{
	loop_disarm(p->loop, &p->again);
	loop_disarm(p->loop, &p->take_up);
}

void guest_pace_look(struct guest_pace *p, int error, bool forgotten)
{
	if (error && error != p->trouble)
		log_limited(&p->errors, LOG_LEVEL_WARNING,
			    "%s: xenstore does not answer: %s; looking again",
			    p->domain, strerror(error));
	p->trouble = error;
	if (!error && !forgotten) {
		p->again_ns = 0;
		return;
	}
	p->again_ns = ns_within(2 * p->again_ns, AGAIN_MIN_NS, AGAIN_MAX_NS);
	loop_arm(p->loop, &p->again, p->again_ns);
}

void guest_pace_take_up(struct guest_pace *p, bool waits)
{
	uint64_t now = clock_ns();

	if (!waits) {
		p->take_up_since_ns = 0;
		return;
	}
	if (!p->take_up_since_ns)
		p->take_up_since_ns = now;
	loop_arm(p->loop, &p->take_up,
		 ns_within((now - p->take_up_since_ns) / 4, TAKE_UP_MIN_NS,
			   TAKE_UP_MAX_NS));
}
