/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device; see virtio/blk.h.
 *
 * Happy path of a request: pop the chain, map it as a whole, copy the header
 * out of its first 16 device-readable bytes, check it against the capacity and
 * the data's length, hand the data pieces to the engine. Later: write the
 * status byte, unmap, push the used element.
 *
 * Framing is free: header, data and status may share or span descriptors. The
 * header is the first 16 readable bytes, the status the last writable byte.
 *
 * Failure modes: a chain whose status byte can be reached is answered with a
 * status; any other with a used length of 0. A chain for whose mapping there is
 * no room now goes back to the ring until a request completes.
 */
#include "virtio/blk.h"

#include <errno.h>

#include "virtio/blk_alone.h"
#include "virtio/blk_config.h"
#include "virtio/blk_range.h"
#include "virtio/shared.h"

struct virtio_blk_queue *virtio_blk_queue_of(struct block_request *req)
{
	return ((struct virtio_blk_request *)req)->queue;
}

static inline void unmap(const struct virtio_blk_request *slot)
{
	struct guest_memory *mem = slot->queue->vq.mem;

	if (!guest_memory_unmaps(mem) || slot->niov == 0)
		return;
	/* unmap() finds what to release by the pieces' original bases. */
	slot->iov[slot->cut].base = (uint8_t *)slot->iov[slot->cut].base -
				    slot->cut_bytes;
	guest_memory_unmap(mem, slot->iov, slot->niov, slot->split);
}

/*
 * End a request: status byte if it can be reached, unmap, used element. Nearly
 * every request ends in virtio_blk_complete(), where this is worth being
 * inline.
 */
static inline __attribute__((always_inline)) void
finish_here(struct virtio_blk_request *slot, enum virtio_blk_status status)
{
	struct virtio_blk_queue *bq = slot->queue;
	uint32_t len = 0;

	if (slot->status) {
		shared_store(slot->status, (uint8_t)status);
		len = status == VIRTIO_BLK_S_OK ? slot->used_ok :
						  slot->used_failed;
	}
	unmap(slot);
	/* Counted here alone; for virtio_blk_requests() of any thread. */
	shared_store(&bq->requests, bq->requests + 1);
	if (status != VIRTIO_BLK_S_OK)
		shared_store(&bq->failed, bq->failed + 1);
	virtqueue_push(&bq->vq, slot->head, len);
}

/*
 * The header of a mapped chain, once more: for who only shows it, since the
 * driver may have changed it meanwhile. False: it is not mapped.
 */
static bool peek_header(const struct virtio_blk_request *slot,
			struct virtio_blk_header *header)
{
	size_t got = 0;

	for (uint32_t i = 0; i < slot->split && got < sizeof(*header); i++) {
		const size_t before = i == slot->cut ? slot->cut_bytes : 0;
		size_t n = slot->iov[i].len + before;

		if (n > sizeof(*header) - got)
			n = sizeof(*header) - got;
		shared_copy((uint8_t *)header + got,
			    (uint8_t *)slot->iov[i].base - before, n);
		got += n;
	}
	return got == sizeof(*header);
}

static __attribute__((cold, noinline)) void
tell_answered(const struct virtio_blk_request *slot,
	      enum virtio_blk_status status)
{
	struct virtio_blk_answered what = {
		.head = slot->head,
		.status = status,
	};
	struct virtio_blk_header header;

	if (peek_header(slot, &header)) {
		what.is_known = true;
		what.type = header.type;
		what.sector = header.sector;
		what.bytes = slot->cut_bytes;
		for (uint32_t i = 0; i < slot->niov; i++)
			what.bytes += slot->iov[i].len;
		what.bytes -= sizeof(header);
	}
	slot->queue->answered(slot->queue->answered_arg, &what);
}

/* One that never goes to the engine: who wants to know of it is told. */
static __attribute__((noinline)) void finish(struct virtio_blk_request *slot,
					     enum virtio_blk_status status)
{
	if (slot->queue->answered)
		tell_answered(slot, status);
	finish_here(slot, status);
}

static bool become_flush(struct block_request *req)
{
	req->op = BLOCK_FLUSH;
	req->iov = NULL;
	req->niov = 0;
	req->offset = 0;
	req->length = 0;
	return true;
}

/*
 * Whether a write has to be made stable by a flush of its own: the driver went
 * over to write-through while it was under way, and sends no flush any more.
 * Pairs with virtio_blk_set_mode(): `switched` is set before the flush
 * is owed for what was answered earlier, so that a write for which it is not
 * seen here is covered by that one.
 */
static inline bool owes_flush(const struct virtio_blk_request *slot)
{
	return slot->unstable && shared_load(&slot->queue->blk->switched);
}

static inline bool may_go_on(const struct virtio_blk_request *slot)
{
	return slot->nsegments || owes_flush(slot);
}

/* Whether a list may end before it is done. */
static bool may_end(const struct virtio_blk_request *slot)
{
	const struct virtqueue *vq = &slot->queue->vq;

	return virtqueue_is_abandoned(vq) ||
	       (virtqueue_is_wound_up(vq) && virtqueue_is_last(vq, slot->head));
}

/* More of a list: the next range, or the one again that was stopped. */
static bool list_goes_on(struct virtio_blk_request *slot)
{
	struct block_request *req = &slot->block;

	if (may_end(slot)) {
		req->result = -ECANCELED;
		return false;
	}
	if (req->result == 0)
		return virtio_blk_range_next(slot);
	/* It has to be finished, unless everything is given up. */
	req->result = 0;
	req->stop = &slot->queue->vq.abandoned;
	return true;
}

/* More of the request for the engine; false: it is done or given up. */
static bool goes_on(struct virtio_blk_request *slot)
{
	struct block_request *req = &slot->block;

	if (slot->nsegments && req->result == -ECANCELED)
		return list_goes_on(slot);
	/* The first error ends it: nothing is promised of the other ranges. */
	if (req->result)
		return false;
	if (slot->nsegments && virtio_blk_range_left(slot))
		return list_goes_on(slot);
	if (!owes_flush(slot))
		return false;
	slot->unstable = false;
	return become_flush(req);
}

/* Given up half done: for whoever serves the queue after us. */
static bool leave(struct virtio_blk_request *slot)
{
	struct virtqueue *vq = &slot->queue->vq;
	bool abandoned;

	if (slot->block.result != -ECANCELED)
		return false;
	/* First: what is left is told before it is abandoned. */
	abandoned = virtqueue_is_abandoned(vq);
	if (virtqueue_leaves(vq)) {
		if (!abandoned)
			return false;
		unmap(slot);
		virtqueue_leave(vq, slot->head);
		return true;
	}
	if (!virtqueue_is_wound_up(vq) || !virtqueue_is_last(vq, slot->head))
		return false;
	unmap(slot);
	virtqueue_unpop(vq, slot->head);
	return true;
}

bool virtio_blk_complete(struct block_request *req)
{
	struct virtio_blk_request *slot = (struct virtio_blk_request *)req;

	if (may_go_on(slot) && goes_on(slot))
		return false;
	if (!req->result || !leave(slot))
		finish_here(slot, virtio_blk_status_of(req->result));
	return true;
}

/* Find a short chain that lies in windows of the memory: true if it does. */
static inline bool look(struct virtio_blk_request *slot,
			const struct virtq_chain *chain)
{
	const struct guest_memory *mem = slot->queue->vq.mem;
	const struct guest_range *range = chain->ranges;
	const struct guest_range *end = range + chain->n;
	struct virtio_iov *iov = slot->iov;

	if (chain->n > VIRTIO_BLK_INLINE_IOV)
		return false;
	for (; range != end; range++, iov++) {
		uint8_t *base = guest_memory_look(mem, range->addr, range->len);

		if (!base)
			return false;
		iov->base = base;
		iov->len = range->len;
	}
	slot->split = chain->readable;
	slot->niov = chain->n;
	return true;
}

/* Map any chain: number of pieces, or a negative errno. */
static int map_pieces(struct virtio_blk_request *slot,
		      const struct virtq_chain *chain)
{
	struct virtio_blk_queue *bq = slot->queue;
	struct guest_memory *mem = bq->vq.mem;
	int n = -E2BIG;

	if (chain->n <= VIRTIO_BLK_INLINE_IOV)
		n = guest_memory_map(mem, chain->ranges, chain->n,
				     chain->readable, slot->iov,
				     VIRTIO_BLK_INLINE_IOV, &slot->split);
	if (n == -E2BIG) {
		slot->iov = bq->spill + slot->head * (size_t)bq->spill_max;
		n = guest_memory_map(mem, chain->ranges, chain->n,
				     chain->readable, slot->iov, bq->spill_max,
				     &slot->split);
	}
	if (n > 0)
		slot->niov = (uint32_t)n;
	return n;
}

static inline int map(struct virtio_blk_request *slot,
		      const struct virtq_chain *chain)
{
	slot->iov = slot->inline_iov;
	return look(slot, chain) ? (int)chain->n : map_pieces(slot, chain);
}

enum started {
	STARTED,  /* the engine's turn */
	ANSWERED, /* done with */
	STARVED,  /* no room to map it now */
};

/* A chain that cannot be mapped whole: answer by its last byte if possible. */
static enum started fail_unmapped(struct virtio_blk_request *slot,
				  const struct virtq_chain *chain)
{
	struct guest_range last = chain->ranges[chain->n - 1];
	const struct virtq_chain status = {
		.n = 1,
		.readable = 0,
		.ranges = &last,
	};
	int r;

	if (chain->readable < chain->n) {
		last.addr += last.len - 1;
		last.len = 1;
		r = map(slot, &status);
		/* Without a status the driver takes an old byte for one. */
		if (r == -EAGAIN)
			return STARVED;
		if (r == 1)
			slot->status = slot->iov[0].base;
	}
	slot->used_failed = chain->writable_bytes == 1;
	finish(slot, VIRTIO_BLK_S_IOERR);
	return ANSWERED;
}

/* Cut the status byte off the end of the writable pieces. */
static void take_status(struct virtio_blk_request *slot)
{
	struct virtio_iov *last = &slot->iov[slot->niov - 1];

	if (slot->niov == slot->split)
		return;
	last->len--;
	slot->status = (uint8_t *)last->base + last->len;
}

/*
 * Copy the header out of the readable pieces. On success slot->cut is the piece
 * where the data begins, with its base moved on.
 */
static bool take_header(struct virtio_blk_request *slot,
			struct virtio_blk_header *header)
{
	size_t got = 0;
	uint32_t i = 0;

	/* As drivers do it: a descriptor of its own. */
	if (slot->split && slot->iov[0].len == sizeof(*header)) {
		shared_copy(header, slot->iov[0].base, sizeof(*header));
		slot->block.iov = &slot->iov[1];
		slot->block.niov = slot->split - 1;
		return true;
	}
	while (i < slot->split && got < sizeof(*header)) {
		struct virtio_iov *piece = &slot->iov[i];
		size_t n = sizeof(*header) - got;

		if (n > piece->len)
			n = piece->len;
		shared_copy((uint8_t *)header + got, piece->base, n);
		got += n;
		if (n < piece->len) {
			piece->base = (uint8_t *)piece->base + n;
			piece->len -= n;
			slot->cut = (uint16_t)i;
			slot->cut_bytes = (uint16_t)n;
			break;
		}
		i++;
	}
	/* The data of a write begins at piece i. */
	slot->block.iov = &slot->iov[i];
	slot->block.niov = slot->split - i;
	return got == sizeof(*header);
}

/* Whether [sector, + bytes) lies on the device and is whole sectors. */
static bool range_ok(const struct virtio_blk *blk, uint64_t sector,
		     uint64_t bytes)
{
	return bytes % VIRTIO_BLK_SECTOR_SIZE == 0 &&
	       bytes <= VIRTIO_BLK_DATA_MAX &&
	       virtio_blk_range_fits(blk, sector,
				     bytes / VIRTIO_BLK_SECTOR_SIZE);
}

static bool answer(struct virtio_blk_request *slot,
		   enum virtio_blk_status status)
{
	finish(slot, status);
	return false;
}

static bool start_read(struct virtio_blk_request *slot, uint64_t sector,
		       uint64_t bytes)
{
	struct block_request *req = &slot->block;

	if (!range_ok(slot->queue->blk, sector, bytes))
		return answer(slot, VIRTIO_BLK_S_IOERR);
	slot->used_ok = (uint32_t)bytes + 1;
	if (bytes == 0)
		return answer(slot, VIRTIO_BLK_S_OK);
	req->op = BLOCK_READ;
	req->iov = &slot->iov[slot->split];
	req->niov = slot->niov - slot->split;
	if (req->iov[req->niov - 1].len == 0)
		req->niov--; /* the status had a piece of its own */
	req->offset = sector * VIRTIO_BLK_SECTOR_SIZE;
	req->length = bytes;
	return true;
}

static bool start_write(struct virtio_blk_request *slot, uint64_t sector,
			uint64_t bytes)
{
	const struct virtio_blk *blk = slot->queue->blk;
	struct block_request *req = &slot->block;

	if (blk->readonly || !range_ok(blk, sector, bytes))
		return answer(slot, VIRTIO_BLK_S_IOERR);
	if (bytes == 0)
		return answer(slot, VIRTIO_BLK_S_OK);
	req->op = BLOCK_WRITE;
	req->offset = sector * VIRTIO_BLK_SECTOR_SIZE;
	req->length = bytes;
	if (virtio_blk_is_write_through(blk))
		req->flags |= BLOCK_STABLE;
	else
		slot->unstable = true;
	return true;
}

static bool start_ranges(struct virtio_blk_request *slot, uint32_t type,
			 uint64_t bytes)
{
	enum virtio_blk_status status = virtio_blk_range_take(slot, type,
							      bytes);

	if (status != VIRTIO_BLK_S_OK)
		return answer(slot, status);
	if (!virtio_blk_range_next(slot))
		return answer(slot, VIRTIO_BLK_S_OK);
	return true;
}

/* Answer GET_ID: at most 20 bytes of serial, padded with NUL. */
static bool do_get_id(struct virtio_blk_request *slot, uint64_t bytes)
{
	const char *from = slot->queue->blk->serial;
	size_t left = bytes < VIRTIO_BLK_ID_BYTES ? bytes : VIRTIO_BLK_ID_BYTES;

	/* More room than the id has: the status byte is not adjacent. */
	slot->used_ok = (uint32_t)left + (left == bytes);
	for (uint32_t i = slot->split; left; i++) {
		const struct virtio_iov *piece = &slot->iov[i];
		size_t n = piece->len < left ? piece->len : left;

		shared_put(piece->base, from, n);
		from += n;
		left -= n;
	}
	return answer(slot, VIRTIO_BLK_S_OK);
}

/* Header and status are taken: true if the engine has to do something. */
static bool start_type(struct virtio_blk_request *slot,
		       const struct virtio_blk_header *header,
		       uint64_t out_bytes, uint64_t in_bytes)
{
	/* Not by the table that a switch becomes: these are nearly all. */
	if (header->type == VIRTIO_BLK_T_IN)
		return start_read(slot, header->sector, in_bytes);
	if (header->type == VIRTIO_BLK_T_OUT)
		return start_write(slot, header->sector, out_bytes);
	switch (header->type) {
	case VIRTIO_BLK_T_FLUSH:
		return become_flush(&slot->block);
	case VIRTIO_BLK_T_FLUSH_OUT:
		if (!slot->queue->blk->dev.legacy)
			return answer(slot, VIRTIO_BLK_S_UNSUPP);
		return become_flush(&slot->block);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(slot, in_bytes);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
	case VIRTIO_BLK_T_SECURE_ERASE:
		return start_ranges(slot, header->type, out_bytes);
	default:
		return answer(slot, VIRTIO_BLK_S_UNSUPP);
	}
}

static void slot_reset(struct virtio_blk_request *slot,
		       struct virtio_blk_queue *bq, uint16_t head)
{
	slot->block.flags = bq->vq.mem->pinnable ? 0 : BLOCK_UNPINNABLE;
	slot->block.result = 0;
	slot->queue = bq;
	slot->status = NULL;
	slot->head = head;
	slot->cut = 0;
	slot->cut_bytes = 0;
	slot->nsegments = 0;
	slot->unstable = false;
	slot->niov = 0;
	slot->split = 0;
	/* Written from the start: the status only if nothing is before it. */
	slot->used_ok = 0;
	slot->used_failed = 0;
}

/* A popped chain becomes a request. */
static enum started start(struct virtio_blk_request *slot,
			  const struct virtq_chain *chain)
{
	struct virtio_blk_header header;
	int r;

	if (chain->n == 0) {
		finish(slot, VIRTIO_BLK_S_IOERR);
		return ANSWERED;
	}
	r = map(slot, chain);
	if (r == -EAGAIN)
		return STARVED;
	if (r < 0)
		return fail_unmapped(slot, chain);
	take_status(slot);
	slot->used_ok = chain->writable_bytes == 1;
	slot->used_failed = slot->used_ok;
	if (!take_header(slot, &header) || !slot->status) {
		finish(slot, VIRTIO_BLK_S_IOERR);
		return ANSWERED;
	}
	return start_type(slot, &header, chain->readable_bytes - sizeof(header),
			  chain->writable_bytes - 1) ?
		       STARTED :
		       ANSWERED;
}

static struct virtio_blk_request *slot_for(struct virtio_blk_queue *bq,
					   const struct virtq_chain *chain)
{
	struct virtio_blk_request *slot = &bq->slots[chain->head];

	slot_reset(slot, bq, chain->head);
	return slot;
}

struct block_request *virtio_blk_pop(struct virtio_blk_queue *bq)
{
	struct virtq_chain chain;
	int r;

	while ((r = virtqueue_pop(&bq->vq, &chain)) > 0) {
		struct virtio_blk_request *slot = slot_for(bq, &chain);

		switch (start(slot, &chain)) {
		case STARTED:
			return &slot->block;
		case ANSWERED:
			break;
		case STARVED:
			virtqueue_unpop(&bq->vq, chain.head);
			return NULL;
		}
	}
	if (r < 0)
		virtio_device_needs_reset(&bq->blk->dev);
	return NULL;
}

bool virtio_blk_repop_one(struct virtio_blk_queue *bq,
			  struct block_request **req)
{
	struct virtio_blk_request *slot;
	struct virtq_chain chain;
	int r = virtqueue_repop(&bq->vq, &chain);

	*req = NULL;
	if (r == 0)
		return false;
	if (r < 0) {
		virtio_device_needs_reset(&bq->blk->dev);
		return true;
	}
	slot = slot_for(bq, &chain);
	switch (start(slot, &chain)) {
	case STARTED:
		*req = &slot->block;
		break;
	case ANSWERED:
		break;
	case STARVED:
		/* Nothing else holds room when a queue starts. */
		if (fail_unmapped(slot, &chain) == STARVED)
			finish(slot, VIRTIO_BLK_S_IOERR);
		break;
	}
	return true;
}

struct block_request *virtio_blk_repop(struct virtio_blk_queue *bq)
{
	struct block_request *req;

	while (virtio_blk_repop_one(bq, &req))
		if (req)
			return req;
	return NULL;
}
