/* SPDX-License-Identifier: MIT */
/*
 * Lists of ranges; see virtio/blk_range.h.
 *
 * Happy path: the list is copied out of guest memory into the slot's place for
 * it, every range is checked, and the slot's block request goes to the engine
 * once per range, one after another. So it takes one place in the engine
 * however long the list is, and is answered once, when all are done.
 *
 * Failure modes: nothing is done of a list that is not wholly right. The first
 * range that the engine fails ends the request; those before it are done, which
 * the driver may not rely on. Nothing more is begun for a queue that was
 * abandoned, or is wound up with the list in the last place of it, to which it
 * is given back. Ranges need not be aligned as the configuration says, nor must
 * zeroes be as short: that is advice, and the store does what it can.
 */
#include "virtio/blk_range.h"

#include "virtio/blk_config.h"
#include "virtio/shared.h"

struct kind {
	unsigned int feature;
	enum block_op op;
	uint32_t flags; /* of a range, those allowed */
	uint32_t sectors_max;
};

static const struct kind kind_discard = {
	VIRTIO_BLK_F_DISCARD,
	BLOCK_DISCARD,
	0,
	VIRTIO_BLK_DISCARD_SECTORS_MAX,
};

static const struct kind kind_zeroes = {
	VIRTIO_BLK_F_WRITE_ZEROES,
	BLOCK_WRITE_ZEROES,
	VIRTIO_BLK_SEGMENT_UNMAP,
	UINT32_MAX,
};

static const struct kind kind_erase = {
	VIRTIO_BLK_F_SECURE_ERASE,
	BLOCK_SECURE_ERASE,
	0,
	VIRTIO_BLK_DISCARD_SECTORS_MAX,
};

static const struct kind *kind_of(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_DISCARD:
		return &kind_discard;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return &kind_zeroes;
	default:
		return &kind_erase;
	}
}

static struct virtio_blk_segment *
segments_of(const struct virtio_blk_request *slot)
{
	const struct virtio_blk_queue *bq = slot->queue;

	return bq->segments +
	       (size_t)(slot - bq->slots) * VIRTIO_BLK_SEGMENTS_MAX;
}

/* The caller has checked that `bytes` are there, and are no more than fit. */
static void copy(const struct virtio_blk_request *slot, uint64_t bytes)
{
	uint8_t *to = (uint8_t *)segments_of(slot);

	for (uint32_t i = 0; i < slot->block.niov && bytes; i++) {
		const struct virtio_iov *piece = &slot->block.iov[i];
		size_t n = piece->len < bytes ? piece->len : (size_t)bytes;

		shared_copy(to, piece->base, n);
		to += n;
		bytes -= n;
	}
}

static enum virtio_blk_status check(const struct virtio_blk_request *slot,
				    const struct kind *kind, unsigned int n)
{
	const struct virtio_blk *blk = slot->queue->blk;
	const struct virtio_blk_segment *s = segments_of(slot);
	bool fits = true;

	for (unsigned int i = 0; i < n; i++) {
		if (s[i].flags & ~kind->flags)
			return VIRTIO_BLK_S_UNSUPP;
		fits = fits && s[i].num_sectors <= kind->sectors_max &&
		       virtio_blk_range_fits(blk, s[i].sector,
					     s[i].num_sectors);
	}
	return fits ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

enum virtio_blk_status virtio_blk_range_take(struct virtio_blk_request *slot,
					     uint32_t type, uint64_t bytes)
{
	const struct virtio_blk *blk = slot->queue->blk;
	const struct kind *kind = kind_of(type);
	const uint64_t each = sizeof(struct virtio_blk_segment);
	enum virtio_blk_status status;

	if (blk->readonly)
		return VIRTIO_BLK_S_IOERR;
	if (!virtio_device_has(&blk->dev, kind->feature))
		return VIRTIO_BLK_S_UNSUPP;
	if (bytes == 0 || bytes % each ||
	    bytes / each > VIRTIO_BLK_SEGMENTS_MAX)
		return VIRTIO_BLK_S_IOERR;
	copy(slot, bytes);
	status = check(slot, kind, (unsigned int)(bytes / each));
	if (status != VIRTIO_BLK_S_OK)
		return status;
	slot->block.op = (uint8_t)kind->op;
	slot->block.iov = NULL;
	slot->block.niov = 0;
	slot->nsegments = (uint8_t)(bytes / each);
	slot->block.stop = &slot->queue->vq.stop;
	slot->segment = 0;
	return VIRTIO_BLK_S_OK;
}

static uint8_t flags_of(const struct virtio_blk *blk,
			const struct block_request *req,
			const struct virtio_blk_segment *s)
{
	uint8_t flags = req->flags & BLOCK_UNPINNABLE;

	if (req->op != BLOCK_WRITE_ZEROES)
		return flags;
	if ((s->flags & VIRTIO_BLK_SEGMENT_UNMAP) && blk->discard)
		flags |= BLOCK_MAY_UNMAP;
	if (virtio_blk_is_write_through(blk))
		flags |= BLOCK_STABLE;
	return flags;
}

bool virtio_blk_range_left(struct virtio_blk_request *slot)
{
	const struct virtio_blk_segment *s = segments_of(slot);

	while (slot->segment < slot->nsegments &&
	       s[slot->segment].num_sectors == 0)
		slot->segment++;
	return slot->segment < slot->nsegments;
}

bool virtio_blk_range_next(struct virtio_blk_request *slot)
{
	const struct virtio_blk_segment *s = segments_of(slot);
	struct block_request *req = &slot->block;

	if (!virtio_blk_range_left(slot))
		return false;
	s += slot->segment++;
	req->offset = s->sector * VIRTIO_BLK_SECTOR_SIZE;
	req->length = (uint64_t)s->num_sectors * VIRTIO_BLK_SECTOR_SIZE;
	req->flags = flags_of(slot->queue->blk, req, s);
	slot->unstable = req->op == BLOCK_WRITE_ZEROES &&
			 !(req->flags & BLOCK_STABLE);
	return true;
}
