/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver for the fuzz targets: what it writes into its rings.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "fuzz.h"

#include "lib/model_driver.h"

/* One descriptor: sensible fields, each of which may be any number. */
static inline struct vring_desc fuzz_desc(struct fuzz_input *in,
					  const struct model_memory *mem,
					  uint16_t entries)
{
	uint8_t flags = fuzz_u8(in);
	struct vring_desc d = {
		.addr = fuzz_address(in, mem->base, mem->size),
		.len = fuzz_length(in),
		.flags = flags & 7,
	};

	d.next = flags & 0x80 ? fuzz_u16(in) :
				(uint16_t)fuzz_below(in, entries);
	if (flags & 0x40)
		d.flags = fuzz_u16(in);
	return d;
}

/* Overwrite some bytes of guest memory, anywhere. */
static inline void fuzz_scribble(struct fuzz_input *in,
				 struct model_memory *mem)
{
	uint64_t at = fuzz_u16(in) % (mem->size - 16);

	/* Mostly in the first pages: there are the rings. */
	fuzz_copy(in, mem->bytes + at, 1u + fuzz_below(in, 16));
}

/*
 * A chain as drivers make them, in the entries from `head` on, of buffers that
 * are the input's; with `table` not 0 in an indirect table there.
 */
static inline void fuzz_chain(struct fuzz_input *in, struct model_ring *ring,
			      uint64_t table)
{
	uint16_t head = (uint16_t)fuzz_below(in, ring->size);
	uint16_t n = (uint16_t)(1 + fuzz_below(in, 6));
	uint16_t writable = (uint16_t)fuzz_below(in, 7);
	struct vring_desc *to = ring->desc;
	uint16_t entries = ring->size;
	uint16_t at = head;

	if (table) {
		to = model_at(ring->mem, table, n * sizeof(*to));
		entries = n;
		at = 0;
		model_desc(ring, head, table, n * 16u, VRING_DESC_INDIRECT, 0);
	}
	for (uint16_t i = 0; i < n; i++) {
		uint16_t next = (uint16_t)((at + 1) % entries);

		to[at] = (struct vring_desc){
			.addr = fuzz_address(in, ring->mem->base,
					     ring->mem->size),
			.len = fuzz_length(in),
			.flags = (uint16_t)((i + 1 < n ? VRING_DESC_NEXT : 0) |
					    (i >= writable ? VRING_DESC_WRITE :
							     0)),
			.next = next,
		};
		at = next;
	}
	model_avail(ring, head);
}

/* The same of a packed ring: a chain that is available, but of any content. */
static inline void fuzz_packed_chain(struct fuzz_input *in,
				     struct model_ring *ring, uint64_t table)
{
	uint16_t n = (uint16_t)(1 + fuzz_below(in, 4));
	uint16_t id = (uint16_t)fuzz_below(in, ring->size + 1u);

	for (uint16_t i = 0; i < n; i++) {
		const struct vring_desc d = fuzz_desc(in, ring->mem, n);
		uint16_t kind = d.flags &
				(VRING_DESC_WRITE | VRING_DESC_INDIRECT);

		model_packed_desc(
			ring, i,
			(struct vring_packed_desc){
				.addr = kind & VRING_DESC_INDIRECT ? table :
								     d.addr,
				.len = d.len,
				.id = id,
				.flags = (uint16_t)(kind |
						    (i + 1 < n ?
							     VRING_DESC_NEXT :
							     0)),
			});
	}
	model_packed_avail(ring, n);
}

static inline void fuzz_packed_step(struct fuzz_input *in,
				    struct model_ring *ring, uint64_t tables)
{
	switch (fuzz_u8(in) % 4) {
	case 0:
		fuzz_copy(in, &ring->pdesc[fuzz_below(in, ring->size)],
			  sizeof(ring->pdesc[0]));
		break;
	case 1:
		fuzz_copy(in, ring->driver, sizeof(*ring->driver));
		break;
	case 2:
		fuzz_scribble(in, ring->mem);
		break;
	default:
		fuzz_packed_chain(in, ring, tables + 256u * fuzz_below(in, 4));
		break;
	}
}

/* One thing that a driver does to its ring, right or wrong. */
static inline void fuzz_ring_step(struct fuzz_input *in,
				  struct model_ring *ring, uint64_t tables)
{
	if (ring->packed) {
		fuzz_packed_step(in, ring, tables);
		return;
	}
	switch (fuzz_u8(in) % 8) {
	case 0:
		ring->desc[fuzz_below(in, ring->size)] =
			fuzz_desc(in, ring->mem, ring->size);
		break;
	case 1:
		model_avail(ring, (uint16_t)fuzz_below(in, ring->size));
		break;
	case 2:
		model_avail(ring, fuzz_u16(in));
		break;
	case 3:
		ring->avail_next = fuzz_u16(in);
		ring->avail->idx = ring->avail_next;
		break;
	case 4:
		ring->avail->flags = fuzz_u8(in);
		*model_used_event(ring) = fuzz_u16(in);
		break;
	case 5:
		fuzz_scribble(in, ring->mem);
		break;
	case 6:
		fuzz_chain(in, ring, 0);
		break;
	default:
		fuzz_chain(in, ring, tables + 256u * fuzz_below(in, 16));
		break;
	}
}

#endif
