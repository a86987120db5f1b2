/* SPDX-License-Identifier: MIT */
/*
 * How a block device lies in what its owner gives it: memory for its queues and
 * the state that outlives the process; see virtio/blk.h.
 *
 * Happy path: the owner asks how much of each there has to be, and the device
 * is made with a state of its own, or with that of a process before.
 *
 * Failure: a state that is not one of such a device is refused by a sentence,
 * and nothing has been made.
 */
#include "virtio/blk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "virtio/blk_config.h"
#include "virtio/device_state.h"

/* Pieces per slot: chains may have size_max descriptors, mapped in chunks. */
static unsigned int spill_max(const struct virtio_blk_options *options)
{
	return 2u * options->queue_size + 64;
}

/*
 * A queue's share of the memory: slots, spilled pieces, ranges, ring scratch.
 */
static size_t queue_memory_bytes(const struct virtio_blk_options *options)
{
	size_t n = options->queue_size;
	size_t bytes = n * sizeof(struct virtio_blk_request) +
		       n * spill_max(options) * sizeof(struct virtio_iov) +
		       n * VIRTIO_BLK_SEGMENTS_MAX *
			       sizeof(struct virtio_blk_segment) +
		       virtqueue_scratch_bytes(options->queue_size);

	/* The next queue's share begins where this one ends: aligned. */
	return (bytes + 15) & ~(size_t)15;
}

size_t virtio_blk_memory_bytes(const struct virtio_blk_options *options)
{
	return options->nqueues * queue_memory_bytes(options);
}

static struct virtio_state_shape
shape_of(const struct virtio_blk_options *options)
{
	return (struct virtio_state_shape){
		.device_id = VIRTIO_ID_BLOCK,
		.layout = (options->packed ? VIRTIO_STATE_PACKED : 0u) |
			  (options->legacy ? VIRTIO_STATE_LEGACY : 0u),
		.offer = virtio_blk_offer(options),
		.nqueues = (uint16_t)options->nqueues,
		.queue_size_max = options->queue_size,
	};
}

size_t virtio_blk_state_bytes(const struct virtio_blk_options *options)
{
	const struct virtio_state_shape shape = shape_of(options);

	return virtio_state_bytes(&shape);
}

int virtio_blk_take_shape(struct virtio_blk_options *options, const void *state,
			  size_t bytes, bool can_discard, bool can_secure_erase,
			  const char **why)
{
	struct virtio_state_shape shape = { .device_id = VIRTIO_ID_BLOCK };
	const struct virtio_state *area = state;
	int r = virtio_state_shape_of(area, bytes, &shape, why);
	uint64_t offered;

	if (r == 0 && bytes < sizeof(*area)) {
		*why = "it is shorter than it says";
		r = -EINVAL;
	}
	if (r)
		return r;
	offered = area->device.offered;
	options->nqueues = shape.nqueues;
	options->queue_size = shape.queue_size_max;
	options->packed = shape.layout & VIRTIO_STATE_PACKED;
	options->legacy = shape.layout & VIRTIO_STATE_LEGACY;
	options->discard |= can_discard &&
			    (offered & VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD));
	options->secure_erase |= can_secure_erase &&
				 (offered &
				  VIRTIO_FEATURE(VIRTIO_BLK_F_SECURE_ERASE));
	return 0;
}

static void queue_init(struct virtio_blk *blk, unsigned int i,
		       const struct virtio_blk_options *options,
		       uint8_t *memory, struct guest_memory *mem)
{
	struct virtio_blk_queue *bq = &blk->queue[i];
	uint16_t n = options->queue_size;

	memory += i * queue_memory_bytes(options);
	bq->blk = blk;
	bq->spill_max = spill_max(options);
	bq->slots = (struct virtio_blk_request *)memory;
	memory += n * sizeof(*bq->slots);
	bq->spill = (struct virtio_iov *)memory;
	memory += (size_t)n * bq->spill_max * sizeof(*bq->spill);
	bq->segments = (struct virtio_blk_segment *)memory;
	memory += (size_t)n * VIRTIO_BLK_SEGMENTS_MAX * sizeof(*bq->segments);
	virtqueue_init(&bq->vq, n, memory, mem);
	blk->dev.queue[i] = &bq->vq;
}

/* All of the device but its state, which is neither read nor written. */
static void make(struct virtio_blk *blk,
		 const struct virtio_blk_options *options, void *memory,
		 struct virtio_state *state, struct guest_memory *mem)
{
	const struct virtio_state_shape shape = shape_of(options);
	struct virtio_device *dev = &blk->dev;
	uint8_t *inflight = (uint8_t *)(state + 1);

	assert(options->size % VIRTIO_BLK_SECTOR_SIZE == 0);
	assert(options->nqueues && options->nqueues <= VIRTIO_QUEUES_MAX);
	assert(!options->legacy || !options->packed);
	memset(blk, 0, sizeof(*blk));
	blk->readonly = options->readonly;
	blk->write_through = options->write_through;
	blk->discard = options->discard;
	memcpy(blk->serial, options->serial, sizeof(blk->serial));
	blk->state = &state->blk;
	dev->id = VIRTIO_ID_BLOCK;
	dev->legacy = options->legacy;
	dev->nqueues = options->nqueues;
	dev->state = &state->device;
	dev->transport = &state->transport;
	for (unsigned int i = 0; i < options->nqueues; i++) {
		queue_init(blk, i, options, memory, mem);
		dev->inflight[i] = inflight;
		inflight += virtio_state_inflight_bytes(&shape);
	}
	virtio_blk_config_attach(blk);
}

void virtio_blk_init(struct virtio_blk *blk,
		     const struct virtio_blk_options *options, void *memory,
		     void *state, struct guest_memory *mem)
{
	const struct virtio_state_shape shape = shape_of(options);

	make(blk, options, memory, state, mem);
	virtio_state_begin(state, &shape);
	blk->dev.state->offered = virtio_blk_offer(options);
	virtio_blk_config_init(blk, options);
	virtio_device_init(&blk->dev);
	virtio_state_complete(state);
}

int virtio_blk_adopt(struct virtio_blk *blk,
		     const struct virtio_blk_options *options, void *memory,
		     void *state, size_t bytes, struct guest_memory *mem,
		     const char **why)
{
	const struct virtio_state_shape shape = shape_of(options);
	const struct virtio_state *area = state;
	int r = virtio_state_check(area, bytes, &shape, why);

	if (r == 0)
		r = virtio_blk_config_check(&area->blk, options, why);
	if (r)
		return r;
	make(blk, options, memory, state, mem);
	virtio_device_adopt(&blk->dev);
	virtio_blk_config_adopt(blk, options);
	return 0;
}
