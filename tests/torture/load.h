/* SPDX-License-Identifier: MIT */
/*
 * Requests of a driver on all queues of a disk, each judged by the oracle when
 * it completes. They outlive the back end.
 */
#ifndef TORTURE_LOAD_H
#define TORTURE_LOAD_H

#include "common.h"
#include "front.h"
#include "oracle.h"

enum { LOAD_SECTORS_MAX = 512 }; /* of a request */

enum load_op {
	LOAD_READ,
	LOAD_WRITE,
	LOAD_FLUSH,
	LOAD_ZERO,
	LOAD_DISCARD,
	LOAD_OPS
};

struct load_request {
	bool busy;
	enum load_op op;
	uint32_t first, n; /* sectors */
	uint64_t number;
	uint8_t *head; /* header, range, status, indirect table */
	uint8_t *data;
	uint32_t since[LOAD_SECTORS_MAX]; /* for oracle_check() */
};

struct load_queue {
	unsigned int depth, busy;
	struct load_request request[RING_SLOTS];
};

struct load {
	struct front *front;
	struct oracle oracle;
	struct chance chance;
	bool discards;        /* what is discarded reads as zeroes */
	uint32_t align;       /* sectors of the smallest write */
	uint32_t most;        /* sectors of the largest request */
	uint8_t flush_status; /* what a flush has to end with */
	bool may_fail;        /* requests, with an error */
	unsigned int failed;  /* ... that did; what they wrote, is it or not */
	unsigned int start;   /* of the daemon, for the stamps */
	uint64_t begun, completed;
	uint64_t counts[LOAD_OPS];
	struct load_queue queue[FRONT_QUEUES_MAX];
};

/* Bytes of memory that it wants for so many queues. */
size_t load_bytes(unsigned int nqueues);

/* Features that it wants, but for the form of the rings. */
uint64_t load_features(void);

/* On the whole disk; the image is new, which is to say all zeroes. */
void load_init(struct load *l, struct front *f, uint32_t nsectors,
	       uint64_t seed);
void load_finish(struct load *l);

/* Begin one request of those sectors; false if there is no room for it. */
bool load_begin(struct load *l, unsigned int queue, enum load_op op,
		uint32_t first, uint32_t n);

/* Begin requests by chance until each queue has its depth of them. */
void load_fill(struct load *l);

/* Tell the back end of what was begun, where it wants to know. */
void load_kick(struct load *l);

/* Take all that has completed: how many. */
unsigned int load_take(struct load *l);

unsigned int load_busy(const struct load *l);

/* What is under way, for somebody who looks at why it is. */
void load_tell(const struct load *l);

#endif
