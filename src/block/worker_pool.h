/* SPDX-License-Identifier: MIT */
/*
 * A small fixed pool of threads that do requests with blocking system calls:
 * the whole of the threads engine, and for the others the place for what the
 * kernel cannot do asynchronously.
 */
#ifndef BLOCK_WORKER_POOL_H
#define BLOCK_WORKER_POOL_H

#include <stdbool.h>

#include "block/image.h"
#include "outbox.h"
#include "request_list.h"

struct block_worker_pool;

/*
 * Start `nthreads` threads for `image`. They ring `outbox` when there is
 * something to collect. Returns 0 or a negative errno.
 */
int block_worker_pool_create(struct block_worker_pool **pool,
			     const struct block_image *image,
			     struct block_outbox *outbox,
			     unsigned int nthreads);
/* Stop and free; nothing may be in flight. NULL is allowed. */
void block_worker_pool_destroy(struct block_worker_pool *pool);

/* Hand over all of `list`, which is left empty. */
void block_worker_pool_submit(struct block_worker_pool *pool,
			      struct block_request_list *list);
/* Is there something to collect? Costs one load. */
bool block_worker_pool_is_ready(struct block_worker_pool *pool);
/* Collect completed requests, at most `max`; returns how many. */
unsigned int block_worker_pool_take(struct block_worker_pool *pool,
				    struct block_request_list *list,
				    unsigned int max);

#endif
