/* SPDX-License-Identifier: MIT */
/*
 * Guest memory by foreign mappings, which are kept: mapping and unmapping are
 * a hypercall a page, a kept mapping costs nothing.
 *
 * Memory is mapped in chunks of MAPCACHE_CHUNK_PAGES pages into one reserved
 * address range, so that a piece's address tells its chunk. A chunk is pinned
 * while a request uses it. When the range is full, the chunk that was unused
 * longest makes room.
 *
 * Pages of a chunk may fail to map (holes, ballooned memory): touching one
 * would kill this process inside the kernel, so a chunk has a bitmap of the
 * pages that are good.
 */
#ifndef XEN_MAPCACHE_H
#define XEN_MAPCACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <xenforeignmemory.h>

#include "base/log.h"
#include "virtio/memory.h"

enum {
	MAPCACHE_PAGE_SHIFT = 12,       /* Xen's pages, whatever the guest's */
	MAPCACHE_CHUNK_PAGES = 256,     /* 1 MiB */
	MAPCACHE_CHUNKS_DEFAULT = 1024, /* 1 GiB of the guest at a time */
};

struct mapcache_chunk {
	uint64_t number;  /* guest address / chunk size */
	uint64_t used_at; /* mapcache.clock when last pinned */
	uint32_t pins;    /* pieces in use */
	bool mapped;
	bool lost;  /* its address space went to somebody else */
	bool stale; /* to be dropped with the last pin */
	int next;   /* of the same hash bucket; -1: none */
	uint64_t good[MAPCACHE_CHUNK_PAGES / 64];
};

struct mapcache {
	struct guest_memory memory; /* first: the seam */
	xenforeignmemory_handle *xen;
	uint32_t domid;
	uint8_t *arena; /* nchunks chunks of address space */
	int fd;         /* an empty memory file: reserves the arena */
	unsigned int nchunks;
	struct mapcache_chunk *chunk;
	int *bucket;           /* heads of the hash chains, by number */
	unsigned int nbuckets; /* a power of two */
	uint64_t clock;
	uint64_t pinned;         /* pins in all chunks */
	struct log_limit errors; /* of mapping */
	/* Totals since the start, and what is mapped now. */
	uint64_t maps;  /* chunks and rings mapped */
	uint64_t pages; /* pages mapped now */
};

/* At most `nchunks` chunks. 0 or a negative errno. The caller finishes. */
int mapcache_init(struct mapcache *cache, xenforeignmemory_handle *xen,
		  uint32_t domid, unsigned int nchunks);

/* Unmap everything; nothing may be pinned. A zeroed cache is allowed. */
void mapcache_finish(struct mapcache *cache);

/*
 * Forget all mappings, because the guest's memory map has changed. Those in use
 * live until their request is done, and are found by no new one. Rings stay.
 */
void mapcache_invalidate(struct mapcache *cache);

#endif
