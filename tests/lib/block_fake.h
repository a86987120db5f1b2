/* SPDX-License-Identifier: MIT */
/*
 * A fake engine whose store is an array, for what is put in front of engines.
 * It completes what it holds when and in which order the test says.
 */
#ifndef BLOCK_FAKE_H
#define BLOCK_FAKE_H

#include "lib/block_harness.h"

#include "block/outbox.h"

#define STORE_SIZE (16u << 20)
#define MAX_DEPTH 64u

extern unsigned char *store;

/* The fake engine: what it was given and has not completed. */
struct fake {
	struct block_engine engine;
	struct block_request *held[MAX_DEPTH];
	unsigned int nheld;
	unsigned int max_held;
	unsigned int commits;
	bool at_once; /* a commit completes all, and rings for none */
	struct block_request *ready; /* completed, not reaped */
	struct block_outbox outbox;  /* what others leave */
};

extern struct fake fake;
extern struct block_image image;

/* Complete the i-th held request, with `error` or as it goes. */
void fake_complete(unsigned int i, int error);

/* The fake engine, which holds nothing. */
struct block_engine *fake_open(void);

struct block_request make(enum block_op op, unsigned int flags, uint64_t offset,
			  struct virtio_iov *iov);

int fake_setup(void **state);

int fake_teardown(void **state);

#endif
