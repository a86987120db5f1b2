/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of one virtqueue, split or packed, in memory that is shared
 * with the device. It outlives the device.
 *
 * A slot is a place for one request; a chain has its slot's number for its
 * name. Dies of a device that completes what is not under way.
 */
#ifndef TORTURE_RING_H
#define TORTURE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/wire.h"

enum {
	RING_SIZE = 512,
	RING_SLOTS = 64,
	RING_CHAIN_MAX = 8, /* descriptors of a chain */
	RING_BYTES = 0x8000,
	/* Places of the three areas. */
	RING_DRIVER_AT = 0x4000,
	RING_DEVICE_AT = 0x6000,
};

_Static_assert(RING_SLOTS *RING_CHAIN_MAX <= RING_SIZE, "a place for each");

/* A part of a request: guest address, bytes, by whom it is written. */
struct ring_part {
	uint64_t addr;
	uint32_t len;
	bool device_writes;
};

struct ring {
	bool packed, event_idx;
	uint8_t *memory; /* RING_BYTES */
	uint16_t next_avail, next_used;
	uint16_t kicked; /* split: next_avail at the last look */
	bool avail_wrap, used_wrap;
	uint16_t first, batch; /* packed: position, entries since ring_kick() */
	uint16_t entries[RING_SLOTS]; /* of chains under way; 0: none */
};

void ring_init(struct ring *r, uint8_t *memory, bool packed, bool event_idx);

/* Where a device that knows nothing starts: for SET_VRING_BASE. */
uint32_t ring_base(const struct ring *r);

/*
 * Put a chain in the ring. With `table`, an indirect one at guest address
 * `table_addr`.
 */
void ring_add(struct ring *r, unsigned int slot, const struct ring_part *parts,
	      unsigned int n, void *table, uint64_t table_addr);

/* Whether the device wants to be told of what was added since the last call. */
bool ring_needs_kick(struct ring *r);

/* The slot of the next completed chain, and what was written; -1: none. */
int ring_take(struct ring *r, uint32_t *written);

/* Ask for a notification of the next one. */
void ring_arm(struct ring *r);

#endif
