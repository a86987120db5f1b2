/* SPDX-License-Identifier: MIT */
/*
 * A virtqueue, seen from the device. VIRTIO 1.3, section 2.7.
 *
 * The driver puts the heads of descriptor chains into the available ring:
 *
 *	desc   [ 0 | 1 | 2 | 3 | ... ]	    a chain: 2 -> 0 -> 3
 *	avail  flags idx [ 2 | ... ] used_event
 *	used   flags idx [ {id 2, len} | ... ] avail_event
 *
 * virtqueue_pop() takes the next chain and copies it out of guest memory once;
 * virtqueue_push() writes its used element; virtqueue_publish() shows all
 * elements pushed since the last call to the driver with one store of used.idx
 * and says whether the driver wants a notification. Between pop and push the
 * chain is in flight, which is recorded in memory that the caller provides
 * (struct virtq_inflight), so that another process can take the queue over.
 *
 * The ring is the guest's: every value read from it is read once, checked, and
 * only the copy is used. A ring that breaks the rules makes virtqueue_pop()
 * return a negative errno and the queue `broken`; it is not looked at again
 * until it is stopped and started anew.
 *
 * A queue is used by one thread at a time.
 */
#ifndef VIRTIO_QUEUE_H
#define VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/memory.h"
#include "virtio/wire.h"

enum { VIRTQUEUE_SIZE_MAX = 1024 };	/* entries */

/*
 * What is in flight: the in-flight region of the vhost-user protocol for split
 * virtqueues ("Inflight I/O tracking"). The caller provides
 * virtq_inflight_bytes() of memory, zeroed for a new queue.
 */
struct virtq_inflight_entry {
	uint8_t inflight;	/* 1 from pop to publish */
	uint8_t padding[5];
	uint16_t next;		/* older entry of the same batch */
	uint64_t counter;	/* order of the pops */
};

struct virtq_inflight {
	uint64_t features;
	uint16_t version;	/* 1 */
	uint16_t desc_num;	/* entries */
	uint16_t last_batch_head; /* newest entry of the last batch */
	uint16_t used_idx;	/* used.idx after the last complete batch */
	struct virtq_inflight_entry desc[];
};

_Static_assert(sizeof(struct virtq_inflight_entry) == 16, "vhost-user");
_Static_assert(sizeof(struct virtq_inflight) == 16, "vhost-user");

static inline size_t virtq_inflight_bytes(uint16_t size)
{
	return sizeof(struct virtq_inflight) +
	       size * sizeof(struct virtq_inflight_entry);
}

/* A chain as it was popped. The ranges stay valid until the next pop. */
struct virtq_chain {
	uint16_t head;		/* index of its first descriptor */
	unsigned int n;		/* ranges, without those of length 0 */
	unsigned int readable;	/* of them device-readable, first */
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	struct guest_range *ranges;
};

struct virtqueue {
	/* Set by virtqueue_init(). */
	uint16_t size_max;	/* entries offered to the driver */
	struct vring_desc *table; /* scratch: an indirect table's copy */
	struct guest_range *ranges; /* scratch: the popped chain */
	uint16_t *pushed;	/* heads, by used position, until published */
	uint8_t *busy;		/* by head: not 0 from pop to publish */
	struct guest_memory *mem; /* for indirect tables */

	/* Set by virtqueue_start(). */
	bool running;
	bool broken;		/* the driver broke the ring's rules */
	bool paused;		/* takes no chains: its server's will */
	bool event_idx;		/* VIRTIO_F_EVENT_IDX negotiated */
	bool indirect;		/* VIRTIO_F_INDIRECT_DESC negotiated */
	uint16_t size;		/* entries, a power of two */
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	/*
	 * Only written while the queue runs: it may be shared with a vhost-user
	 * front end, so nothing is believed that is read back from it.
	 */
	struct virtq_inflight *inflight;

	/* Positions; they run freely over 16 bits. */
	uint16_t last_avail;	/* next available entry to take */
	uint16_t avail_seen;	/* avail.idx when last looked at */
	uint16_t used_next;	/* next used entry to write */
	uint16_t used_shown;	/* used.idx as the driver sees it */
	uint16_t in_flight;	/* chains popped and not yet pushed */
	uint16_t batch_head;	/* newest pushed head, for the in-flight list */
	uint64_t counter;	/* pops so far */
	bool starved;		/* pop() found no room to map; try again later */
	uint64_t notifications;	/* publish() calls that asked for one */
};

/* The parts of a ring, mapped for the queue's life. */
struct virtq_rings {
	void *desc;		/* 16 bytes aligned */
	void *avail;		/* 2 bytes aligned */
	void *used;		/* 4 bytes aligned */
};

/* Bytes of scratch memory that virtqueue_init() wants, 16 bytes aligned. */
size_t virtqueue_scratch_bytes(uint16_t size_max);

void virtqueue_init(struct virtqueue *q, uint16_t size_max, void *scratch,
		    struct guest_memory *mem);

/*
 * Start on `rings` of `size` entries with the negotiated `features`, at ring
 * position `base` (0 for a fresh queue). `inflight` is zeroed memory, or the
 * memory of the process before, in which case virtqueue_recover() has to be
 * called next. Returns 0, -EINVAL for a size that is no power of two or above
 * size_max, or for rings that are not aligned.
 */
int virtqueue_start(struct virtqueue *q, const struct virtq_rings *rings,
		    uint16_t size, uint64_t features, uint16_t base,
		    struct virtq_inflight *inflight);

/*
 * Take over what another process left in `inflight`: drops the entries that it
 * had already shown as used, and sets the position after the last chain that
 * it had popped. Returns how many chains are in flight; virtqueue_repop() gives
 * them, oldest first. -EINVAL if the memory does not fit this queue.
 */
int virtqueue_recover(struct virtqueue *q);

/*
 * The next chain left in flight by the process before, oldest first: 1, 0 at the
 * end. A negative errno as of virtqueue_pop() is for a chain that is broken by
 * now and is dropped; so is every later one.
 */
int virtqueue_repop(struct virtqueue *q, struct virtq_chain *chain);

/* Stop looking at the rings; nothing may be in flight. */
void virtqueue_stop(struct virtqueue *q);

/* Whether the driver has made chains available. A plain load. */
bool virtqueue_pending(const struct virtqueue *q);

/*
 * Take the next available chain: 1, 0 if there is none, or for a broken ring
 *  -ERANGE  an index or head out of range, a head that is in flight already
 *  -ELOOP   more descriptors than the queue has: a loop
 *  -EPROTO  a flag or an order of descriptors that is not allowed
 *  -EFAULT  an indirect table outside guest memory
 *  -E2BIG   a chain or table longer than size_max, or above 4 GiB
 */
int virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain);

/*
 * Give the chain popped last back, as if it had not been popped, because there
 * is no room for it now: the queue is `starved` until the next pop.
 */
void virtqueue_unpop(struct virtqueue *q, uint16_t head);

/*
 * Write the used element of `head`; `len` bytes were written from the start of
 * its device-writable part. The driver sees it after virtqueue_publish().
 */
void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len);

/* Show what was pushed. True if the driver wants a notification now. */
bool virtqueue_publish(struct virtqueue *q);

/* Ask the driver for no notifications; a hint. */
void virtqueue_notify_off(struct virtqueue *q);

/*
 * Ask the driver for a notification of the next chain. True if a chain came in
 * between: the caller has to pop again.
 */
bool virtqueue_notify_on(struct virtqueue *q);

#endif
