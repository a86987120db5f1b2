/* SPDX-License-Identifier: MIT */
/*
 * A virtqueue, seen from the device. VIRTIO 1.3, sections 2.7 and 2.8.
 *
 * In a split ring the driver puts the heads of descriptor chains into the
 * available ring:
 *
 *	desc   [ 0 | 1 | 2 | 3 | ... ]	    a chain: 2 -> 0 -> 3
 *	avail  flags idx [ 2 | ... ] used_event
 *	used   flags idx [ {id 2, len} | ... ] avail_event
 *
 * A packed ring is one ring of descriptors, which the driver makes available
 * and the device overwrites with used ones; a chain is known by the buffer id
 * that the driver gives it. Which of the two a queue has is said by the
 * features that it is started with, and makes no other difference to its user.
 *
 * virtqueue_pop() takes the next chain and copies it out of guest memory once;
 * virtqueue_push() writes its used element; virtqueue_publish() shows the
 * driver all elements pushed since the last call with one store, and says
 * whether it wants a notification. Between pop and push the chain is in flight,
 * which is recorded in memory that the caller provides (struct virtq_inflight),
 * so that another process can take the queue over.
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

enum { VIRTQUEUE_SIZE_MAX = 1024 }; /* entries */

/*
 * What is in flight: the in-flight region of the vhost-user protocol ("Inflight
 * I/O tracking"), here for split virtqueues. The caller provides
 * virtq_inflight_bytes() of memory, zeroed for a new queue.
 */
struct virtq_inflight_entry {
	uint8_t inflight; /* 1 from pop to publish */
	uint8_t padding[5];
	uint16_t next;    /* older entry of the same batch */
	uint64_t counter; /* order of the pops */
};

struct virtq_inflight {
	uint64_t features;
	uint16_t version;         /* 1 */
	uint16_t desc_num;        /* entries */
	uint16_t last_batch_head; /* newest entry of the last batch */
	uint16_t used_idx;        /* used.idx after the last complete batch */
	struct virtq_inflight_entry desc[];
};

_Static_assert(sizeof(struct virtq_inflight_entry) == 16, "vhost-user");
_Static_assert(sizeof(struct virtq_inflight) == 16, "vhost-user");

/* The same for packed virtqueues; the entries hold copies of descriptors. */
struct virtq_packed_entry {
	uint8_t inflight; /* in the first of a chain: from pop to publish */
	uint8_t padding;
	uint16_t next;    /* entry, of the chain or of the free list */
	uint16_t last;    /* in the first: last entry of the chain */
	uint16_t num;     /* in the first: entries of the chain */
	uint64_t counter; /* in the first: order of the pops */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/* The free list's first entry, and as it was after the last complete step. */
union virtq_packed_free {
	struct {
		uint16_t head;
		uint16_t old_head;
	};
	uint32_t heads;
};

/* Of the next used descriptor, and after the last complete batch. */
union virtq_packed_positions {
	struct {
		uint16_t used_idx;
		uint16_t old_used_idx;
		uint8_t used_wrap;
		uint8_t old_used_wrap;
		uint8_t padding[2];
	};
	uint64_t word;
};

struct virtq_inflight_packed {
	uint64_t features;
	uint16_t version;  /* 1 */
	uint16_t desc_num; /* entries */
	union virtq_packed_free free;
	union virtq_packed_positions positions;
	uint8_t padding[8];
	struct virtq_packed_entry desc[];
};

_Static_assert(sizeof(struct virtq_packed_entry) == 32, "vhost-user");
_Static_assert(offsetof(struct virtq_inflight_packed, free) == 12,
	       "vhost-user");
_Static_assert(sizeof(struct virtq_inflight_packed) == 32, "vhost-user");
_Static_assert(offsetof(struct virtq_inflight, version) ==
		       offsetof(struct virtq_inflight_packed, version),
	       "vhost-user");

static inline size_t virtq_inflight_bytes(uint16_t size, bool packed)
{
	if (packed)
		return sizeof(struct virtq_inflight_packed) +
		       size * sizeof(struct virtq_packed_entry);
	return sizeof(struct virtq_inflight) +
	       size * sizeof(struct virtq_inflight_entry);
}

/* Whether the memory is as the caller has zeroed it; both layouts tell. */
static inline bool virtq_inflight_is_new(const void *inflight)
{
	const struct virtq_inflight *in = inflight;

	return __atomic_load_n(&in->version, __ATOMIC_RELAXED) == 0;
}

/* A chain as it was popped. The ranges stay valid until the next pop. */
struct virtq_chain {
	uint16_t head;         /* index of its first descriptor, or buffer id */
	unsigned int n;        /* ranges, without those of length 0 */
	unsigned int readable; /* of them device-readable, first */
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	struct guest_range *ranges;
};

/* What a packed queue knows of a buffer in flight. */
struct virtq_buffer {
	uint16_t entry; /* its first of the in-flight area */
	uint16_t last;  /* its last */
	uint16_t num;   /* descriptors, which is entries */
};

/*
 * The areas of a ring, mapped for the queue's life. In a packed ring: the
 * descriptors, the driver's and the device's event suppression.
 */
struct virtq_rings {
	void *desc;  /* 16 bytes aligned */
	void *avail; /* 2 bytes aligned; packed: 4 */
	void *used;  /* 4 bytes aligned */
};

struct virtqueue {
	/* Set by virtqueue_init(). */
	uint16_t size_max;           /* entries offered to the driver */
	struct vring_desc *table;    /* scratch: an indirect table's copy */
	struct guest_range *ranges;  /* scratch: the popped chain */
	uint16_t *pushed;            /* heads, until published */
	uint8_t *busy;               /* by head: not 0 from pop to publish */
	struct virtq_buffer *buffer; /* packed, by buffer id */
	uint16_t *next;           /* packed, by entry of the in-flight area */
	struct guest_memory *mem; /* for indirect tables */

	/* Set by virtqueue_start(). */
	bool running;
	bool broken;    /* the driver broke the ring's rules */
	bool paused;    /* takes no chains: its server's will */
	bool event_idx; /* VIRTIO_F_EVENT_IDX negotiated */
	bool indirect;  /* VIRTIO_F_INDIRECT_DESC negotiated */
	bool packed;    /* VIRTIO_F_RING_PACKED negotiated */
	uint16_t size;  /* entries; of a split ring a power of two */
	union {
		struct virtq_rings rings;
		struct {
			const struct vring_desc *desc;
			struct vring_avail *avail;
			struct vring_used *used;
		};
		struct {
			struct vring_packed_desc *packed_desc;
			const union vring_packed_event *driver_event;
			union vring_packed_event *device_event;
		};
	};
	/*
	 * Only written while the queue runs: it may be shared with a vhost-user
	 * front end, so nothing is believed that is read back from it.
	 */
	union {
		struct virtq_inflight *inflight;
		struct virtq_inflight_packed *inflight_packed;
	};

	/*
	 * Positions. In a split ring they run freely over 16 bits, in a packed
	 * one they are an index and, in the highest bit, the wrap counter.
	 */
	uint16_t last_avail; /* next available entry to take */
	uint16_t avail_seen; /* split: avail.idx when last looked at */
	uint16_t used_next;  /* next used entry to write */
	uint16_t used_shown; /* used.idx as the driver sees it */
	uint16_t in_flight;  /* chains popped and not yet pushed */
	uint16_t batch_head; /* split: newest pushed, for the area's list */
	uint64_t counter;    /* pops so far */
	bool starved;        /* pop() found no room to map; try again later */
	/* publish() calls that asked for one; atomic, for who asks */
	uint64_t notifications;
	/* Of other threads as well, so not beside those above. */
	bool abandoned; /* see virtqueue_abandon(); atomic */
	bool wound_up;  /* see virtqueue_wind_up(); atomic */
	bool stop;      /* one of the two; atomic */
	bool leaves;    /* what is abandoned stays in flight; atomic */

	/* Of a packed ring. */
	uint16_t held;      /* descriptors popped and not yet published */
	uint16_t npushed;   /* chains pushed and not yet published, ... */
	uint16_t batch;     /* ... which is so many descriptors ... */
	uint64_t first;     /* ... and this is the first used descriptor */
	uint16_t free_head; /* of the in-flight area's free list */
};

/* Bytes of scratch memory that virtqueue_init() wants, 16 bytes aligned. */
size_t virtqueue_scratch_bytes(uint16_t size_max);

void virtqueue_init(struct virtqueue *q, uint16_t size_max, void *scratch,
		    struct guest_memory *mem);

/*
 * Start on `rings` of `size` entries with the negotiated `features`, at ring
 * position `base`: virtqueue_fresh_base(), or what virtqueue_base() said when
 * the ring was stopped. `inflight` is zeroed memory of virtq_inflight_bytes(),
 * or the memory of the process before, in which case virtqueue_recover() has to
 * be called next. Returns 0, or -EINVAL for a size above size_max or, for a
 * split ring, not a power of two; for rings that are not aligned; for a
 * position that is not in the ring.
 */
int virtqueue_start(struct virtqueue *q, const struct virtq_rings *rings,
		    uint16_t size, uint64_t features, uint32_t base,
		    void *inflight);

/* Where a ring starts that its driver has just laid out. */
static inline uint32_t virtqueue_fresh_base(uint64_t features)
{
	return features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) ?
		       VRING_PACKED_START * UINT32_C(0x10001) :
		       0;
}

/*
 * The position of a queue with nothing in flight, as the vhost-user protocol
 * has it: of a split ring 16 bits; of a packed one the next available
 * descriptor in the low 16 bits, the next used one in the high ones.
 */
uint32_t virtqueue_base(const struct virtqueue *q);

/*
 * Take over what another process left in `inflight`: drops the entries that it
 * had already shown as used, and sets the position after the last chain that
 * it had popped. Returns how many chains are in flight; virtqueue_repop() gives
 * them, oldest first. -EINVAL if the memory does not fit this queue.
 */
int virtqueue_recover(struct virtqueue *q);

/*
 * Instead of virtqueue_recover(), for a ring that another process has served
 * and of which a new in-flight area tells nothing: go on writing where its used
 * ring ends, not where it was started. Returns how many chains were popped and
 * are lost, as far as the positions tell; of a packed ring, whose position says
 * both, 0.
 */
uint16_t virtqueue_continue_used(struct virtqueue *q);

/*
 * The next chain left in flight by the process before, oldest first: 1, 0 at
 * the end. A negative errno as of virtqueue_pop() is for a chain that is broken
 * by now and is dropped; so is every later one.
 */
int virtqueue_repop(struct virtqueue *q, struct virtq_chain *chain);

/* The head of the chain that virtqueue_repop() comes to next, or -1. */
int virtqueue_repop_next(const struct virtqueue *q);

/* As if the ring were broken: no chain of it is looked at any more. */
void virtqueue_give_up(struct virtqueue *q);

/* Stop looking at the rings; nothing may be in flight. */
void virtqueue_stop(struct virtqueue *q);

/* Whether the driver has made chains available. A plain load. */
bool virtqueue_pending(const struct virtqueue *q);

/*
 * Take the next available chain: 1, 0 if there is none, or for a broken ring
 *  -ERANGE  an index or head out of range, a head that is in flight already,
 *	     more chains than the queue has room for
 *  -ELOOP   more descriptors than the queue has: a loop
 *  -EPROTO  a flag or an order of descriptors that is not allowed
 *  -EFAULT  an indirect table outside guest memory
 *  -E2BIG   a chain or table longer than size_max, or above 4 GiB
 */
int virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain);

/*
 * Whether `head` was popped last, but for what was given back since: all others
 * in flight are of positions before it.
 */
bool virtqueue_is_last(const struct virtqueue *q, uint16_t head);

/*
 * Give the chain popped last back, as if it had not been popped, because there
 * is no room for it now, or no time: the queue is `starved` until the next pop.
 */
void virtqueue_unpop(struct virtqueue *q, uint16_t head);

/*
 * Write the used element of `head`; `len` bytes were written from the start of
 * its device-writable part. The driver sees it after virtqueue_publish().
 */
void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len);

/*
 * Whether what is abandoned stays in flight. For any thread, and to be said
 * before virtqueue_abandon(), which shows it: who has seen the queue abandoned
 * sees this as well.
 */
static inline void virtqueue_set_leaves(struct virtqueue *q, bool leaves)
{
	__atomic_store_n(&q->leaves, leaves, __ATOMIC_RELAXED);
}

/* Pairs with virtqueue_abandon(): after virtqueue_is_abandoned(). */
static inline bool virtqueue_leaves(const struct virtqueue *q)
{
	return __atomic_load_n(&q->leaves, __ATOMIC_RELAXED);
}

/*
 * Nobody needs what is in flight to be finished: the driver resets the queue,
 * or is gone. Long requests may end early then (block_request.stop); they are
 * answered as failed or, with `leaves`, stay noted in the in-flight area for
 * the process after this one. Ends with the next virtqueue_start(). For any
 * thread.
 */
static inline void virtqueue_abandon(struct virtqueue *q)
{
	/*
	 * Pairs with virtqueue_is_abandoned(): wound_up and leaves, where they
	 * are, before.
	 */
	__atomic_store_n(&q->abandoned, true, __ATOMIC_RELEASE);
	__atomic_store_n(&q->stop, true, __ATOMIC_RELAXED);
}

/*
 * Whoever serves this queue after us knows its ring only, so a request may end
 * early just where it can be given back to that: see virtqueue_is_last(). Any
 * other one is finished, or answered as failed where the queue is abandoned as
 * well. For any thread; ends with the next virtqueue_start().
 */
static inline void virtqueue_wind_up(struct virtqueue *q)
{
	__atomic_store_n(&q->wound_up, true, __ATOMIC_RELAXED);
	__atomic_store_n(&q->stop, true, __ATOMIC_RELAXED);
}

/*
 * What a request is to do follows from one of these alone: `stop` is for who
 * moves its data, and may be seen before or after them.
 */
static inline bool virtqueue_is_wound_up(const struct virtqueue *q)
{
	return __atomic_load_n(&q->wound_up, __ATOMIC_RELAXED);
}

static inline bool virtqueue_is_abandoned(const struct virtqueue *q)
{
	return __atomic_load_n(&q->abandoned, __ATOMIC_ACQUIRE);
}

/*
 * Forget a popped chain without answering it: it stays in flight in the area
 * that outlives this process.
 */
void virtqueue_leave(struct virtqueue *q, uint16_t head);

/* Show what was pushed. True if the driver wants a notification now. */
bool virtqueue_publish(struct virtqueue *q);

/*
 * For who watches: any thread, while the queue is there. Mark what is in flight
 * now; and later, how many of that are in flight still, and one of them.
 */
void virtqueue_mark(struct virtqueue *q);
unsigned int virtqueue_marked(const struct virtqueue *q, uint16_t *head);

/* How often publish() has asked for a notification. Any thread may ask. */
static inline uint64_t virtqueue_notifications(const struct virtqueue *q)
{
	return __atomic_load_n(&q->notifications, __ATOMIC_RELAXED);
}

/* Ask the driver for no notifications; a hint. */
void virtqueue_notify_off(struct virtqueue *q);

/*
 * Ask the driver for a notification of the next chain. True if a chain came in
 * between: the caller has to pop again.
 */
bool virtqueue_notify_on(struct virtqueue *q);

#endif
