/* SPDX-License-Identifier: MIT */
/*
 * A bounded piece of memory, handed out in runs of granules.
 *
 * A bitmap says which granules are used; take() is first fit, so that light
 * load touches few pages and always the same, which stay in the caches. A
 * single granule, the usual want, is one search for a clear bit.
 *
 * Failure modes: none after init; nothing free is an answer.
 */
#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "arena.h"

#define ARENA_WORDS (BLOCK_ARENA_GRANULES / 64)

int block_arena_init(struct block_arena *arena)
{
	void *base = mmap(NULL, BLOCK_ARENA_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*arena = (struct block_arena){ .base = NULL };
	if (base == MAP_FAILED)
		return -errno;
	arena->base = base;
	return 0;
}

void block_arena_finish(struct block_arena *arena)
{
	if (arena->base)
		munmap(arena->base, BLOCK_ARENA_SIZE);
	arena->base = NULL;
}

/*
 * The first granule at or after `from` whose bit, xored with `flip`, is set;
 * the number of granules if there is none. `flip` of all ones looks for a free
 * granule, 0 for a used one.
 */
static unsigned int find_fit(const struct block_arena *arena, unsigned int from,
			     uint64_t flip)
{
	unsigned int word = from / 64;
	uint64_t bits;

	if (from >= BLOCK_ARENA_GRANULES)
		return BLOCK_ARENA_GRANULES;
	bits = (arena->used[word] ^ flip) & (~0ull << (from % 64));
	while (!bits) {
		if (++word == ARENA_WORDS)
			return BLOCK_ARENA_GRANULES;
		bits = arena->used[word] ^ flip;
	}
	return word * 64 + (unsigned int)__builtin_ctzll(bits);
}

/* Turn the bits of a run over. */
static void flip_bits(struct block_arena *arena, struct block_arena_run run)
{
	unsigned int at = run.first, left = run.count;

	while (left > 0) {
		unsigned int shift = at % 64;
		unsigned int n = 64 - shift < left ? 64 - shift : left;

		/* n is 1 at least: left and 64 - shift are. */
		/* cppcheck-suppress shiftTooManyBits */
		arena->used[at / 64] ^= (~0ull >> (64 - n)) << shift;
		at += n;
		left -= n;
	}
}

struct block_arena_run block_arena_take(struct block_arena *arena,
					unsigned int want)
{
	struct block_arena_run best = { .count = 0 };
	unsigned int end, first = find_fit(arena, 0, ~0ull);

	assert(want > 0);
	while (first < BLOCK_ARENA_GRANULES && best.count < want) {
		/* One granule needs no look at where the run ends. */
		end = want == 1 ? first + 1 : find_fit(arena, first, 0);
		if (end - first > best.count)
			best = (struct block_arena_run){
				.first = first,
				.count = end - first < want ? end - first :
							      want,
			};
		first = find_fit(arena, end, ~0ull);
	}
	flip_bits(arena, best);
	return best;
}

void block_arena_give(struct block_arena *arena, struct block_arena_run run)
{
	assert(run.count == 0 ||
	       find_fit(arena, run.first, ~0ull) >= run.first + run.count);
	flip_bits(arena, run);
}
