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

enum {
	/* Pieces that an indirect table may fall into when it is mapped. */
	CHAIN_TABLE_PIECES_MAX = 8,
};

/* A chain may have as many bytes as 32 bits can tell, section 2.7.5.1. */
#define CHAIN_BYTES_MAX UINT64_C(0xffffffff)

static inline void virtq_chain_init(const struct virtqueue *q,
				    struct virtq_chain *chain, uint16_t head)
{
	chain->head = head;
	chain->n = 0;
	chain->readable = 0;
	chain->readable_bytes = 0;
	chain->writable_bytes = 0;
	chain->ranges = q->ranges;
}

/* Append a copied descriptor to a chain of `max` at most: 0 or an errno. */
static inline int virtq_chain_add(struct virtq_chain *chain, uint64_t addr,
				  uint32_t len, bool writable,
				  unsigned int max)
{
	if (!writable && chain->writable_bytes)
		return -EPROTO;	/* section 2.7.4.2: readable ones first */
	if (chain->readable_bytes + chain->writable_bytes + len >
	    CHAIN_BYTES_MAX)
		return -E2BIG;
	if (len == 0)
		return 0;
	if (chain->n == max)
		return -E2BIG;
	chain->ranges[chain->n].addr = addr;
	chain->ranges[chain->n].len = len;
	chain->n++;
	if (writable) {
		chain->writable_bytes += len;
	} else {
		chain->readable_bytes += len;
		chain->readable = chain->n;
	}
	return 0;
}

/*
 * Copy the indirect table [addr, addr + len) into q->table, where nobody can
 * change it while it is walked: the number of its entries, at most size_max, or
 * a negative errno. Entries are 16 bytes in both layouts.
 */
static inline int virtq_chain_copy_table(struct virtqueue *q, uint64_t addr,
					 uint32_t len)
{
	const struct guest_range range = { .addr = addr, .len = len };
	struct virtio_iov iov[CHAIN_TABLE_PIECES_MAX];
	uint32_t entries = len / (uint32_t)sizeof(struct vring_desc);
	uint8_t *to = (uint8_t *)q->table;
	unsigned int split;
	int n;

	if (entries == 0 || len % sizeof(struct vring_desc))
		return -EPROTO;
	if (entries > q->size_max)
		return -E2BIG;
	n = q->mem->ops->map(q->mem, &range, 1, 1, iov, CHAIN_TABLE_PIECES_MAX,
			     &split);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		shared_copy(to, iov[i].base, iov[i].len);
		to += iov[i].len;
	}
	if (q->mem->ops->unmap)
		q->mem->ops->unmap(q->mem, iov, (unsigned int)n, split);
	return (int)entries;
}

#endif
