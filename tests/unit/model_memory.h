/* SPDX-License-Identifier: MIT */
/*
 * A guest memory for tests: one buffer between two forbidden pages.
 *
 * It counts. Each map() has to be undone by exactly one unmap() with the same
 * pieces; model_memory_finish() fails the test if one is left. It can cut
 * ranges into pieces as Xen's map cache does, and can fail at the k-th map().
 */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/memory.h"

enum {
	MODEL_PAGE = 4096,
	/* Where the buffer is in the guest: 0 is a bad address. */
	MODEL_BASE = 0x40000000,
};

/* One map() that was not undone yet. */
struct model_map {
	struct model_map *next;
	unsigned int n;
	unsigned int split;
	void *base[]; /* of the pieces */
};

struct model_memory {
	struct guest_memory memory; /* first: the seam */
	uint8_t *bytes;
	uint8_t *device; /* where the device sees bytes[0] */
	uint64_t base;   /* guest address of bytes[0] */
	uint64_t size;
	uint64_t piece;       /* cut where an address divides by it; 0: not */
	unsigned int limit;   /* pieces at a time, then -EAGAIN; 0: any */
	unsigned int calls;   /* of map() so far */
	unsigned int fail_at; /* the call that fails, from 1 on; 0: none */
	unsigned int fail_calls; /* how many calls fail from then on */
	int fail_with;
	struct model_map *maps;
	unsigned int live;  /* pieces mapped now */
	unsigned int rings; /* ring parts mapped now */
};

/* The host's pointer to [addr, addr + len), or NULL: not our memory. */
static inline void *model_at(const struct model_memory *mem, uint64_t addr,
			     uint64_t len)
{
	uint64_t offset = addr - mem->base;

	if (addr < mem->base || offset > mem->size || len > mem->size - offset)
		return NULL;
	return mem->bytes + offset;
}

/* Our pointer to what the device has a pointer to, and the other way round. */
static inline void *model_ours(const struct model_memory *mem, void *p)
{
	return mem->bytes + ((uint8_t *)p - mem->device);
}

static inline void *model_device(const struct model_memory *mem, void *p)
{
	return mem->device + ((uint8_t *)p - mem->bytes);
}

static inline int model_map_range(const struct model_memory *mem,
				  const struct guest_range *range,
				  struct virtio_iov *iov, unsigned int max)
{
	uint8_t *from = model_at(mem, range->addr, range->len);
	uint64_t addr = range->addr;
	uint64_t left = range->len;
	unsigned int n = 0;

	if (!from)
		return -EFAULT;
	from = model_device(mem, from);
	while (left) {
		uint64_t len = left;

		if (mem->piece && mem->piece - addr % mem->piece < len)
			len = mem->piece - addr % mem->piece;
		if (n == max)
			return -E2BIG;
		iov[n].base = from;
		iov[n++].len = len;
		from += len;
		addr += len;
		left -= len;
	}
	return (int)n;
}

static inline bool model_map_fails(struct model_memory *mem)
{
	mem->calls++;
	return mem->fail_at && mem->calls >= mem->fail_at &&
	       mem->calls < mem->fail_at + mem->fail_calls;
}

static inline void model_note_map(struct model_memory *mem,
				  const struct virtio_iov *iov, unsigned int n,
				  unsigned int split)
{
	struct model_map *map = malloc(sizeof(*map) + n * sizeof(void *));

	assert_non_null(map);
	map->n = n;
	map->split = split;
	for (unsigned int i = 0; i < n; i++)
		map->base[i] = iov[i].base;
	map->next = mem->maps;
	mem->maps = map;
	mem->live += n;
}

static inline int model_map(struct guest_memory *gm,
			    const struct guest_range *ranges, unsigned int n,
			    unsigned int readable, struct virtio_iov *iov,
			    unsigned int max, unsigned int *split)
{
	struct model_memory *mem = (struct model_memory *)gm;
	unsigned int pieces = 0;

	if (model_map_fails(mem))
		return mem->fail_with;
	*split = 0;
	for (unsigned int i = 0; i < n; i++) {
		int r = model_map_range(mem, &ranges[i], iov + pieces,
					max - pieces);

		if (r < 0)
			return r;
		pieces += (unsigned int)r;
		if (i < readable)
			*split = pieces;
	}
	if (mem->limit && mem->live + pieces > mem->limit)
		return mem->live ? -EAGAIN : -E2BIG;
	if (gm->ops->unmap)
		model_note_map(mem, iov, pieces, *split);
	return (int)pieces;
}

static inline bool model_is_map(const struct model_map *map,
				const struct virtio_iov *iov, unsigned int n,
				unsigned int split)
{
	if (map->n != n || map->split != split)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (map->base[i] != iov[i].base)
			return false;
	return true;
}

static inline void model_unmap(struct guest_memory *gm,
			       const struct virtio_iov *iov, unsigned int n,
			       unsigned int split)
{
	struct model_memory *mem = (struct model_memory *)gm;
	struct model_map **link = &mem->maps;
	struct model_map *map;

	while (*link && !model_is_map(*link, iov, n, split))
		link = &(*link)->next;
	map = *link;
	if (!map)
		fail_msg("unmap() of %u pieces that no map() gave", n);
	*link = map->next;
	mem->live -= n;
	free(map);
}

static inline void *model_map_ring(struct guest_memory *gm, uint64_t addr,
				   uint64_t len)
{
	struct model_memory *mem = (struct model_memory *)gm;
	void *p = model_at(mem, addr, len);

	mem->rings += p != NULL;
	return p ? model_device(mem, p) : NULL;
}

static inline void model_unmap_ring(struct guest_memory *gm, void *base,
				    uint64_t len)
{
	struct model_memory *mem = (struct model_memory *)gm;
	uint64_t offset = (uint64_t)((uint8_t *)base - mem->device);

	assert_true(mem->rings > 0);
	assert_true(offset <= mem->size && len <= mem->size - offset);
	mem->rings--;
}

static const struct guest_memory_ops model_memory_ops = {
	.map = model_map,
	.unmap = model_unmap,
	.map_ring = model_map_ring,
	.unmap_ring = model_unmap_ring,
};

/* `size` bytes, a multiple of a page, between two pages without access. */
static inline void model_memory_init(struct model_memory *mem, uint64_t size)
{
	uint8_t *p;

	assert_int_equal(size % MODEL_PAGE, 0);
	memset(mem, 0, sizeof(*mem));
	/* Shared, so that a child process can be the device. */
	p = mmap(NULL, size + 2 * MODEL_PAGE, PROT_NONE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	mem->bytes = p + MODEL_PAGE;
	assert_int_equal(mprotect(mem->bytes, size, PROT_READ | PROT_WRITE), 0);
	mem->device = mem->bytes;
	mem->memory.ops = &model_memory_ops;
	mem->base = MODEL_BASE;
	mem->size = size;
}

/*
 * Both halves as windows, as a memory has them that is mapped for good: unmap()
 * has nothing to do, and what is mapped is not counted.
 */
static inline void model_memory_windows(struct model_memory *mem)
{
	static const struct guest_memory_ops ops = {
		.map = model_map,
		.map_ring = model_map_ring,
		.unmap_ring = model_unmap_ring,
	};
	uint64_t half = mem->size / 2;

	mem->memory.ops = &ops;
	mem->memory.window[0] = (struct guest_window){ mem->base + half,
						       mem->size - half,
						       mem->device + half };
	mem->memory.window[1] = (struct guest_window){ mem->base, half,
						       mem->device };
}

/* Nothing may be mapped any more. */
static inline void model_memory_check_idle(const struct model_memory *mem)
{
	assert_null(mem->maps);
	assert_int_equal(mem->live, 0);
	assert_int_equal(mem->rings, 0);
}

static inline void model_memory_finish(struct model_memory *mem)
{
	model_memory_check_idle(mem);
	munmap(mem->bytes - MODEL_PAGE, mem->size + 2 * MODEL_PAGE);
}

/* A repeatable pseudo-random number (xorshift). */
static inline uint64_t model_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint32_t model_random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)(model_random(state) >> 16) % limit;
}

#endif
