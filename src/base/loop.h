/* SPDX-License-Identifier: MIT */
/*
 * The event loop of one thread: descriptors, timers, pollers, and what has to
 * wait for the end of a turn.
 *
 * A poller is work that can be found by looking at memory: a ring that the
 * driver moved, an ioreq page, a completion ring. One turn of the loop is
 *
 *	poll all pollers until none finds work
 *	for a short adaptive time: go on polling
 *	tell all pollers to rest (arrange for a wake-up); one that finds work
 *	meanwhile makes the loop poll again
 *	sleep in epoll_wait, handle the descriptors and timers that are due
 *
 * The adaptive time (base/polling.h) grows while work keeps coming soon after
 * the loop went to sleep, and falls to nothing when it does not: an idle loop
 * never wakes.
 *
 * While pollers always find work, descriptors and timers have their turn a
 * millisecond and one round of all pollers later at most: what a poller does at
 * once is to be bounded.
 *
 * Work that a handler may not do itself, because its callers still use what the
 * work takes away, is deferred: it is done when the pollers of a round, or the
 * descriptors and timers of a turn, have all had theirs. The loop neither
 * sleeps nor ends before that.
 *
 * Sources, timers, pollers and deferred work are embedded in their owner's
 * structs; the loop allocates nothing. Removing any of them from any handler is
 * allowed.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/polling.h"

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))

struct loop_source {
	int fd; /* watched, not owned */
	void (*ready)(struct loop_source *source, uint32_t events);
};

struct loop_timer {
	void (*due)(struct loop_timer *timer);
	uint64_t at_ns; /* of the monotonic clock */
	bool armed;
	struct loop_timer *next;
};

struct loop_poller {
	/* Do the work there is; true if there was any. */
	bool (*poll)(struct loop_poller *poller);
	/* The loop wants to sleep. False if there is work after all. */
	bool (*rest)(struct loop_poller *poller);
	struct loop_poller *next;
};

struct loop_deferred {
	void (*run)(struct loop_deferred *deferred);
	bool waits; /* it is on a list of the loop */
	struct loop_deferred *next;
};

enum { LOOP_EVENTS_MAX = 64 }; /* descriptors handled in one turn */

struct loop {
	int epoll_fd;
	bool quit;
	struct polling polling; /* its max_ns may be set: none without */
	struct loop_poller *pollers;
	struct loop_poller *next_poller; /* of the walk that is under way */
	struct loop_timer *timers;
	struct loop_deferred *deferred; /* for the end of this turn ... */
	struct loop_deferred *due; /* ... and what is left of the present one */
	struct epoll_event events[LOOP_EVENTS_MAX];
	int nevents;        /* of events, while they are handled */
	uint64_t looked_ns; /* when it last looked at descriptors */
	uint64_t slept_ns;  /* when the present sleep began, or 0 */
	uint64_t sleeps;    /* epoll_wait calls that could block */
};

/* 0 or a negative errno. */
int loop_init(struct loop *loop);
void loop_finish(struct loop *loop);

/*
 * Watch source->fd for `events` (EPOLLIN ...). 0 or a negative errno. Any
 * thread may do this, and its handler is called in the loop's.
 */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

/* Pollers are asked in the order in which they were added. */
void loop_add_poller(struct loop *loop, struct loop_poller *poller);
void loop_remove_poller(struct loop *loop, struct loop_poller *poller);

/* Call timer->due once, `ns` from now; arms an armed timer anew. */
void loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns);
void loop_disarm(struct loop *loop, struct loop_timer *timer);

/*
 * Call deferred->run once, at the end of this turn; what waits already keeps
 * its place. In the order in which they came; what is deferred meanwhile is for
 * the end of the next turn. In the loop's thread only.
 */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/* Not after all; also for what does not wait. */
void loop_undefer(struct loop *loop, struct loop_deferred *deferred);

/* Run until loop_quit(). 0, or a negative errno if epoll fails. */
int loop_run(struct loop *loop);
void loop_quit(struct loop *loop);

#endif
