/* SPDX-License-Identifier: MIT */
/*
 * What every engine has at its exit: an eventfd, and the requests that were
 * answered without the kernel's help and wait for reap().
 *
 * An eventfd counts; whoever sees it readable has to read it, and a read takes
 * everything that was rung so far, also for completions that were not collected
 * yet. So the outbox keeps the balance: rings whose completions were collected
 * minus rings that were read. It is what lets reap() go without a system call
 * when there is nothing to do, and never lose or leave over a ring:
 *
 *   if (block_outbox_is_idle(o) && nothing else to collect)
 *           return NULL;
 *   block_outbox_listen(o);              reads the rings so far
 *   collect at most max                  one more balance for each ring
 *   block_outbox_settle(o);              rings again for what was left behind
 *
 * Reading before collecting is the order that cannot lose a completion: one
 * that comes in between is collected at once or has rung after the read.
 *
 * A ring may so come after its completion was collected, also when nothing is
 * in flight any more. Who finds the descriptor readable then has to reap, too.
 *
 * Another thread may leave a request as well: see block_outbox_post().
 */
#ifndef BLOCK_OUTBOX_H
#define BLOCK_OUTBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "request_list.h"

struct block_outbox {
	int fd;          /* eventfd, not blocking; owned */
	bool rung;       /* `answered` has rung */
	int64_t balance; /* rings collected - rings read */
	struct block_request_list answered;

	bool mail;                        /* atomic: `posted` has something */
	pthread_mutex_t lock;             /* of `posted` */
	struct block_request_list posted; /* by other threads */
};

/* Returns 0 or a negative errno. */
int block_outbox_init(struct block_outbox *outbox);
/* Also for an outbox whose fd is -1. */
void block_outbox_finish(struct block_outbox *outbox);

/* Answer a request without the kernel; block_outbox_announce() must follow. */
static inline void block_outbox_put(struct block_outbox *outbox,
				    struct block_request *req, int result)
{
	req->result = result;
	block_request_list_append(&outbox->answered, req);
}

/* Make the fd readable if there are answered requests. */
void block_outbox_announce(struct block_outbox *outbox);

/* Make the fd readable once, so that the caller comes to reap() soon. */
void block_outbox_nudge(struct block_outbox *outbox);

/*
 * Leave a done request from any thread. The outbox may be gone as soon as the
 * owner has taken the last one of its requests, not before this returns.
 */
void block_outbox_post(struct block_outbox *outbox, struct block_request *req);

static inline bool block_outbox_is_idle(const struct block_outbox *outbox)
{
	return !outbox->answered.head && outbox->balance == 0 &&
	       !__atomic_load_n(&outbox->mail, __ATOMIC_ACQUIRE);
}

void block_outbox_listen(struct block_outbox *outbox);
/* Collect answered requests, at most `max`; returns how many. */
unsigned int block_outbox_take(struct block_outbox *outbox,
			       struct block_request_list *list,
			       unsigned int max);
void block_outbox_settle(struct block_outbox *outbox);

#endif
