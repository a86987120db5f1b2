/* SPDX-License-Identifier: MIT */
/*
 * Numbers and layouts that every virtio device shares: status bits, feature
 * bits and the rings. VIRTIO 1.3, sections 2.1, 2.2, 2.7, 2.8 and 6.
 *
 * Everything on the ring is little-endian; this implementation runs on
 * little-endian hosts only.
 */
#ifndef VIRTIO_WIRE_H
#define VIRTIO_WIRE_H

#include <stdbool.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the rings are little-endian and are read without conversion");

/* Device status, section 2.1. */
enum virtio_status {
	VIRTIO_STATUS_ACKNOWLEDGE = 1,
	VIRTIO_STATUS_DRIVER = 2,
	VIRTIO_STATUS_DRIVER_OK = 4,
	VIRTIO_STATUS_FEATURES_OK = 8,
	VIRTIO_STATUS_NEEDS_RESET = 64,
	VIRTIO_STATUS_FAILED = 128,
};

/* Reserved feature bits, section 6. */
enum virtio_feature_bit {
	VIRTIO_F_INDIRECT_DESC = 28,
	VIRTIO_F_EVENT_IDX = 29,
	VIRTIO_F_VERSION_1 = 32,
	VIRTIO_F_ACCESS_PLATFORM = 33,
	VIRTIO_F_RING_PACKED = 34,
	VIRTIO_F_NOTIFICATION_DATA = 38,
	VIRTIO_F_RING_RESET = 40,
};

#define VIRTIO_FEATURE(bit) (UINT64_C(1) << (bit))

/* Descriptor flags, section 2.7.5. */
enum vring_desc_flag {
	VRING_DESC_NEXT = 1,
	VRING_DESC_WRITE = 2,
	VRING_DESC_INDIRECT = 4,
};

enum vring_flag {
	VRING_AVAIL_NO_INTERRUPT = 1, /* avail.flags, section 2.7.6 */
	VRING_USED_NO_NOTIFY = 1,     /* used.flags, section 2.7.8 */
};

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct vring_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* size entries, then used_event */
};

struct vring_used_elem {
	uint32_t id;
	uint32_t len;
};

struct vring_used {
	uint16_t flags;
	uint16_t idx;
	struct vring_used_elem ring[]; /* size entries, then avail_event */
};

_Static_assert(sizeof(struct vring_desc) == 16, "section 2.7.5");
_Static_assert(sizeof(struct vring_used_elem) == 8, "section 2.7.8");

/* Bytes of each part for a queue of `size` entries, section 2.7. */
static inline uint64_t vring_desc_bytes(uint16_t size)
{
	return sizeof(struct vring_desc) * (uint64_t)size;
}

static inline uint64_t vring_avail_bytes(uint16_t size)
{
	return 6 + 2 * (uint64_t)size;
}

static inline uint64_t vring_used_bytes(uint16_t size)
{
	return 6 + sizeof(struct vring_used_elem) * (uint64_t)size;
}

/* ---- the packed ring, section 2.8 ---------------------------------------- */

/* Descriptor flags besides the three above: the wrap counter of a round. */
enum vring_packed_desc_flag {
	VRING_PACKED_DESC_AVAIL = 1 << 7,
	VRING_PACKED_DESC_USED = 1 << 15,
};

struct vring_packed_desc {
	uint64_t addr;
	union {
		struct {
			uint32_t len;
			uint16_t id;
			uint16_t flags;
		};
		uint64_t word; /* what a used descriptor has, as one store */
	};
};

/* Event suppression of the driver and of the device, section 2.8.10. */
enum vring_packed_event_flag {
	VRING_PACKED_EVENT_ENABLE = 0,
	VRING_PACKED_EVENT_DISABLE = 1,
	VRING_PACKED_EVENT_DESC = 2, /* at `position` */
};

enum vring_packed_position {
	VRING_PACKED_INDEX = 0x7fff,
	VRING_PACKED_WRAP = 0x8000,
};

union vring_packed_event {
	struct {
		uint16_t position; /* index and wrap counter */
		uint16_t flags;
	};
	uint32_t word;
};

_Static_assert(sizeof(struct vring_packed_desc) == 16, "section 2.8.13");
_Static_assert(sizeof(union vring_packed_event) == 4, "section 2.8.14");

static inline uint64_t vring_packed_desc_bytes(uint16_t size)
{
	return sizeof(struct vring_packed_desc) * (uint64_t)size;
}

/* Where a packed ring starts: index 0, with a wrap counter of 1. */
enum { VRING_PACKED_START = VRING_PACKED_WRAP };

/* ---- both ---------------------------------------------------------------- */

/* Bytes of the descriptor, driver and device areas. */
struct vring_bytes {
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
};

static inline struct vring_bytes vring_bytes(uint16_t size, bool packed)
{
	if (packed)
		return (struct vring_bytes){
			vring_packed_desc_bytes(size),
			sizeof(union vring_packed_event),
			sizeof(union vring_packed_event),
		};
	return (struct vring_bytes){
		vring_desc_bytes(size),
		vring_avail_bytes(size),
		vring_used_bytes(size),
	};
}

#endif
