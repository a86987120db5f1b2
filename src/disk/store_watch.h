/* SPDX-License-Identifier: MIT */
/*
 * Telling which disk's store does not answer any more, and since when.
 *
 * The watcher (base/watcher.h) looks at all disks every few seconds while
 * anything is in flight. It marks what a queue has in flight; as long as any of
 * that is in flight, it waits. What it finds for LIMIT and more is a line in
 * the log, with the disk's name, and one more when it is answered. Whatever is
 * answered besides does not matter.
 *
 * It costs the data path no clock and no system call: a queue shows how much it
 * has in flight once a pass, and wakes the watcher if that sleeps, which it
 * does when there was nothing to look at for a while. An idle process is not
 * woken.
 */
#ifndef DISK_STORE_WATCH_H
#define DISK_STORE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/blk.h"

struct store_watch_queue {
	/*
	 * Shown by the thread that serves the queue; atomic. It lies with what
	 * that thread has, not beside what others have.
	 */
	const unsigned int *in_flight;

	/* By who looks: */
	uint64_t answered;    /* requests, at the last look */
	uint64_t since_ns;    /* when what is in flight was marked */
	unsigned int overdue; /* in flight since then, at a later look */
	uint16_t head;        /* one of them */
};

/* Of a disk. */
struct store_watch {
	struct store_watch_queue queue[VIRTIO_QUEUES_MAX];

	/* By who looks: */
	const char *name;
	struct virtio_blk *blk;
	bool told;         /* that it stands still */
	uint64_t since_ns; /* ... what was told last */
	uint64_t next_ns;  /* when it is told again, ... */
	uint64_t pause_ns; /* ... after this time */
	struct store_watch *next;
};

/*
 * Watch the queues of `blk`, whose log lines begin with `name`; both outlive
 * that. 0 or a negative errno. Zeroed before, but for in_flight of each queue.
 */
int store_watch_add(struct store_watch *w, const char *name,
		    struct virtio_blk *blk);
/* One that was not added (zeroed) is allowed. */
void store_watch_remove(struct store_watch *w);

/* Look at all disks: whether there was anything to look at. */
bool store_watch_look(uint64_t now_ns);

/* The watcher sleeps; atomic. */
extern bool store_watch_sleeps;
void store_watch_wake(void);

/* So many are in flight now; for the queue's thread. */
static inline void store_watch_show(unsigned int *in_flight, unsigned int n)
{
	__atomic_store_n(in_flight, n, __ATOMIC_RELAXED);
}

/* ... and more are about to be: before whoever starts them may stand still. */
static inline void store_watch_begin(unsigned int *in_flight, unsigned int n)
{
	store_watch_show(in_flight, n);
	if (__builtin_expect(__atomic_load_n(&store_watch_sleeps,
					     __ATOMIC_RELAXED),
			     false))
		store_watch_wake();
}

#endif
