/* SPDX-License-Identifier: MIT */
/*
 * The cache of foreign mappings; see xen/mapcache.h.
 *
 * Failure modes: a range outside guest memory is -EFAULT. A page that was bad
 * when its chunk was mapped may be good by now (the guest ballooned up again,
 * of which nobody tells us), so it is tried once more with a new mapping. When
 * every chunk is pinned the answer is -EAGAIN, unless it is this very request
 * that pins them all: -E2BIG. What the host lacks for a moment is no fault of
 * the guest's: a mapping that fails for it is tried again, for some
 * milliseconds; what fails for good is told in the log.
 *
 * The address range is reserved by mappings of an empty file of our own. Where
 * a mapping over a part of it fails, the part may be reserved still or not at
 * all, and then another thread may have got it: the file tells whose it is.
 */
#include "xen/mapcache.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

enum {
	CHUNK_SHIFT = 20,
	PAGE_BYTES = 1 << MAPCACHE_PAGE_SHIFT,
	RING_PAGES_MAX = 16, /* a descriptor table of 1024 takes 4 or 5 */
	MAP_TRIES = 10,      /* while the host lacks what it takes */
	MAP_PAUSE_US = 1000,
};

#define CHUNK_BYTES (UINT64_C(1) << CHUNK_SHIFT)

_Static_assert(MAPCACHE_CHUNK_PAGES << MAPCACHE_PAGE_SHIFT == 1 << CHUNK_SHIFT,
	       "the shift is that of the chunk");

static struct mapcache *cache_of(struct guest_memory *mem)
{
	return (struct mapcache *)mem;
}

static uint8_t *address_of(const struct mapcache *cache, unsigned int i)
{
	return cache->arena + i * CHUNK_BYTES;
}

static int *bucket_of(const struct mapcache *cache, uint64_t number)
{
	return &cache->bucket[number & (cache->nbuckets - 1)];
}

static int find(const struct mapcache *cache, uint64_t number)
{
	int i = *bucket_of(cache, number);

	while (i >= 0 && cache->chunk[i].number != number)
		i = cache->chunk[i].next;
	return i;
}

/* Take a chunk out of its hash chain: no new request finds it. */
static void unlink_chunk(struct mapcache *cache, int i)
{
	int *link = bucket_of(cache, cache->chunk[i].number);

	while (*link >= 0 && *link != i)
		link = &cache->chunk[*link].next;
	if (*link == i)
		*link = cache->chunk[i].next;
}

/*
 * Reserve the address space of a chunk, as mmap() does by `how`: MAP_FIXED...
 */
static void *reserve(struct mapcache *cache, int i, int how)
{
	return mmap(address_of(cache, (unsigned int)i), CHUNK_BYTES, PROT_NONE,
		    MAP_SHARED | MAP_NORESERVE | how, cache->fd,
		    (off_t)((uint64_t)i * CHUNK_BYTES));
}

/* Unmap a chunk; its address space stays reserved. */
static void unmap_chunk(struct mapcache *cache, int i)
{
	struct mapcache_chunk *chunk = &cache->chunk[i];
	void *p;

	assert(chunk->mapped && chunk->pins == 0);
	p = reserve(cache, i, MAP_FIXED);
	assert(p != MAP_FAILED);
	(void)p;
	cache->pages -= MAPCACHE_CHUNK_PAGES;
	chunk->mapped = false;
	chunk->stale = false;
}

/* Drop a chunk now, or with its last pin. */
static void drop_chunk(struct mapcache *cache, int i)
{
	struct mapcache_chunk *chunk = &cache->chunk[i];

	unlink_chunk(cache, i);
	if (chunk->pins)
		chunk->stale = true;
	else
		unmap_chunk(cache, i);
}

/* A free chunk: a never used one, or the one unused longest. -1: none. */
static int make_room(struct mapcache *cache)
{
	int oldest = -1;

	for (unsigned int i = 0; i < cache->nchunks; i++) {
		const struct mapcache_chunk *chunk = &cache->chunk[i];

		if (!chunk->mapped && !chunk->lost)
			return (int)i;
		if (chunk->pins || chunk->lost)
			continue;
		if (oldest < 0 || chunk->used_at < cache->chunk[oldest].used_at)
			oldest = (int)i;
	}
	if (oldest >= 0)
		drop_chunk(cache, oldest);
	return oldest;
}

static void note_good(struct mapcache_chunk *chunk, const int *errors)
{
	memset(chunk->good, 0, sizeof(chunk->good));
	for (unsigned int i = 0; i < MAPCACHE_CHUNK_PAGES; i++)
		if (errors[i] == 0)
			chunk->good[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Whether two pages are the same one, whatever is said of them. */
static bool is_same_page(volatile uint8_t *page, const volatile uint8_t *other)
{
	for (unsigned int i = 0; i < 2; i++) {
		*page = (uint8_t)(*page + 1);
		if (*other != *page)
			return false;
	}
	return true;
}

/*
 * Whether the first page of the chunk's address space is that of our file: and
 * so are all, for they come and go together. The file has a page there while
 * this is looked at. A mapping of a file can be had once more, wherever that
 * file is; /proc is nothing that a confined process has.
 */
static bool is_reserved(const struct mapcache *cache, int i)
{
	const off_t at = (off_t)((uint64_t)i * CHUNK_BYTES);
	void *ours, *there = MAP_FAILED;
	bool is = false;

	if (ftruncate(cache->fd, at + PAGE_BYTES))
		return false;
	ours = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    cache->fd, at);
	if (ours != MAP_FAILED)
		there = mremap(address_of(cache, (unsigned int)i), 0,
			       PAGE_BYTES, MREMAP_MAYMOVE);
	if (there != MAP_FAILED) {
		is = mprotect(there, PAGE_BYTES, PROT_READ) == 0 &&
		     is_same_page(ours, there);
		munmap(there, PAGE_BYTES);
	}
	if (ours != MAP_FAILED)
		munmap(ours, PAGE_BYTES);
	(void)!ftruncate(cache->fd, 0);
	return is;
}

/*
 * A mapping that failed as a whole may have left a hole in the reserved range.
 * Another thread may have got it meanwhile: then the chunk is lost, not theirs.
 */
static void reserve_again(struct mapcache *cache, int i)
{
	void *want = address_of(cache, (unsigned int)i);
	void *p = reserve(cache, i, MAP_FIXED_NOREPLACE);

	if (p == want)
		return;
	/* A kernel that does not know the flag maps it elsewhere. */
	if (p != MAP_FAILED)
		munmap(p, CHUNK_BYTES);
	if (!is_reserved(cache, i))
		cache->chunk[i].lost = true;
}

/* Whether to try again; with errno of a mapping that has failed. */
static bool may_map_again(struct mapcache *cache, unsigned int *tries)
{
	int error = errno;

	if ((error == ENOMEM || error == EAGAIN || error == EINTR) &&
	    ++*tries < MAP_TRIES) {
		usleep(MAP_PAUSE_US);
		return true;
	}
	log_limited(&cache->errors, LOG_LEVEL_ERROR,
		    "domain %u: its memory cannot be mapped: %s", cache->domid,
		    strerror(error));
	return false;
}

/* The pages of a chunk to where it has its place; NULL: it may be lost. */
static void *map_pages(struct mapcache *cache, int i, const xen_pfn_t *gfn,
		       int *errors)
{
	unsigned int tries = 0;
	bool again;
	void *p;

	do {
		errno = 0;
		p = xenforeignmemory_map2(cache->xen, cache->domid,
					  address_of(cache, (unsigned int)i),
					  PROT_READ | PROT_WRITE, MAP_FIXED,
					  MAPCACHE_CHUNK_PAGES, gfn, errors);
		if (p)
			return p;
		again = may_map_again(cache, &tries);
		reserve_again(cache, i);
	} while (again && !cache->chunk[i].lost);
	return NULL;
}

/* Map chunk `number`: its index, -EAGAIN without room, or -EFAULT. */
static int map_chunk(struct mapcache *cache, uint64_t number)
{
	xen_pfn_t gfn[MAPCACHE_CHUNK_PAGES];
	int errors[MAPCACHE_CHUNK_PAGES];
	int i = make_room(cache);
	struct mapcache_chunk *chunk;

	if (i < 0)
		return -EAGAIN;
	for (unsigned int n = 0; n < MAPCACHE_CHUNK_PAGES; n++)
		gfn[n] = number * MAPCACHE_CHUNK_PAGES + n;
	if (!map_pages(cache, i, gfn, errors))
		return -EFAULT;
	chunk = &cache->chunk[i];
	note_good(chunk, errors);
	chunk->number = number;
	chunk->mapped = true;
	chunk->stale = false;
	chunk->next = *bucket_of(cache, number);
	*bucket_of(cache, number) = i;
	cache->maps++;
	cache->pages += MAPCACHE_CHUNK_PAGES;
	return i;
}

/* Whether all pages that [offset, offset + len) of a chunk touches are good. */
static bool pages_good(const struct mapcache_chunk *chunk, uint64_t offset,
		       uint64_t len)
{
	uint64_t last = (offset + len - 1) >> MAPCACHE_PAGE_SHIFT;

	for (uint64_t i = offset >> MAPCACHE_PAGE_SHIFT; i <= last; i++)
		if (!(chunk->good[i / 64] & UINT64_C(1) << (i % 64)))
			return false;
	return true;
}

/* The chunk with [offset, + len) of `number` mapped: its index or an errno. */
static int get_chunk(struct mapcache *cache, uint64_t number, uint64_t offset,
		     uint64_t len)
{
	int i = find(cache, number);

	if (i >= 0 && pages_good(&cache->chunk[i], offset, len))
		return i;
	if (i >= 0)
		drop_chunk(cache, i);
	i = map_chunk(cache, number);
	if (i >= 0 && !pages_good(&cache->chunk[i], offset, len))
		return -EFAULT;
	return i;
}

static void unpin(struct mapcache *cache, const struct virtio_iov *iov,
		  unsigned int n)
{
	for (unsigned int k = 0; k < n; k++) {
		size_t i = (size_t)((uint8_t *)iov[k].base - cache->arena) >>
			   CHUNK_SHIFT;
		struct mapcache_chunk *chunk = &cache->chunk[i];

		assert(i < cache->nchunks && chunk->pins);
		cache->pinned--;
		if (--chunk->pins == 0 && chunk->stale)
			unmap_chunk(cache, (int)i);
	}
}

/* Pin one range as pieces, a chunk each: number of pieces, or an errno. */
static int pin_range(struct mapcache *cache, const struct guest_range *range,
		     struct virtio_iov *iov, unsigned int max)
{
	uint64_t addr = range->addr;
	uint64_t left = range->len;
	unsigned int n = 0;
	int r = 0;

	if (addr + left < addr)
		return -EFAULT;
	while (left) {
		uint64_t offset = addr & (CHUNK_BYTES - 1);
		uint64_t len = CHUNK_BYTES - offset;

		if (len > left)
			len = left;
		r = n == max ?
			    -E2BIG :
			    get_chunk(cache, addr >> CHUNK_SHIFT, offset, len);
		if (r < 0)
			break;
		cache->chunk[r].pins++;
		cache->chunk[r].used_at = ++cache->clock;
		cache->pinned++;
		iov[n].base = address_of(cache, (unsigned int)r) + offset;
		iov[n].len = len;
		n++;
		addr += len;
		left -= len;
	}
	if (r >= 0)
		return (int)n;
	unpin(cache, iov, n);
	if (r == -EAGAIN && cache->pinned == 0)
		return -E2BIG;
	return r;
}

static int cache_map(struct guest_memory *mem, const struct guest_range *ranges,
		     unsigned int n, unsigned int readable,
		     struct virtio_iov *iov, unsigned int max,
		     unsigned int *split)
{
	struct mapcache *cache = cache_of(mem);
	unsigned int pieces = 0;

	*split = 0;
	for (unsigned int i = 0; i < n; i++) {
		int r = pin_range(cache, &ranges[i], iov + pieces,
				  max - pieces);

		if (r < 0) {
			unpin(cache, iov, pieces);
			return r == -EAGAIN && cache->pinned == 0 ? -E2BIG : r;
		}
		pieces += (unsigned int)r;
		if (i < readable)
			*split = pieces;
	}
	return (int)pieces;
}

static void cache_unmap(struct guest_memory *mem, const struct virtio_iov *iov,
			unsigned int n, unsigned int split)
{
	(void)split;
	unpin(cache_of(mem), iov, n);
}

/* Pages that [addr, addr + len) touches. */
static uint64_t pages_of(uint64_t addr, uint64_t len)
{
	uint64_t offset = addr & (PAGE_BYTES - 1);

	return (offset + len + PAGE_BYTES - 1) >> MAPCACHE_PAGE_SHIFT;
}

static void *cache_map_ring(struct guest_memory *mem, uint64_t addr,
			    uint64_t len)
{
	struct mapcache *cache = cache_of(mem);
	uint64_t n = pages_of(addr, len);
	xen_pfn_t gfn[RING_PAGES_MAX] = { 0 };
	int errors[RING_PAGES_MAX];
	unsigned int tries = 0;
	uint8_t *p;

	if (addr + len < addr || n > RING_PAGES_MAX)
		return NULL;
	for (uint64_t i = 0; i < n; i++)
		gfn[i] = (addr >> MAPCACHE_PAGE_SHIFT) + i;
	do {
		errno = 0;
		p = xenforeignmemory_map(cache->xen, cache->domid,
					 PROT_READ | PROT_WRITE, n, gfn,
					 errors);
	} while (!p && may_map_again(cache, &tries));
	if (!p)
		return NULL;
	for (uint64_t i = 0; i < n; i++) {
		if (errors[i] == 0)
			continue;
		xenforeignmemory_unmap(cache->xen, p, n);
		return NULL;
	}
	cache->maps++;
	cache->pages += n;
	return p + (addr & (PAGE_BYTES - 1));
}

static void cache_unmap_ring(struct guest_memory *mem, void *base, uint64_t len)
{
	struct mapcache *cache = cache_of(mem);
	uint64_t n = pages_of((uintptr_t)base, len);

	xenforeignmemory_unmap(
		cache->xen,
		(void *)((uintptr_t)base & ~(uintptr_t)(PAGE_BYTES - 1)), n);
	cache->pages -= n;
}

static const struct guest_memory_ops mapcache_ops = {
	.map = cache_map,
	.unmap = cache_unmap,
	.map_ring = cache_map_ring,
	.unmap_ring = cache_unmap_ring,
};

int mapcache_init(struct mapcache *cache, xenforeignmemory_handle *xen,
		  uint32_t domid, unsigned int nchunks)
{
	void *arena;

	memset(cache, 0, sizeof(*cache));
	cache->fd = memfd_create("virtio-disk-map-cache", MFD_CLOEXEC);
	if (cache->fd < 0)
		return -errno;
	arena = mmap(NULL, nchunks * CHUNK_BYTES, PROT_NONE,
		     MAP_SHARED | MAP_NORESERVE, cache->fd, 0);
	if (arena == MAP_FAILED) {
		close(cache->fd);
		return -ENOMEM;
	}
	cache->arena = arena;
	cache->nchunks = nchunks;
	cache->nbuckets = 1;
	while (cache->nbuckets < nchunks)
		cache->nbuckets *= 2;
	cache->chunk = calloc(nchunks, sizeof(*cache->chunk));
	cache->bucket = malloc(cache->nbuckets * sizeof(*cache->bucket));
	if (!cache->chunk || !cache->bucket) {
		mapcache_finish(cache);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < cache->nbuckets; i++)
		cache->bucket[i] = -1;
	cache->xen = xen;
	cache->domid = domid;
	cache->memory.ops = &mapcache_ops;
	cache->memory.pinnable = false;
	return 0;
}

void mapcache_finish(struct mapcache *cache)
{
	assert(cache->pinned == 0);
	for (unsigned int i = 0; cache->arena && i < cache->nchunks; i++)
		if (!cache->chunk || !cache->chunk[i].lost)
			munmap(address_of(cache, i), CHUNK_BYTES);
	if (cache->arena)
		close(cache->fd);
	free(cache->chunk);
	free(cache->bucket);
	memset(cache, 0, sizeof(*cache));
}

void mapcache_invalidate(struct mapcache *cache)
{
	for (unsigned int i = 0; i < cache->nchunks; i++)
		if (cache->chunk[i].mapped && !cache->chunk[i].stale)
			drop_chunk(cache, (int)i);
}
