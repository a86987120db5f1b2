/* SPDX-License-Identifier: MIT */
/*
 * The device side of a virtqueue: what the ring layouts have in common; see
 * virtio/queue.h. The split ring is in split.c.
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

static bool aligned(const void *p, uintptr_t to)
{
	return ((uintptr_t)p & (to - 1)) == 0;
}

size_t virtqueue_scratch_bytes(uint16_t size_max)
{
	return size_max * (sizeof(struct vring_desc) +
			   2 * sizeof(struct guest_range) +
			   sizeof(uint16_t) + sizeof(uint8_t));
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
	q->pushed = (uint16_t *)(q->ranges + 2 * (size_t)size_max);
	q->busy = (uint8_t *)(q->pushed + size_max);
	q->mem = mem;
}

int virtqueue_start(struct virtqueue *q, const struct virtq_rings *rings,
		    uint16_t size, uint64_t features, uint16_t base,
		    struct virtq_inflight *inflight)
{
	assert(!q->running);
	if (size == 0 || size > q->size_max || (size & (size - 1)))
		return -EINVAL;
	if (!aligned(rings->desc, 16) || !aligned(rings->avail, 2) ||
	    !aligned(rings->used, 4))
		return -EINVAL;
	q->size = size;
	q->desc = rings->desc;
	q->avail = rings->avail;
	q->used = rings->used;
	q->event_idx = features & VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	q->indirect = features & VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC);
	q->inflight = inflight;
	q->in_flight = 0;
	q->counter = 0;
	q->starved = false;
	memset(q->busy, 0, q->size_max);
	q->broken = false;
	q->paused = false;
	q->running = true;
	virtq_split_start(q, base);
	return 0;
}

void virtqueue_stop(struct virtqueue *q)
{
	assert(q->in_flight == 0);
	q->running = false;
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	q->inflight = NULL;
}

int virtqueue_recover(struct virtqueue *q)
{
	return virtq_split_recover(q);
}

int virtqueue_repop(struct virtqueue *q, struct virtq_chain *chain)
{
	return virtq_split_repop(q, chain);
}

bool virtqueue_pending(const struct virtqueue *q)
{
	return q->running && !q->broken && !q->paused &&
	       virtq_split_pending(q);
}

int virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain)
{
	if (!q->running || q->broken || q->paused)
		return 0;
	return virtq_split_pop(q, chain);
}

void virtqueue_unpop(struct virtqueue *q, uint16_t head)
{
	virtq_split_unpop(q, head);
}

void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len)
{
	assert(q->running && q->in_flight && q->busy[head]);
	virtq_split_push(q, head, len);
}

bool virtqueue_publish(struct virtqueue *q)
{
	if (!q->running || q->used_next == q->used_shown)
		return false;
	return virtq_split_publish(q);
}

void virtqueue_notify_off(struct virtqueue *q)
{
	if (q->running)
		virtq_split_notify_off(q);
}

bool virtqueue_notify_on(struct virtqueue *q)
{
	if (!q->running || q->broken || q->paused)
		return false;
	virtq_split_notify_on(q);
	/*
	 * Pairs with the driver's barrier between making a chain available and
	 * reading what we have just stored: one of the two sees the other's.
	 */
	shared_fence();
	return virtqueue_pending(q);
}
