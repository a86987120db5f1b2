/* SPDX-License-Identifier: MIT */
/*
 * Positions of a packed ring, and how its in-flight area has them: what serving
 * such a ring (packed.c) and taking it over (packed_recover.c) have in common.
 *
 * A position is an index and, in the highest bit, the wrap counter of its
 * round, as the driver's event has them.
 */
#ifndef VIRTIO_PACKED_H
#define VIRTIO_PACKED_H

#include "virtio/queue.h"

#define PACKED_AVAIL_USED (VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED)

static inline uint16_t packed_advance(const struct virtqueue *q,
				      uint16_t position, uint16_t n)
{
	uint16_t index = (uint16_t)((position & VRING_PACKED_INDEX) + n);
	uint16_t wrap = position & VRING_PACKED_WRAP;

	if (index >= q->size) {
		index = (uint16_t)(index - q->size);
		wrap ^= VRING_PACKED_WRAP;
	}
	return index | wrap;
}

static inline uint16_t packed_retreat(const struct virtqueue *q,
				      uint16_t position, uint16_t n)
{
	/* A round further back there is the same index with the other wrap. */
	return packed_advance(q, position ^ VRING_PACKED_WRAP,
			      (uint16_t)(q->size - n));
}

/* The AVAIL and USED flags of an available descriptor at `position`. */
static inline uint16_t packed_available_flags(uint16_t position)
{
	return position & VRING_PACKED_WRAP ? VRING_PACKED_DESC_AVAIL :
					      VRING_PACKED_DESC_USED;
}

static inline uint16_t packed_used_flags(uint16_t position)
{
	return position & VRING_PACKED_WRAP ? PACKED_AVAIL_USED : 0;
}

static inline bool packed_is_available(uint16_t flags, uint16_t position)
{
	return (flags & PACKED_AVAIL_USED) == packed_available_flags(position);
}

/* The used positions of the in-flight area, as one store. */
static inline uint64_t packed_positions(uint16_t used, uint16_t old)
{
	const union virtq_packed_positions p = {
		.used_idx = used & VRING_PACKED_INDEX,
		.old_used_idx = old & VRING_PACKED_INDEX,
		.used_wrap = (uint8_t)(used >> 15),
		.old_used_wrap = (uint8_t)(old >> 15),
	};

	return p.word;
}

/* Both ends of what happens to the free list, as one store. */
static inline uint32_t packed_free_heads(uint16_t head)
{
	return head | (uint32_t)head << 16;
}

#endif
