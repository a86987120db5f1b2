/* SPDX-License-Identifier: MIT */
/*
 * The workers of a guest, one after the other: when the next one begins, after
 * a pause where they die again and again, and what it is to do without.
 */
#ifndef MONITOR_GUEST_LIVES_H
#define MONITOR_GUEST_LIVES_H

#include <stdbool.h>

#include "base/loop.h"
#include "monitor/worker_lives.h"

struct guest_lives {
	struct loop *loop;
	const char *guest;                      /* its name; not owned */
	void (*due)(struct guest_lives *lives); /* the next one begins */
	struct worker_lives lives;
	uint64_t began_ns;      /* when the present worker was asked to begin */
	uint64_t coming_ns;     /* what those have taken who never served */
	struct loop_timer next; /* armed: there is no worker for now */
};

/* Of zeroes; `due` is called in `loop`. */
void guest_lives_init(struct guest_lives *lives, struct loop *loop,
		      const char *guest, void (*due)(struct guest_lives *));

/* One is asked to begin; and it has died, serving or before it came to that. */
void guest_lives_began(struct guest_lives *lives);
void guest_lives_died(struct guest_lives *lives, bool served);

/*
 * ... and another one is wanted, what it is to be. It may begin at once, unless
 * guest_lives_pause() says that there is a pause first, with a line in the log:
 * due() is called then.
 */
enum worker_lives_next guest_lives_next(struct guest_lives *lives);
bool guest_lives_pause(const struct guest_lives *lives);

/* Not after all. */
void guest_lives_stop(struct guest_lives *lives);

/* What they have died of is no more. */
void guest_lives_forget(struct guest_lives *lives);

/* How often it was WORKER_LIVES_BREAK. */
unsigned int guest_lives_breaks(const struct guest_lives *lives);

#endif
