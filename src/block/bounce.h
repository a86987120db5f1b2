/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers in front of an engine whose image is opened with O_DIRECT.
 */
#ifndef BLOCK_BOUNCE_H
#define BLOCK_BOUNCE_H

#include "block/engine.h"

/* Pieces of a bounced request are not longer. */
#define BLOCK_BOUNCE_PIECE_MAX (1u << 20)

/*
 * Put bounce buffers in front of `behind`, which was opened for
 * `depth` and is owned by the new engine on success. Returns 0 or a negative
 * errno.
 */
int block_bounce_open(struct block_engine **engine, struct block_engine *behind,
		      unsigned int depth);

#endif
