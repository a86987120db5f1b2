/* SPDX-License-Identifier: MIT */
/*
 * What of a device outlives the process that serves it: one area of plain
 * memory, which another process may have mapped as well. All of it has a fixed
 * width and a fixed place, and nothing points anywhere.
 *
 *	struct virtio_state	header, device with its queues, block device,
 *				transport
 *	in flight, queue 0	as vhost-user has it (virtio/queue.h), split or
 *	in flight, queue 1	packed; header.inflight_bytes each
 *	...
 *
 * A state is made new or it is adopted; it never tells by a value that a driver
 * can write which of the two it needs. Who adopts believes nothing of it before
 * all of it was checked (virtio_blk_adopt()).
 *
 * A process may be killed between any two stores. So a register access has had
 * its effect here before it is answered, and is made again by the next process
 * if it was not: all of them may have their effect twice. What takes several
 * stores is announced by the first (`resetting`, `stopping`) or shown by the
 * last (`magic`, `status`, `ready`, `started`); in between it is undone or done
 * again.
 *
 * Where a queue stands is told by its in-flight part and its ring together; see
 * virtqueue_recover().
 *
 * A change of any of this needs another VIRTIO_STATE_VERSION.
 */
#ifndef VIRTIO_STATE_H
#define VIRTIO_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/blk_wire.h"

enum { VIRTIO_QUEUES_MAX = 16 }; /* per device */

#define VIRTIO_STATE_MAGIC UINT64_C(0x6b73696474726976) /* "virtdisk" */

enum { VIRTIO_STATE_VERSION = 3 };

enum virtio_state_layout {
	VIRTIO_STATE_PACKED =
		1, /* in-flight parts have room for both layouts */
	VIRTIO_STATE_LEGACY = 2, /* the driver sees the legacy interface */
};

struct virtio_state_header {
	uint64_t magic; /* stored last: from then on the rest is whole */
	uint32_t version;
	uint32_t header_bytes;
	uint32_t device_bytes;
	uint32_t queue_bytes; /* of each queue, within the device's */
	uint32_t blk_bytes;
	uint32_t transport_bytes;
	uint64_t inflight_bytes; /* of each queue */
	uint64_t total_bytes;
	uint32_t device_id; /* section 5 */
	uint32_t layout;    /* enum virtio_state_layout bits */
	uint16_t nqueues;
	uint16_t queue_size_max; /* entries */
	uint32_t reserved;
};

_Static_assert(sizeof(struct virtio_state_header) == 64, "state");

/* What the driver set for one queue, and whether it runs. */
struct virtio_queue_state {
	uint64_t desc; /* guest addresses */
	uint64_t driver;
	uint64_t device;
	uint32_t align; /* legacy: of the used ring */
	uint32_t pfn;   /* legacy: where the ring is, in guest pages */
	uint16_t size;  /* entries; any number until the queue starts */
	uint8_t ready;
	uint8_t started; /* the in-flight part tells of this ring */
	uint8_t reserved[12];
};

_Static_assert(sizeof(struct virtio_queue_state) == 48, "state");

struct virtio_device_state {
	/* What a reset leaves. */
	uint64_t offered; /* feature bits */
	uint32_t config_generation;
	uint32_t guest_page_size; /* legacy */
	uint32_t removed;         /* gone for the driver, for good */
	uint32_t resetting;       /* Status was set to 0; to be drained */

	/* What it forgets: all from here on. */
	uint64_t driver_features; /* as written by the driver */
	uint64_t in_force;        /* features; 0 before FEATURES_OK */
	uint32_t status;          /* enum virtio_status bits; atomic */
	uint32_t interrupt_status;
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	uint32_t legacy_driver_ok; /* the driver has written DRIVER_OK */
	/*
	 * Bits per queue; set by the driver's doing, cleared when it is done.
	 */
	uint32_t stopping;     /* is to be drained, then stopped */
	uint32_t queue_resets; /* of them: ... and has its defaults then */
	uint32_t given_up;     /* no queue is to run, and none does */
	uint32_t reserved;
	struct virtio_queue_state queue[VIRTIO_QUEUES_MAX];
};

_Static_assert(offsetof(struct virtio_device_state, driver_features) == 24,
	       "state");
_Static_assert(offsetof(struct virtio_device_state, queue) == 80, "state");
_Static_assert(sizeof(struct virtio_device_state) == 80 + 16 * 48, "state");

/* Of a block device. */
struct virtio_blk_state {
	/*
	 * As the driver sees it: with the capacity and mode that it was told.
	 */
	struct virtio_blk_config config; /* capacity, writeback: atomic */
	/*
	 * Why a flush failed, a negative errno, or 0: from then on all do, for
	 * the store has forgotten what it lost. Atomic.
	 */
	int32_t flush_error;
	/*
	 * Of a request that ends each process which does it again (see
	 * virtio_blk_repop_alone()): how many processes in a row took the
	 * device over and did not last, which chain is done alone now (queue
	 * << 16 | head, + 1; or 0), and how many have ended on it.
	 */
	uint32_t resumed;
	uint32_t alone;
	uint32_t deaths;
	/*
	 * Which store the device was made for, in the owner's terms; not
	 * looked at by the core.
	 */
	uint64_t store[2];
};

_Static_assert(sizeof(struct virtio_blk_state) == 128, "state");

/* Of what carries the device to its driver. */
enum virtio_state_transport {
	VIRTIO_STATE_NO_TRANSPORT = 0,
	VIRTIO_STATE_MMIO = 1,
};

struct virtio_transport_state {
	uint32_t kind; /* enum virtio_state_transport; stored last */
	/* Of MMIO; else they mean nothing: */
	uint32_t irq;  /* interrupt line */
	uint64_t base; /* of the register window, a guest address */
	uint32_t reserved[28];
};

_Static_assert(sizeof(struct virtio_transport_state) == 128, "state");

struct virtio_state {
	struct virtio_state_header header;
	struct virtio_device_state device;
	struct virtio_blk_state blk;
	struct virtio_transport_state transport;
};

_Static_assert(offsetof(struct virtio_state, device) == 64, "state");
_Static_assert(offsetof(struct virtio_state, blk) == 912, "state");
_Static_assert(offsetof(struct virtio_state, transport) == 1040, "state");
_Static_assert(sizeof(struct virtio_state) == 1168, "state");
_Static_assert(sizeof(struct virtio_state) % 16 == 0,
	       "the in-flight parts are aligned");

#endif
