/* SPDX-License-Identifier: MIT */
/*
 * A block device for the fuzz targets that serves a hostile driver: requests
 * stay in flight until the input says which of them is done. While a chain is
 * mapped, the driver may write to its memory.
 */
#ifndef FUZZ_DEVICE_H
#define FUZZ_DEVICE_H

#include "fuzz_guest.h"

#include "lib/model_blk.h"

enum {
	FUZZ_PENDING_MAX = 64,
	FUZZ_DRAIN_MAX = 1000,
	FUZZ_SECTORS = 8, /* a small disk: it is made for each input */
};

struct fuzz_device {
	struct model_blk m;
	struct guest_memory_ops ops;
	struct block_request *pending[FUZZ_PENDING_MAX];
	unsigned int n;
	/* What the driver writes at the next map(). */
	uint64_t late_at;
	uint8_t late[16];
	unsigned int late_bytes;
};

static inline int fuzz_map(struct guest_memory *gm,
			   const struct guest_range *ranges, unsigned int n,
			   unsigned int readable, struct virtio_iov *iov,
			   unsigned int max, unsigned int *split)
{
	struct model_memory *mem = (struct model_memory *)gm;
	struct model_blk *m = (struct model_blk *)mem;
	struct fuzz_device *d = (struct fuzz_device *)m;
	int r = model_map(gm, ranges, n, readable, iov, max, split);

	memcpy(mem->bytes + d->late_at, d->late, d->late_bytes);
	d->late_bytes = 0;
	return r;
}

static inline void fuzz_device_init(struct fuzz_device *d,
				    struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint8_t room = fuzz_u8(in);
	const struct model_setup setup = {
		.nqueues = 1u + (how & 1),
		.queue_size = (uint16_t)(2u << (how >> 1 & 3)),
		.sectors = FUZZ_SECTORS,
		.readonly = how & 8,
		.pinnable = how & 16,
		.discard = true,
		.secure_erase = true,
		.legacy = how & 128,
		.refused = how & 32 ?
				   VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
					   VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) :
				   0,
	};

	memset(d, 0, sizeof(*d));
	model_blk_init(&d->m, setup);
	d->ops = model_memory_ops;
	d->ops.map = fuzz_map;
	d->m.mem.memory.ops = &d->ops;
	d->m.mem.piece = how & 64 ? 256 : 0;
	d->m.mem.limit = room & 1 ? 4u + (room >> 1 & 15) : 0;
}

/* Take all chains that can be taken. */
static inline void fuzz_take(struct fuzz_device *d, unsigned int queue)
{
	struct virtio_device *dev = &d->m.blk.dev;
	struct virtio_blk_queue *bq = &d->m.blk.queue[queue];
	struct block_request *req;

	if (!virtio_device_live(dev) || (dev->state->stopping & (1u << queue)))
		return;
	while (d->n < FUZZ_PENDING_MAX && (req = virtio_blk_pop(bq))) {
		assert_ptr_equal(virtio_blk_queue_of(req), bq);
		model_check_block(&d->m, req);
		d->pending[d->n++] = req;
	}
	if (bq->vq.running && bq->vq.broken)
		assert_true(dev->state->status & VIRTIO_STATUS_NEEDS_RESET);
}

static inline void fuzz_complete(struct fuzz_device *d, unsigned int i)
{
	struct block_request *req = d->pending[i];

	d->pending[i] = d->pending[--d->n];
	model_run(&d->m, req);
}

static inline void fuzz_publish(struct fuzz_device *d, unsigned int queue)
{
	struct virtqueue *q = &d->m.blk.queue[queue].vq;
	bool any = q->running && q->used_next != q->used_shown;

	virtqueue_publish(q);
	if (any)
		assert_int_equal(q->used->idx, q->used_next);
}

/* What is popped is in flight and will be answered: nothing is forgotten. */
static inline void fuzz_check_in_flight(const struct fuzz_device *d)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < d->m.setup.nqueues; i++)
		n += d->m.blk.queue[i].vq.in_flight;
	assert_int_equal(n, d->n);
}

static inline void fuzz_complete_all(struct fuzz_device *d)
{
	while (d->n)
		fuzz_complete(d, d->n - 1);
	for (unsigned int i = 0; i < d->m.setup.nqueues; i++)
		fuzz_publish(d, i);
	fuzz_check_in_flight(d);
	assert_null(d->m.mem.maps);
}

/*
 * What was made available is taken and used, or a reset is due. Data that is
 * written over a ring may make more available, though not without end here.
 */
static inline void fuzz_drain(struct fuzz_device *d)
{
	struct virtio_device *dev = &d->m.blk.dev;

	fuzz_complete_all(d);
	for (unsigned int i = 0; i < d->m.setup.nqueues; i++) {
		const struct virtqueue *q = &d->m.blk.queue[i].vq;

		for (int n = 0; n < FUZZ_DRAIN_MAX && virtqueue_pending(q) &&
				virtio_device_live(dev) &&
				!(dev->state->stopping & (1u << i));
		     n++) {
			uint16_t before = q->last_avail;

			fuzz_take(d, i);
			fuzz_complete_all(d);
			if (virtio_device_live(dev))
				assert_int_not_equal(q->last_avail, before);
		}
	}
}

static inline void fuzz_finish(struct fuzz_device *d)
{
	fuzz_drain(d);
	virtio_device_settle(&d->m.blk.dev);
	model_blk_finish(&d->m);
}

/* The first range of a list, which may be right. */
static inline void fuzz_segment(struct fuzz_device *d, struct fuzz_input *in,
				uint64_t at)
{
	const struct virtio_blk_segment s = {
		.sector = fuzz_below(in, FUZZ_SECTORS + 1),
		.num_sectors = fuzz_below(in, FUZZ_SECTORS + 1),
		.flags = fuzz_u8(in) & 1,
	};
	void *p = model_at(&d->m.mem, at, sizeof(s));

	assert_non_null(p);
	memcpy(p, &s, sizeof(s));
}

/* A request as drivers make it, nearly, and what its header says. */
static inline void fuzz_request(struct fuzz_device *d, struct fuzz_input *in,
				unsigned int queue)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
		VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	};
	struct model_ring *ring = &d->m.ring[queue];
	uint8_t how = fuzz_u8(in);
	uint16_t head = (uint16_t)(how % ring->size);
	uint64_t at = d->m.heap + 4096u * (how >> 4);
	uint32_t type = types[fuzz_u8(in) & 7];
	bool ranges = type == VIRTIO_BLK_T_DISCARD ||
		      type == VIRTIO_BLK_T_WRITE_ZEROES;
	bool write = type == VIRTIO_BLK_T_OUT || ranges;

	if (ranges)
		fuzz_segment(d, in, at + 512);
	model_header(&d->m, at, type, fuzz_below(in, FUZZ_SECTORS + 2));
	for (uint16_t i = 0; i < 3; i++)
		ring->desc[(head + i) % ring->size] = (struct vring_desc){
			.addr = at + 512u * i,
			.len = i == 0 ? 16 :
			       i == 1 ? fuzz_length(in) :
					1,
			.flags = (uint16_t)((i < 2 ? VRING_DESC_NEXT : 0) |
					    ((i == 1 && !write) || i == 2 ?
						     VRING_DESC_WRITE :
						     0)),
			.next = (uint16_t)((head + i + 1) % ring->size),
		};
	model_avail(ring, head);
}

/* What the driver or the engine does next: any operation but a register's. */
static inline void fuzz_device_step(struct fuzz_device *d,
				    struct fuzz_input *in)
{
	unsigned int queue = fuzz_below(in, d->m.setup.nqueues);

	switch (fuzz_u8(in) % 8) {
	case 0:
		fuzz_request(d, in, queue);
		break;
	case 1:
		fuzz_take(d, queue);
		break;
	case 2:
		if (d->n)
			fuzz_complete(d, fuzz_below(in, d->n));
		break;
	case 3:
		fuzz_publish(d, queue);
		break;
	case 4:
		d->late_at = fuzz_u16(in);
		d->late_bytes = 1u + fuzz_below(in, 16);
		fuzz_copy(in, d->late, d->late_bytes);
		break;
	case 5:
		d->m.engine_fails = fuzz_u8(in) & 1 ? -5 : 0;
		break;
	default:
		fuzz_ring_step(in, &d->m.ring[queue],
			       d->m.heap + 16 * MODEL_PAGE);
		break;
	}
	fuzz_check_in_flight(d);
}

#endif
