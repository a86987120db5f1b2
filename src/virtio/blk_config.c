/* SPDX-License-Identifier: MIT */
/*
 * Offer and configuration of the block device; see virtio/blk_config.h.
 *
 * Two fields change while the device runs: capacity, when the store has another
 * size, and writeback, the only one that the driver can write. Both are written
 * by the thread that answers for the configuration space and are read by the
 * queues' threads, so atomically; nothing is ordered by them.
 *
 * The cache mode. It starts as the options say, at 0 for a driver that cannot
 * flush, and returns to its start with a reset. As all of the configuration
 * space it is kept in the state that outlives the process. When it becomes
 * write-through, what was written before is owed a flush: such a driver sends
 * none any more. What is under way then gets one each, at its end
 * (virtio_blk_complete()). A legacy driver may write it before it writes its
 * features, so those leave it.
 */
#include "virtio/blk_config.h"

#include <assert.h>
#include <errno.h>

#include "virtio/device_state.h"

enum { ERRNO_MAX = 4095 };

/* ---- geometry and topology ---- */

/* For partitioning tools of old: never more than the capacity, never 0. */
static void set_geometry(struct virtio_blk_config *config, uint64_t capacity)
{
	uint64_t heads = 16, sectors = 63, cylinders;

	if (capacity < heads * sectors) {
		heads = 1;
		sectors = 1;
	}
	/* As BIOSes translate: more heads before more than 1024 cylinders. */
	while (heads > 1 && heads < 255 && capacity / (heads * sectors) > 1024)
		heads = heads == 128 ? 255 : heads * 2;
	cylinders = capacity / (heads * sectors);
	config->cylinders = cylinders > UINT16_MAX ? UINT16_MAX :
						     (uint16_t)cylinders;
	config->heads = (uint8_t)heads;
	config->sectors = (uint8_t)sectors;
}

static uint32_t blocks(const struct virtio_blk_options *o, uint32_t bytes)
{
	return bytes / o->block_size;
}

static void set_topology(struct virtio_blk_config *config,
			 const struct virtio_blk_options *o)
{
	uint32_t min = blocks(o, o->min_io_size);
	uint8_t exp = 0;

	while (exp < 16 &&
	       (o->block_size << (exp + 1)) <= o->physical_block_size)
		exp++;
	config->physical_block_exp = exp;
	config->alignment_offset = (uint8_t)blocks(o, o->alignment_offset);
	config->min_io_size = min > UINT16_MAX ? UINT16_MAX : (uint16_t)min;
	config->opt_io_size = blocks(o, o->opt_io_size);
}

/* ---- ranges ---- */

/* Drivers take 0 for an error or for no limit. */
static uint32_t range_alignment(const struct virtio_blk_options *o)
{
	uint32_t bytes = o->discard_granularity > o->block_size ?
				 o->discard_granularity :
				 o->block_size;

	return bytes / VIRTIO_BLK_SECTOR_SIZE;
}

static void set_ranges(struct virtio_blk_config *config,
		       const struct virtio_blk_options *o)
{
	if (o->readonly)
		return;
	config->max_write_zeroes_sectors = VIRTIO_BLK_ZEROES_SECTORS_MAX;
	config->max_write_zeroes_seg = VIRTIO_BLK_SEGMENTS_MAX;
	config->write_zeroes_may_unmap = o->discard;
	if (o->discard) {
		config->max_discard_sectors = VIRTIO_BLK_DISCARD_SECTORS_MAX;
		config->max_discard_seg = VIRTIO_BLK_SEGMENTS_MAX;
		config->discard_sector_alignment = range_alignment(o);
	}
	if (o->secure_erase) {
		config->max_secure_erase_sectors =
			VIRTIO_BLK_DISCARD_SECTORS_MAX;
		config->max_secure_erase_seg = VIRTIO_BLK_SEGMENTS_MAX;
		config->secure_erase_sector_alignment = range_alignment(o);
	}
}

/* ---- offer ---- */

uint64_t virtio_blk_offer(const struct virtio_blk_options *o)
{
	uint64_t features = VIRTIO_FEATURE(VIRTIO_F_VERSION_1) |
			    VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC) |
			    VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_GEOMETRY) |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE);

	if (o->readonly)
		features |= VIRTIO_FEATURE(VIRTIO_BLK_F_RO);
	else
		features |= VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	if (!o->readonly && o->discard)
		features |= VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);
	if (!o->readonly && o->secure_erase)
		features |= VIRTIO_FEATURE(VIRTIO_BLK_F_SECURE_ERASE);
	if (o->nqueues > 1)
		features |= VIRTIO_FEATURE(VIRTIO_BLK_F_MQ);
	if (o->packed)
		features |= VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	/* The legacy interface has the first word only. */
	return o->legacy ? (uint32_t)features : features;
}

/* ---- cache mode ---- */

static struct virtio_blk *blk_of(struct virtio_device *dev)
{
	return (struct virtio_blk *)dev;
}

_Static_assert(offsetof(struct virtio_blk, dev) == 0, "blk_of() casts");

/* The driver writes: the one byte of writeback, and nothing else. */
static void config_write(struct virtio_device *dev, uint32_t offset,
			 const uint8_t *bytes, uint32_t size)
{
	if (offset == offsetof(struct virtio_blk_config, writeback) &&
	    size == 1)
		virtio_blk_set_mode(blk_of(dev),
				    bytes[0] ? VIRTIO_BLK_MODE_WRITEBACK :
					       VIRTIO_BLK_MODE_WRITE_THROUGH);
}

static void start_mode(struct virtio_blk *blk)
{
	shared_store(&blk->state->config.writeback, !blk->write_through);
	shared_store(&blk->switched, false);
}

bool virtio_blk_is_writeback(const struct virtio_blk *blk)
{
	return shared_load(&blk->state->config.writeback);
}

void virtio_blk_set_mode(struct virtio_blk *blk, enum virtio_blk_mode mode)
{
	bool old = virtio_blk_is_writeback(blk);
	bool new = mode == VIRTIO_BLK_MODE_WRITEBACK;

	if (mode == VIRTIO_BLK_MODE_START) {
		start_mode(blk);
		return;
	}
	shared_store(&blk->state->config.writeback, new);
	shared_store(&blk->switched, !new);
	/* Pairs with virtio_blk_take_flush(): the switch before the flush. */
	if (old && !new)
		shared_store_release(&blk->flush_owed, true);
}

static void negotiated(struct virtio_device *dev, uint64_t features)
{
	if (!dev->legacy &&
	    (features & VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE)) &&
	    !(features & VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH)))
		shared_store(&blk_of(dev)->state->config.writeback, 0);
}

static void reset(struct virtio_device *dev)
{
	start_mode(blk_of(dev));
	/* On what was in flight no process ends any more. */
	virtio_blk_lasted(blk_of(dev));
}

static const struct virtio_device_ops ops = {
	.config_write = config_write,
	.negotiated = negotiated,
	.reset = reset,
};

bool virtio_blk_take_flush(struct virtio_blk *blk)
{
	return shared_load(&blk->flush_owed) &&
	       __atomic_exchange_n(&blk->flush_owed, false, __ATOMIC_ACQUIRE);
}

/* ---- a flush that failed ---- */

int virtio_blk_flush_error(const struct virtio_blk *blk)
{
	return shared_load(&blk->state->flush_error);
}

void virtio_blk_note_flush_error(struct virtio_blk *blk, int error)
{
	int32_t none = 0;

	assert(error < 0 && error >= -ERRNO_MAX);
	/* The first one is what the others follow from. */
	__atomic_compare_exchange_n(&blk->state->flush_error, &none, error,
				    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- life ---- */

void virtio_blk_config_attach(struct virtio_blk *blk)
{
	blk->dev.ops = &ops;
	blk->dev.config = &blk->state->config;
	blk->dev.config_bytes = sizeof(blk->state->config);
}

static void fill(struct virtio_blk_config *config,
		 const struct virtio_blk_options *o)
{
	config->capacity = o->size / VIRTIO_BLK_SECTOR_SIZE;
	/* Header and status take a descriptor each; a ring of 2 has one. */
	config->seg_max = o->queue_size > 3u ? o->queue_size - 2u : 1;
	config->blk_size = o->block_size;
	config->writeback = !o->write_through;
	config->num_queues = (uint16_t)o->nqueues;
	set_geometry(config, config->capacity);
	set_topology(config, o);
	set_ranges(config, o);
}

void virtio_blk_config_init(struct virtio_blk *blk,
			    const struct virtio_blk_options *o)
{
	fill(&blk->state->config, o);
}

/* Whether requests as the driver was told to make them are served. */
static bool limits_ok(const struct virtio_blk_config *told,
		      const struct virtio_blk_config *ours)
{
	return told->size_max == 0 && told->seg_max == ours->seg_max &&
	       told->num_queues == ours->num_queues &&
	       told->max_discard_seg <= VIRTIO_BLK_SEGMENTS_MAX &&
	       told->max_write_zeroes_seg <= VIRTIO_BLK_SEGMENTS_MAX &&
	       told->max_secure_erase_seg <= VIRTIO_BLK_SEGMENTS_MAX;
}

int virtio_blk_config_check(const struct virtio_blk_state *state,
			    const struct virtio_blk_options *options,
			    const char **why)
{
	struct virtio_blk_config ours = { 0 };

	fill(&ours, options);
	*why = "the configuration that its driver was shown is none of ours";
	if (!limits_ok(&state->config, &ours) || state->config.writeback > 1)
		return -EINVAL;
	*why = "the failed flush that it tells of has no reason that there is";
	if (state->flush_error > 0 || state->flush_error < -ERRNO_MAX)
		return -EINVAL;
	*why = "its store had blocks of another size";
	return state->config.blk_size == ours.blk_size ? 0 : -EOPNOTSUPP;
}

void virtio_blk_config_adopt(struct virtio_blk *blk,
			     const struct virtio_blk_options *options)
{
	struct virtio_blk_config *config = &blk->state->config;

	/* The process before may have been killed before it came to either. */
	if (!virtio_blk_is_writeback(blk)) {
		shared_store(&blk->switched, true);
		shared_store_release(&blk->flush_owed, true);
	}
	if (!virtio_blk_resize(blk, options->size))
		set_geometry(config, config->capacity);
}

bool virtio_blk_resize(struct virtio_blk *blk, uint64_t size)
{
	uint64_t capacity = size / VIRTIO_BLK_SECTOR_SIZE;
	struct virtio_blk_config *config = &blk->state->config;

	if (capacity == config->capacity)
		return false;
	/*
	 * Before: who is killed now has one generation too many, not too few.
	 */
	virtio_device_config_updated(&blk->dev);
	shared_order();
	shared_store(&config->capacity, capacity);
	set_geometry(config, capacity);
	return true;
}
