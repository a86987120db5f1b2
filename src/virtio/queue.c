/* SPDX-License-Identifier: MIT */
/*
 * The device side of a virtqueue: what the ring layouts have in common; see
 * virtio/queue.h. The rings are in split.c and packed.c.
 *
 * Failure: a ring that breaks the rules makes the queue broken, for good. There
 * is no way to tell what else of such a ring can be trusted.
 */
#include "virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "virtio/ring.h"
#include "virtio/shared.h"

/* Laid out for split rings, which most drivers take. */
#define unlikely(x) __builtin_expect((x), 0)

static bool aligned(const void *p, uintptr_t to)
{
	return ((uintptr_t)p & (to - 1)) == 0;
}

size_t virtqueue_scratch_bytes(uint16_t size_max)
{
	return size_max * (sizeof(struct vring_desc) +
			   2 * sizeof(struct guest_range) +
			   sizeof(struct virtq_buffer) + 2 * sizeof(uint16_t) +
			   sizeof(uint8_t)) +
	       size_max % sizeof(uint16_t);
}

void virtqueue_init(struct virtqueue *q, uint16_t size_max, void *scratch,
		    struct guest_memory *mem)
{
	assert(size_max > 0 && size_max <= VIRTQUEUE_SIZE_MAX);
	assert((size_max & (size_max - 1)) == 0);
	memset(q, 0, sizeof(*q));
	q->size_max = size_max;
	q->table = scratch;
	/* Direct descriptors and an indirect table after them. */
	q->ranges = (struct guest_range *)(q->table + size_max);
	q->buffer = (struct virtq_buffer *)(q->ranges + 2 * (size_t)size_max);
	/* Next to each other what is touched first; a size of 1 is padded. */
	q->busy = (uint8_t *)(q->buffer + size_max);
	q->pushed = (uint16_t *)(void *)(q->busy + size_max +
					 size_max % sizeof(uint16_t));
	q->next = q->pushed + size_max;
	q->mem = mem;
}

/* Other threads may look at it all the time; see virtqueue_mark(). */
static void clear_shared(struct virtqueue *q)
{
	for (unsigned int i = 0; i < q->size; i++)
		virtq_set_busy(q, i, VIRTQ_IDLE);
	shared_store(&q->abandoned, false);
	shared_store(&q->wound_up, false);
	shared_store(&q->stop, false);
}

int virtqueue_start(struct virtqueue *q, const struct virtq_rings *rings,
		    uint16_t size, uint64_t features, uint32_t base,
		    void *inflight)
{
	bool packed = features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	int r;

	assert(!q->running);
	if (size == 0 || size > q->size_max)
		return -EINVAL;
	if (!aligned(rings->desc, 16) || !aligned(rings->used, 4) ||
	    !aligned(rings->avail, packed ? 4 : 2))
		return -EINVAL;
	q->packed = packed;
	q->size = size;
	q->rings = *rings;
	q->event_idx = features & VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	q->indirect = features & VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC);
	q->inflight = inflight;
	q->in_flight = 0;
	q->counter = 0;
	q->starved = false;
	q->broken = false;
	q->paused = false;
	clear_shared(q);
	r = packed ? virtq_packed_start(q, base) : virtq_split_start(q, base);
	q->running = r == 0;
	return r;
}

void virtqueue_stop(struct virtqueue *q)
{
	assert(q->in_flight == 0);
	q->running = false;
	memset(&q->rings, 0, sizeof(q->rings));
	q->inflight = NULL;
}

uint32_t virtqueue_base(const struct virtqueue *q)
{
	return q->packed ? virtq_packed_base(q) : virtq_split_base(q);
}

int virtqueue_recover(struct virtqueue *q)
{
	int r = q->packed ? virtq_packed_recover(q) : virtq_split_recover(q);

	/* It must not run on what was found. */
	return r < 0 ? virtq_broken(q, r) : r;
}

uint16_t virtqueue_continue_used(struct virtqueue *q)
{
	assert(q->running && q->in_flight == 0);
	return q->packed ? 0 : virtq_split_continue_used(q);
}

static uint64_t counter(const struct virtqueue *q, uint16_t head)
{
	return q->packed ? virtq_packed_counter(q, head) :
			   virtq_split_counter(q, head);
}

/* The recovered chain that was popped first, or -1 if there is none left. */
static int oldest(const struct virtqueue *q)
{
	uint64_t lowest = UINT64_MAX;
	int best = -1;

	for (uint16_t i = 0; i < q->size; i++) {
		uint64_t c;

		if (virtq_busy(q, i) != VIRTQ_RECOVERED)
			continue;
		c = counter(q, i);
		if (best >= 0 && c >= lowest)
			continue;
		lowest = c;
		best = i;
	}
	return best;
}

int virtqueue_repop_next(const struct virtqueue *q)
{
	/* What was found by a recovery that failed is not to be believed. */
	return q->running ? oldest(q) : -1;
}

void virtqueue_give_up(struct virtqueue *q)
{
	q->broken = true;
}

int virtqueue_repop(struct virtqueue *q, struct virtq_chain *chain)
{
	int head = virtqueue_repop_next(q);
	int r;

	if (head < 0)
		return 0;
	if (q->broken)
		r = -ERANGE;
	else if (q->packed)
		r = virtq_packed_rewalk(q, (uint16_t)head, chain);
	else
		r = virtq_split_rewalk(q, (uint16_t)head, chain);
	virtq_set_busy(q, head, r ? VIRTQ_IDLE : VIRTQ_POPPED);
	if (!r)
		return 1;
	q->in_flight--;
	return virtq_broken(q, r);
}

static inline bool has_chains(const struct virtqueue *q)
{
	return q->packed ? virtq_packed_pending(q) : virtq_split_pending(q);
}

bool virtqueue_pending(const struct virtqueue *q)
{
	return q->running && !q->broken && !q->paused && has_chains(q);
}

int virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain)
{
	if (!q->running || q->broken || q->paused)
		return 0;
	if (unlikely(q->packed))
		return virtq_packed_pop(q, chain);
	return virtq_split_pop(q, chain);
}

/* Not of an area that is shared: who shares it can change the counter. */
bool virtqueue_is_last(const struct virtqueue *q, uint16_t head)
{
	assert(!virtqueue_leaves(q));
	return counter(q, head) == q->counter;
}

void virtqueue_unpop(struct virtqueue *q, uint16_t head)
{
	q->counter--;
	if (q->packed)
		virtq_packed_unpop(q, head);
	else
		virtq_split_unpop(q, head);
}

void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len)
{
	assert(q->in_flight && virtq_busy(q, head));
	if (unlikely(q->packed))
		virtq_packed_push(q, head, len);
	else
		virtq_split_push(q, head, len);
}

void virtqueue_leave(struct virtqueue *q, uint16_t head)
{
	assert(q->in_flight && virtq_busy(q, head));
	q->in_flight--;
}

void virtqueue_mark(struct virtqueue *q)
{
	for (uint16_t i = 0; i < q->size_max; i++) {
		uint8_t popped = VIRTQ_POPPED;

		/* Unless its thread is done with it just now. */
		__atomic_compare_exchange_n(&q->busy[i], &popped, VIRTQ_MARKED,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	}
}

unsigned int virtqueue_marked(const struct virtqueue *q, uint16_t *head)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < q->size_max; i++)
		if (__atomic_load_n(&q->busy[i], __ATOMIC_RELAXED) ==
		    VIRTQ_MARKED) {
			n++;
			*head = i;
		}
	return n;
}

bool virtqueue_publish(struct virtqueue *q)
{
	if (!q->running || q->used_next == q->used_shown)
		return false;
	return q->packed ? virtq_packed_publish(q) : virtq_split_publish(q);
}

void virtqueue_notify_off(struct virtqueue *q)
{
	if (!q->running)
		return;
	if (q->packed)
		virtq_packed_notify_off(q);
	else
		virtq_split_notify_off(q);
}

bool virtqueue_notify_on(struct virtqueue *q)
{
	if (!q->running || q->broken || q->paused)
		return false;
	if (q->packed)
		virtq_packed_notify_on(q);
	else
		virtq_split_notify_on(q);
	/*
	 * Pairs with the driver's barrier between making a chain available and
	 * reading what we have just stored: one of the two sees the other's.
	 */
	shared_fence();
	return has_chains(q);
}
