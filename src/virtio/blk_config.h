/* SPDX-License-Identifier: MIT */
/*
 * What the block device offers and what its configuration space says.
 * VIRTIO 1.3, sections 5.2.3 to 5.2.5.
 */
#ifndef VIRTIO_BLK_CONFIG_H
#define VIRTIO_BLK_CONFIG_H

#include "virtio/blk.h"
#include "virtio/shared.h"

/* The features that a device with these options offers, whatever carries it. */
uint64_t virtio_blk_offer(const struct virtio_blk_options *options);

/* Make the configuration space in the state that of the device. */
void virtio_blk_config_attach(struct virtio_blk *blk);

/* Fill it in. */
void virtio_blk_config_init(struct virtio_blk *blk,
			    const struct virtio_blk_options *options);

/*
 * Whether a device with these options can go on with what another process has
 * told the driver: 0, or a negative errno and a sentence as of
 * virtio_state_check().
 */
int virtio_blk_config_check(const struct virtio_blk_state *state,
			    const struct virtio_blk_options *options,
			    const char **why);

/* Go on with it, and with the size that the store has now. */
void virtio_blk_config_adopt(struct virtio_blk *blk,
			     const struct virtio_blk_options *options);

/*
 * Whether what is written now has to be stable before it completes, section
 * 5.2.6.2: the driver cannot flush, or has chosen so.
 */
static inline bool virtio_blk_is_write_through(const struct virtio_blk *blk)
{
	uint64_t features = virtio_device_features(&blk->dev);

	if (features & VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE))
		return !shared_load(&blk->state->config.writeback);
	return !(features & VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH));
}

/* Whether `sectors` from `sector` on lie on the device as it is now. */
static inline bool virtio_blk_range_fits(const struct virtio_blk *blk,
					 uint64_t sector, uint64_t sectors)
{
	/* Once: it may be changed between two loads. */
	uint64_t capacity = shared_load(&blk->state->config.capacity);

	return sector <= capacity && sectors <= capacity - sector;
}

#endif
