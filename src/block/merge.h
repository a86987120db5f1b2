/* SPDX-License-Identifier: MIT */
/*
 * Neighbouring requests as one, in front of an engine.
 */
#ifndef BLOCK_MERGE_H
#define BLOCK_MERGE_H

#include "block/engine.h"

/* What a run of requests has at most. */
#define BLOCK_MERGE_IOV_MAX 64u
#define BLOCK_MERGE_BYTES_MAX (256u << 10)

/*
 * Put merging in front of `behind`, which was opened for `depth` and
 * is owned by the new engine on success. Returns 0 or a negative errno.
 */
int block_merge_open(struct block_engine **engine, struct block_engine *behind,
		     unsigned int depth);

#endif
