/* SPDX-License-Identifier: MIT */
/*
 * A bounded piece of memory, handed out in runs of 4 KiB granules.
 */
#ifndef BLOCK_ARENA_H
#define BLOCK_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define BLOCK_ARENA_SIZE (4u << 20)
#define BLOCK_ARENA_GRANULE 4096u
#define BLOCK_ARENA_GRANULES (BLOCK_ARENA_SIZE / BLOCK_ARENA_GRANULE)

struct block_arena {
	char *base; /* page-aligned, touched when used; owned */
	uint64_t used[BLOCK_ARENA_GRANULES / 64]; /* a bit per granule */
};

/* Part of an arena. */
struct block_arena_run {
	unsigned int first; /* granule */
	unsigned int count; /* granules; 0: nothing */
};

/* Returns 0 or a negative errno. */
int block_arena_init(struct block_arena *arena);
/* Also for an arena whose base is NULL. */
void block_arena_finish(struct block_arena *arena);

/*
 * The first free run of `want` granules; when there is none, the longest that
 * is free. The run has no granules when nothing is free.
 */
struct block_arena_run block_arena_take(struct block_arena *arena,
					unsigned int want);
void block_arena_give(struct block_arena *arena, struct block_arena_run run);

static inline void *block_arena_memory(const struct block_arena *arena,
				       struct block_arena_run run)
{
	return arena->base + (size_t)run.first * BLOCK_ARENA_GRANULE;
}

#endif
