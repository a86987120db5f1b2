/* SPDX-License-Identifier: MIT */
/*
 * What stands in front of an engine: bounce buffers and merging. These are
 * engines themselves, whose requests go on to the engine behind. A front looks
 * like that one to whoever asks: the same kind, image, descriptor and outbox;
 * but its verbs are its own.
 */
#ifndef BLOCK_FRONT_H
#define BLOCK_FRONT_H

#include <stdint.h>

#include "block/engine.h"

struct block_front {
	struct block_engine engine;  /* the front itself */
	struct block_engine *behind; /* owned */
};

static inline void block_front_init(struct block_front *front,
				    const struct block_engine_ops *ops,
				    struct block_engine *behind,
				    unsigned int depth)
{
	front->engine = *behind;
	front->engine.ops = ops;
	front->engine.depth = depth;
	front->behind = behind;
}

/*
 * Is a request that came back one of the front's own, the first members of the
 * `n` things of `size` bytes at `own`? Others had passed through.
 */
static inline bool block_front_owns(const void *own, size_t n, size_t size,
				    const struct block_request *req)
{
	return (uintptr_t)req - (uintptr_t)own < n * size;
}

#endif
