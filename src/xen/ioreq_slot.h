/* SPDX-License-Identifier: MIT */
/*
 * The slot of a vCPU in the page that Xen shares with an IOREQ server: an
 * access, and how far it has come.
 *
 * Source: Xen public header hvm/ioreq.h.
 */
#ifndef XEN_IOREQ_SLOT_H
#define XEN_IOREQ_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/hvm/ioreq.h>

/* struct ioreq, with the state as a byte that can be atomic. */
struct ioreq_slot {
	uint64_t addr;
	uint64_t data;
	uint32_t count;
	uint32_t size;
	uint32_t vp_eport;
	uint16_t pad;
	uint8_t bits;
	uint8_t type;
};

_Static_assert(sizeof(struct ioreq_slot) == sizeof(struct ioreq),
	       "hvm/ioreq.h");

enum {
	IOREQ_SLOT_STATE = 0x0f,
	IOREQ_SLOT_DATA_IS_PTR = 0x10,
	IOREQ_SLOT_READ = 0x20,
};

static inline uint8_t ioreq_slot_state(const struct ioreq_slot *slot)
{
	/*
	 * Pairs with Xen's barrier between filling the slot and setting it
	 * READY (ioreq_send).
	 */
	return __atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE) &
	       IOREQ_SLOT_STATE;
}

static inline void ioreq_slot_set_state(struct ioreq_slot *slot, uint8_t state)
{
	uint8_t bits = __atomic_load_n(&slot->bits, __ATOMIC_RELAXED);

	/*
	 * Pairs with Xen's barrier between seeing RESP_READY and reading the
	 * data (wait_for_io).
	 */
	__atomic_store_n(&slot->bits, (bits & ~IOREQ_SLOT_STATE) | state,
			 __ATOMIC_RELEASE);
}

/* Of a copied slot: whether all of the access is in a range. */
static inline bool ioreq_slot_is_within(const struct ioreq_slot *req,
					uint64_t base, uint64_t bytes)
{
	return req->addr >= base && req->addr - base < bytes &&
	       req->size <= bytes - (req->addr - base);
}

/* ... whether it is one that a window can answer. */
static inline bool ioreq_slot_is_for_window(const struct ioreq_slot *req)
{
	return req->type == IOREQ_TYPE_COPY &&
	       !(req->bits & IOREQ_SLOT_DATA_IS_PTR);
}

/* Which may be a reset. */
static inline bool ioreq_slot_is_write(const struct ioreq_slot *slot)
{
	return slot->type == IOREQ_TYPE_COPY && !(slot->bits & IOREQ_SLOT_READ);
}

#endif
