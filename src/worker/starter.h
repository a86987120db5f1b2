/* SPDX-License-Identifier: MIT */
/*
 * Who makes the worker at the other end of a link, and ends it: a part of this
 * process (worker/local.h) or a process of its own (worker/nursery.h). There is
 * one worker at a time, from a start to its gone().
 *
 *	start	one is made, for one guest; what is said to it and what it says
 *	  |	goes over the link
 *	kill	... or it ends by itself: told so by the link, because the link
 *	  |	has ended, or by a fault of its own
 *	gone	it is no more, and that is told once; or wait() has said so
 */
#ifndef WORKER_STARTER_H
#define WORKER_STARTER_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct worker_starter;

struct worker_starter_ops {
	/* See worker_starter_start() and so on. */
	int (*start)(struct worker_starter *starter, unsigned int domid,
		     int fd);
	void (*kill)(struct worker_starter *starter);
	int (*wait)(struct worker_starter *starter, uint64_t ns);
	void (*abandon)(struct worker_starter *starter);
};

struct worker_starter {
	const struct worker_starter_ops *ops;
	/*
	 * Of who starts workers: the one that runs is no more. `how` is a part
	 * of a sentence for the log: "killed by signal 11 (Segmentation
	 * fault)", "exit status 1". By the loop, never from within a call of
	 * the starter's; once for each start, or not at all where wait() was 0.
	 * Another one may be started from within it.
	 */
	void (*gone)(void *arg, const char *how);
	void *arg;
	bool runs; /* of the functions below */
};

/*
 * Make a worker for guest `domid` at the other end of the link `fd`, which is
 * the starter's in any case. None runs. 0; or a negative errno, and there is
 * none: -EPIPE, nor will there be. What fails later is told by gone().
 */
static inline int worker_starter_start(struct worker_starter *s,
				       unsigned int domid, int fd)
{
	int r;

	assert(!s->runs && s->gone);
	r = s->ops->start(s, domid, fd);
	assert(r <= 0);
	s->runs = r == 0;
	return r;
}

/* End it now, whatever it does: gone() follows. Nothing, if none runs. */
static inline void worker_starter_kill(struct worker_starter *s)
{
	if (s->runs)
		s->ops->kill(s);
}

/*
 * It was told to end, or the link has, and the loop does not run any more: wait
 * until it is no more, but no longer than `ns`. 0, also if none runs; or
 * -ETIMEDOUT, or another negative errno: it may still be there. A part of this
 * process is served until its end, however long that takes.
 */
static inline int worker_starter_wait(struct worker_starter *s, uint64_t ns)
{
	int r = s->runs ? s->ops->wait(s, ns) : 0;

	assert(r <= 0);
	if (r == 0)
		s->runs = false;
	return r;
}

/*
 * This process ends now: have the worker end as well, without waiting for its
 * requests in flight, after it has said which they are. Does not wait. In any
 * thread, also while another one is in wait(); and if none runs.
 */
static inline void worker_starter_abandon(struct worker_starter *s)
{
	s->ops->abandon(s);
}

/* For a starter: its worker is no more. */
static inline void worker_starter_tell_gone(struct worker_starter *s,
					    const char *how)
{
	assert(s->runs);
	s->runs = false;
	s->gone(s->arg, how);
}

#endif
