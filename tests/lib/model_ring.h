/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a ring, for tests: builds split and packed rings in a
 * model memory, offers chains and takes used ones.
 *
 * It keeps its own idea of the ring and checks each used element against it:
 * an id that was not offered, or was used already, fails the test. A position
 * is a number of descriptors (packed) or elements (split) since the start.
 */
#ifndef MODEL_RING_H
#define MODEL_RING_H

#include "lib/model_memory.h"

#include "virtio/wire.h"

enum { MODEL_RING_MAX = 1024 };

struct model_buf {
	uint64_t addr;
	uint32_t len;
	bool write; /* by the device */
};

struct model_ring {
	struct model_memory *mem;
	uint16_t size;
	bool packed;
	uint64_t desc_at; /* guest addresses */
	uint64_t avail_at;
	uint64_t used_at;
	union {
		struct {
			struct vring_desc *desc;
			struct vring_avail *avail;
			struct vring_used *used;
		};
		struct {
			struct vring_packed_desc *pdesc;
			union vring_packed_event *driver; /* what we want */
			union vring_packed_event *device; /* what it wants */
		};
	};
	uint16_t avail_next; /* positions as the driver knows them */
	uint16_t used_seen;
	uint16_t free[MODEL_RING_MAX]; /* heads, or buffer ids */
	unsigned int nfree;
	unsigned int room;               /* packed: free descriptors */
	uint16_t next[MODEL_RING_MAX];   /* of chains, as we wrote them */
	uint16_t length[MODEL_RING_MAX]; /* by head: descriptors; or 0 */
};

struct vring_bytes model_ring_bytes(const struct model_ring *ring);

/* `base` of virtqueue_start() for a position. */
uint32_t model_ring_base(const struct model_ring *ring, uint16_t position);

/*
 * The AVAIL and USED flags that a descriptor at a position has. Positions have
 * 16 bits: a test that goes further has to use a size that divides 32768.
 */
uint16_t model_packed_flags(const struct model_ring *ring, uint16_t position,
			    bool used);

void model_ring_reset(struct model_ring *ring, uint16_t base);

/*
 * Lay a ring out at guest address `at`, its used ring aligned as told; returns
 * the first address after it.
 */
uint64_t model_ring_place(struct model_ring *ring, struct model_memory *mem,
			  uint64_t at, uint16_t size, bool packed,
			  uint64_t align);

uint64_t model_ring_lay(struct model_ring *ring, struct model_memory *mem,
			uint64_t at, uint16_t size, bool packed);

uint64_t model_ring_init(struct model_ring *ring, struct model_memory *mem,
			 uint64_t at, uint16_t size);

uint16_t *model_used_event(struct model_ring *ring);

uint16_t *model_avail_event(struct model_ring *ring);

/* Write one descriptor as told, however wrong. */
void model_desc(struct model_ring *ring, uint16_t i, uint64_t addr,
		uint32_t len, uint16_t flags, uint16_t next);

/* Put any number into the available ring. */
void model_avail(struct model_ring *ring, uint16_t head);

uint16_t model_take_desc(struct model_ring *ring);

/*
 * Write descriptor `i` behind those that are available in a packed ring: with
 * its flags, so that it is available, but for the first of a chain.
 */
void model_packed_desc(struct model_ring *ring, uint16_t i,
		       struct vring_packed_desc d);

/* Make the `n` descriptors written so far available. */
void model_packed_avail(struct model_ring *ring, uint16_t n);

/*
 * Make a chain of what `d` has available, however wrong: head 0 in a split
 * ring, and the buffer id 0 in a packed one.
 */
void model_raw(struct model_ring *ring, const struct vring_desc *d, uint16_t n);

/* Write an indirect table, in scattered order when there is room. */
void model_table(struct model_ring *ring, uint64_t at,
		 const struct model_buf *bufs, unsigned int n);

/*
 * Offer a chain: the first `direct` buffers as descriptors of the ring, the
 * rest, if any, in an indirect table at `table`. Returns the head, or buffer
 * id.
 */
uint16_t model_offer_mixed(struct model_ring *ring,
			   const struct model_buf *bufs, unsigned int direct,
			   unsigned int n, uint64_t table);

uint16_t model_offer(struct model_ring *ring, const struct model_buf *bufs,
		     unsigned int n);

bool model_packed_is_used(const struct model_ring *ring, uint16_t position);

/* Whether there is a used element that has not been taken. */
bool model_has_used(const struct model_ring *ring);

/* Take the next used element: false if there is none. */
bool model_used(struct model_ring *ring, struct vring_used_elem *elem);

/* Ask for notifications of all used elements, or of none, without EVENT_IDX. */
void model_want(struct model_ring *ring, bool wanted);

/* With EVENT_IDX: ask for one when the element at a position is used. */
void model_want_at(struct model_ring *ring, uint16_t position);

/* Whether the device asks for no kicks, without EVENT_IDX. */
bool model_kicks_off(struct model_ring *ring);

/* Whether the device asks for a kick at just this position. */
bool model_kick_at(struct model_ring *ring, uint16_t position);

#endif
