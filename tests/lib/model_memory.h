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
void *model_at(const struct model_memory *mem, uint64_t addr, uint64_t len);

/* Our pointer to what the device has a pointer to, and the other way round. */
void *model_ours(const struct model_memory *mem, void *p);

void *model_device(const struct model_memory *mem, void *p);

int model_map(struct guest_memory *gm, const struct guest_range *ranges,
	      unsigned int n, unsigned int readable, struct virtio_iov *iov,
	      unsigned int max, unsigned int *split);

void model_unmap(struct guest_memory *gm, const struct virtio_iov *iov,
		 unsigned int n, unsigned int split);

void *model_map_ring(struct guest_memory *gm, uint64_t addr, uint64_t len);

void model_unmap_ring(struct guest_memory *gm, void *base, uint64_t len);

extern const struct guest_memory_ops model_memory_ops;

/* `size` bytes, a multiple of a page, between two pages without access. */
void model_memory_init(struct model_memory *mem, uint64_t size);

/*
 * Both halves as windows, as a memory has them that is mapped for good: unmap()
 * has nothing to do, and what is mapped is not counted.
 */
void model_memory_windows(struct model_memory *mem);

/* Nothing may be mapped any more. */
void model_memory_check_idle(const struct model_memory *mem);

void model_memory_finish(struct model_memory *mem);

/* A repeatable pseudo-random number (xorshift). */
uint64_t model_random(uint64_t *state);

uint32_t model_random_below(uint64_t *state, uint32_t limit);

#endif
