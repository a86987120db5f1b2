/* SPDX-License-Identifier: MIT */
/*
 * A virtio driver for tests: builds split rings in a model memory, offers
 * chains, takes used elements, and sets a device up by its MMIO registers.
 *
 * It keeps its own idea of the ring and checks each used element against it:
 * an id that was not offered, or was used already, fails the test.
 */
#ifndef MODEL_DRIVER_H
#define MODEL_DRIVER_H

#include "model_memory.h"

#include "virtio/mmio.h"
#include "virtio/wire.h"

enum { MODEL_RING_MAX = 1024 };

struct model_buf {
	uint64_t addr;
	uint32_t len;
	bool write;		/* by the device */
};

struct model_ring {
	struct model_memory *mem;
	uint16_t size;
	uint64_t desc_at;	/* guest addresses */
	uint64_t avail_at;
	uint64_t used_at;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_next;	/* avail.idx as the driver knows it */
	uint16_t used_seen;
	uint16_t free[MODEL_RING_MAX];
	unsigned int nfree;
	uint16_t next[MODEL_RING_MAX];	/* of chains, as we wrote them */
	uint16_t length[MODEL_RING_MAX]; /* by head: descriptors; or 0 */
};

static inline void model_ring_reset(struct model_ring *ring, uint16_t base)
{
	memset(ring->desc, 0, vring_desc_bytes(ring->size));
	memset(ring->avail, 0, vring_avail_bytes(ring->size));
	memset(ring->used, 0, vring_used_bytes(ring->size));
	memset(ring->length, 0, sizeof(ring->length));
	ring->avail->idx = base;
	ring->used->idx = base;
	ring->avail_next = base;
	ring->used_seen = base;
	/* Taken from the end: the first chain is not simply 0, 1, 2. */
	ring->nfree = ring->size;
	for (uint16_t i = 0; i < ring->size; i++)
		ring->free[i] = (uint16_t)((i * 5u + 3) % ring->size);
}

/* Lay a ring out at guest address `at`; returns the first address after it. */
static inline uint64_t model_ring_init(struct model_ring *ring,
				       struct model_memory *mem, uint64_t at,
				       uint16_t size)
{
	ring->mem = mem;
	ring->size = size;
	ring->desc_at = (at + 15) & ~UINT64_C(15);
	ring->avail_at = ring->desc_at + vring_desc_bytes(size);
	ring->used_at = (ring->avail_at + vring_avail_bytes(size) + 3) &
			~UINT64_C(3);
	ring->desc = model_at(mem, ring->desc_at, vring_desc_bytes(size));
	ring->avail = model_at(mem, ring->avail_at, vring_avail_bytes(size));
	ring->used = model_at(mem, ring->used_at, vring_used_bytes(size));
	assert_non_null(ring->desc);
	assert_non_null(ring->avail);
	assert_non_null(ring->used);
	model_ring_reset(ring, 0);
	return ring->used_at + vring_used_bytes(size);
}

static inline uint16_t *model_used_event(struct model_ring *ring)
{
	return &ring->avail->ring[ring->size];
}

static inline uint16_t *model_avail_event(struct model_ring *ring)
{
	return (uint16_t *)&ring->used->ring[ring->size];
}

/* Write one descriptor as told, however wrong. */
static inline void model_desc(struct model_ring *ring, uint16_t i,
			      uint64_t addr, uint32_t len, uint16_t flags,
			      uint16_t next)
{
	ring->desc[i] = (struct vring_desc){ addr, len, flags, next };
}

/* Put any number into the available ring. */
static inline void model_avail(struct model_ring *ring, uint16_t head)
{
	ring->avail->ring[ring->avail_next % ring->size] = head;
	ring->avail_next++;
	__atomic_store_n(&ring->avail->idx, ring->avail_next,
			 __ATOMIC_RELEASE);
}

static inline uint16_t model_take_desc(struct model_ring *ring)
{
	assert_true(ring->nfree > 0);
	return ring->free[--ring->nfree];
}

static inline struct vring_desc model_buf_desc(const struct model_buf *buf,
					       bool more, uint16_t next)
{
	return (struct vring_desc){
		.addr = buf->addr,
		.len = buf->len,
		.flags = (uint16_t)((buf->write ? VRING_DESC_WRITE : 0) |
				    (more ? VRING_DESC_NEXT : 0)),
		.next = next,
	};
}

/* Write an indirect table, in scattered order when there is room. */
static inline void model_table(struct model_memory *mem, uint64_t at,
			       const struct model_buf *bufs, unsigned int n)
{
	struct vring_desc *table = model_at(mem, at, n * sizeof(*table));

	assert_non_null(table);
	for (unsigned int i = 0; i < n; i++) {
		/* The first is entry 0; the rest runs backwards. */
		unsigned int me = i ? n - i : 0;
		unsigned int next = n - i - 1;

		table[me] = model_buf_desc(&bufs[i], i + 1 < n,
					   (uint16_t)next);
	}
}

/*
 * Offer a chain: the first `direct` buffers as descriptors of the ring, the
 * rest, if any, in an indirect table at `table`. Returns the head.
 */
static inline uint16_t model_offer_mixed(struct model_ring *ring,
					 const struct model_buf *bufs,
					 unsigned int direct, unsigned int n,
					 uint64_t table)
{
	unsigned int total = direct + (n > direct);
	uint16_t head = model_take_desc(ring);
	uint16_t at = head;

	for (unsigned int i = 0; i < direct; i++) {
		bool more = i + 1 < total;
		uint16_t next = more ? model_take_desc(ring) : 0;

		ring->desc[at] = model_buf_desc(&bufs[i], more, next);
		ring->next[at] = next;
		at = next;
	}
	if (n > direct) {
		model_table(ring->mem, table, bufs + direct, n - direct);
		model_desc(ring, at, table, (n - direct) * 16,
			   VRING_DESC_INDIRECT, 0);
	}
	ring->length[head] = (uint16_t)total;
	model_avail(ring, head);
	return head;
}

static inline uint16_t model_offer(struct model_ring *ring,
				   const struct model_buf *bufs,
				   unsigned int n)
{
	return model_offer_mixed(ring, bufs, n, n, 0);
}

/* Take the next used element: false if there is none. */
static inline bool model_used(struct model_ring *ring,
			      struct vring_used_elem *elem)
{
	uint16_t idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	uint16_t i;

	if (idx == ring->used_seen)
		return false;
	*elem = ring->used->ring[ring->used_seen % ring->size];
	ring->used_seen++;
	assert_true(elem->id < ring->size);
	assert_true(ring->length[elem->id] > 0);
	i = (uint16_t)elem->id;
	for (unsigned int n = ring->length[elem->id]; n; n--) {
		ring->free[ring->nfree++] = i;
		i = ring->next[i];
	}
	ring->length[elem->id] = 0;
	return true;
}

/* ---- registers ---------------------------------------------------------- */

static inline uint32_t model_get(const struct virtio_device *dev,
				 uint64_t offset)
{
	return (uint32_t)virtio_mmio_read(dev, offset, 4);
}

static inline enum virtio_answer model_set(struct virtio_device *dev,
					   uint64_t offset, uint32_t value)
{
	return virtio_mmio_write(dev, offset, 4, value);
}

static inline uint64_t model_offered(struct virtio_device *dev)
{
	uint64_t features;

	model_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)model_get(dev, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	model_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | model_get(dev, VIRTIO_MMIO_DEVICE_FEATURES);
}

static inline void model_write_features(struct virtio_device *dev,
					uint64_t features)
{
	for (uint32_t sel = 0; sel < 2; sel++) {
		model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
		model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES,
			  (uint32_t)(features >> (32 * sel)));
	}
}

/* From reset to FEATURES_OK: whether the device took the features. */
static inline bool model_negotiate(struct virtio_device *dev,
				   uint64_t features)
{
	uint32_t status = VIRTIO_STATUS_ACKNOWLEDGE;

	model_set(dev, VIRTIO_MMIO_STATUS, status);
	status |= VIRTIO_STATUS_DRIVER;
	model_set(dev, VIRTIO_MMIO_STATUS, status);
	model_write_features(dev, features);
	status |= VIRTIO_STATUS_FEATURES_OK;
	model_set(dev, VIRTIO_MMIO_STATUS, status);
	return model_get(dev, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_FEATURES_OK;
}

/* The addresses of the selected queue. */
static inline void model_write_addresses(struct virtio_device *dev,
					 const struct model_ring *ring)
{
	const uint64_t address[] = { ring->desc_at, ring->avail_at,
				     ring->used_at };

	for (uint64_t i = 0; i < 3; i++) {
		uint64_t at = VIRTIO_MMIO_QUEUE_DESC_LOW + i * 0x10;

		model_set(dev, at, (uint32_t)address[i]);
		model_set(dev, at + 4, (uint32_t)(address[i] >> 32));
	}
}

static inline void model_set_queue(struct virtio_device *dev, uint32_t i,
				   const struct model_ring *ring)
{
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM, ring->size);
	model_write_addresses(dev, ring);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
}

static inline void model_driver_ok(struct virtio_device *dev)
{
	uint32_t status = model_get(dev, VIRTIO_MMIO_STATUS);

	model_set(dev, VIRTIO_MMIO_STATUS, status | VIRTIO_STATUS_DRIVER_OK);
}

#endif
