/* SPDX-License-Identifier: MIT */
/*
 * Putting together a chain from descriptors that have been copied out of the
 * guest's memory: what both ring layouts have in common.
 *
 * Inline, for it runs once per descriptor of every request.
 */
#ifndef VIRTIO_CHAIN_H
#define VIRTIO_CHAIN_H

#include <errno.h>

#include "virtio/queue.h"
#include "virtio/shared.h"

/* A chain may have as many bytes as 32 bits can tell, section 2.7.5.1. */
#define CHAIN_BYTES_MAX UINT64_C(0xffffffff)

/*
 * A chain while it is put together: in a local variable, whose members the
 * compiler can keep in registers.
 */
struct virtq_builder {
	struct guest_range *to;       /* where the next range goes */
	struct guest_range *writable; /* end of the device-readable ones */
	uint64_t bytes;
	uint64_t readable_bytes;
};

static inline struct virtq_builder virtq_chain_begin(const struct virtqueue *q)
{
	return (struct virtq_builder){ .to = q->ranges, .writable = q->ranges };
}

/*
 * Append a copied descriptor: false if it is a device-readable one after a
 * device-writable one, section 2.7.4.2. There is room for the descriptors of a
 * ring and of an indirect table; the caller walks no further.
 */
static inline bool virtq_chain_add(struct virtq_builder *b, uint64_t addr,
				   uint32_t len, bool writable)
{
	if (!writable && b->to != b->writable)
		return false;
	if (len == 0)
		return true;
	b->to->addr = addr;
	b->to->len = len;
	b->to++;
	b->bytes += len;
	if (!writable) {
		b->writable = b->to;
		b->readable_bytes = b->bytes;
	}
	return true;
}

/* Make a chain of what was put together: 0 or -E2BIG. */
static inline int virtq_chain_end(const struct virtqueue *q,
				  const struct virtq_builder *b, uint16_t head,
				  struct virtq_chain *chain)
{
	/* A sum of no more than 2048 lengths does not run over. */
	if (b->bytes > CHAIN_BYTES_MAX)
		return -E2BIG;
	chain->head = head;
	chain->n = (unsigned int)(b->to - q->ranges);
	chain->readable = (unsigned int)(b->writable - q->ranges);
	chain->readable_bytes = b->readable_bytes;
	chain->writable_bytes = b->bytes - b->readable_bytes;
	chain->ranges = q->ranges;
	return 0;
}

/* Entries of an indirect table, at most size_max, or a negative errno. */
static inline int virtq_chain_entries(const struct virtqueue *q, uint32_t len)
{
	uint32_t entries = len / (uint32_t)sizeof(struct vring_desc);

	if (entries == 0 || len % sizeof(struct vring_desc))
		return -EPROTO;
	return entries > q->size_max ? -E2BIG : (int)entries;
}

/* Copy an indirect table that does not lie in a window into q->table. */
int virtq_chain_map_table(struct virtqueue *q, uint64_t addr, uint32_t len)
	__attribute__((cold, noinline));

/*
 * Find the indirect table [addr, addr + len): the number of its entries, which
 * are of 16 bytes in both layouts, or a negative errno. It is in its place
 * where it lies in a window, else a copy: so each entry is to be read once, as
 * one.
 */
static inline int virtq_chain_find_table(struct virtqueue *q, uint64_t addr,
					 uint32_t len,
					 const struct vring_desc **table)
{
	int entries = virtq_chain_entries(q, len);
	const uint8_t *window;

	if (entries < 0)
		return entries;
	window = guest_memory_look(q->mem, addr, len);
	if (window && (uintptr_t)window % sizeof(uint64_t) == 0) {
		*table = (const struct vring_desc *)(const void *)window;
		return entries;
	}
	*table = q->table;
	return virtq_chain_map_table(q, addr, len);
}

#endif
