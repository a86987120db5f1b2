/* SPDX-License-Identifier: MIT */
/*
 * The state of a disk that outlives its process; see worker/vhost_state.h.
 *
 * The mode that is kept is the one in force, not what the driver chose: a
 * driver that chose nothing goes by what it was shown, and this process may
 * have been started with another mode.
 *
 * Failure: where the mode is not known every write is made stable, since a
 * driver that believes in that sends no flush.
 */
#include "worker/vhost_state.h"

#include <string.h>

enum {
	MODE_MASK = 0xff, /* enum virtio_blk_mode */
	ERROR_SHIFT = 8,  /* an errno, positive; 0: no flush has failed */
	ERROR_MAX = 4095,
};

/* What a front end can make us say; there is one disk in a process. */
static struct log_limit errors, unknowns;

uint32_t vhost_state_of(const struct disk *disk)
{
	uint32_t error = (uint32_t)-block_image_flush_error(disk->image);
	bool writeback = virtio_blk_is_writeback(&disk->blk);

	return error << ERROR_SHIFT |
	       (writeback ? VIRTIO_BLK_MODE_WRITEBACK :
			    VIRTIO_BLK_MODE_WRITE_THROUGH);
}

void vhost_state_begin(struct disk *disk)
{
	virtio_blk_set_mode(&disk->blk, VIRTIO_BLK_MODE_START);
}

static bool is_state(uint32_t state)
{
	uint32_t mode = state & MODE_MASK;

	return (mode == VIRTIO_BLK_MODE_WRITE_THROUGH ||
		mode == VIRTIO_BLK_MODE_WRITEBACK) &&
	       state >> ERROR_SHIFT <= ERROR_MAX;
}

/* It is this driver's: see vhost_state_end(). */
static void take_error(struct disk *disk, int error)
{
	__atomic_store_n(&disk->image->inherited_error, -error,
			 __ATOMIC_SEQ_CST);
	if (error == 0)
		return;
	log_limited(&errors, LOG_LEVEL_WARNING,
		    "%s: a process before this one could not flush what the "
		    "guest had written (%s): its flushes go on failing",
		    disk->name, strerror(error));
}

void vhost_state_end(struct disk *disk)
{
	take_error(disk, 0);
}

/* A driver that cannot choose or write sees only what its features say. */
static void take_unknown(struct disk *disk)
{
	struct virtio_blk *blk = &disk->blk;

	if (!virtio_device_has(&blk->dev, VIRTIO_BLK_F_CONFIG_WCE) ||
	    !virtio_blk_is_writeback(blk) || disk->image->readonly)
		return;
	virtio_blk_set_mode(blk, VIRTIO_BLK_MODE_WRITE_THROUGH);
	log_limited(&unknowns, LOG_LEVEL_WARNING,
		    "%s: a guest goes on of which it is not known whether it "
		    "flushes: each write is made stable before it completes, "
		    "until the guest chooses its cache mode anew",
		    disk->name);
}

void vhost_state_take_over(struct disk *disk, const uint32_t *state,
			   bool chosen)
{
	bool known = state && is_state(*state);

	take_error(disk, known ? (int)(*state >> ERROR_SHIFT) : 0);
	if (chosen)
		return;
	if (known)
		virtio_blk_set_mode(&disk->blk, *state & MODE_MASK);
	else
		take_unknown(disk);
	log_debug("%s: the guest goes on, %s", disk->name,
		  virtio_blk_is_writeback(&disk->blk) ? "write back" :
							"write through");
}
