/* SPDX-License-Identifier: MIT */
/*
 * Signalling eventfds that a peer shares with us, without being held up by it.
 *
 * Whether a write to an eventfd blocks is a flag of the open file, which the
 * peer has as well, and a write of 1 does block where the peer has filled the
 * counter. No flag of a single write says otherwise (RWF_NOWAIT is for reads of
 * an eventfd), and a look at the counter before is a system call that a peer
 * outruns. So a write is begun as ever, and the watcher (base/watcher.h), which
 * sees one that does not end, interrupts it.
 *
 *	writer	count becomes odd, write, count becomes even
 *	guard	finds an odd count twice, a tick apart: SIGURG, whose handler
 *		does nothing; the write returns EINTR
 *
 * That costs the writer no system call; the guard sleeps while nothing is
 * written, and is woken by the first write after that.
 */
#ifndef VHOST_USER_WRITE_GUARD_H
#define VHOST_USER_WRITE_GUARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct write_guard;

/* Something that writes to one eventfd at a time. */
struct guarded_write {
	struct write_guard *guard;
	struct guarded_write *next;
	pid_t tid;      /* of the thread that writes; atomic */
	uint32_t count; /* odd: a write is under way; atomic */
	uint32_t seen;  /* the guard's */
};

struct write_guard {
	bool asleep;             /* atomic */
	struct loop *loop;       /* the watcher's */
	struct loop_source wake; /* eventfd: something is written again */
	struct loop_timer tick;  /* armed while it is not asleep */
	pthread_mutex_t lock;    /* of the list */
	struct guarded_write *writes;
};

/* Begin, with nothing to guard. 0 or a negative errno. */
int write_guard_start(struct write_guard *guard);

/* Nothing is being written any more. */
void write_guard_stop(struct write_guard *guard);

/* Guard what is zeroed memory, from here to write_guard_stop(). */
void write_guard_add(struct write_guard *guard, struct guarded_write *w);

/*
 * Add 1 to the eventfd. False if its counter is full and it blocked: whoever
 * has made it so means no good, and will do it again.
 */
bool guarded_write_signal(struct guarded_write *w, int fd);

#endif
