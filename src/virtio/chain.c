/* SPDX-License-Identifier: MIT */
/* Indirect tables that have to be mapped; see chain.h. */
#include "virtio/chain.h"

enum {
	/* Pieces that an indirect table may fall into when it is mapped. */
	TABLE_PIECES_MAX = 8,
};

int virtq_chain_map_table(struct virtqueue *q, uint64_t addr, uint32_t len)
{
	const struct guest_range range = { .addr = addr, .len = len };
	struct virtio_iov iov[TABLE_PIECES_MAX];
	uint8_t *to = (uint8_t *)q->table;
	unsigned int split;
	int n;

	n = guest_memory_map(q->mem, &range, 1, 1, iov, TABLE_PIECES_MAX,
			     &split);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		shared_copy(to, iov[i].base, iov[i].len);
		to += iov[i].len;
	}
	guest_memory_unmap(q->mem, iov, (unsigned int)n, split);
	return (int)(len / sizeof(struct vring_desc));
}
