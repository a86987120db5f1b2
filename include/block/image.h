/* SPDX-License-Identifier: MIT */
/*
 * An image as a worker has it: what its engines need to move data. It is made
 * of the part that a monitor has given (block/claim.h), and knows no path.
 *
 * What flushes and their failures are about is here. A loss outlives the worker
 * in the state of its disk, from where the next one takes it (inherited_error);
 * one that a worker was told of and killed before it noted it is in the next
 * part, and the next image begins with it.
 * A monitor never flushes. It learns of a loss only where it lends the image,
 * in the same process (block/flush.h).
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/part.h"

struct block_gate;
struct block_sync;

struct block_image {
	int fd;                  /* -1 for a null image */
	uint64_t store[2];       /* which one it is; zeroes of a null image */
	uint64_t size;           /* bytes, whole blocks of block_size */
	unsigned int block_size; /* logical block that the device offers */
	unsigned int physical_block_size; /* of the store, >= block_size */
	unsigned int alignment_offset; /* bytes to a physical block's start */
	unsigned int min_io_size; /* bytes that the store likes; 0: not known */
	unsigned int opt_io_size;
	unsigned int discard_granularity; /* bytes; 0: cannot discard */
	bool can_secure_erase;
	unsigned int store_block_size; /* what a device takes; may be larger */
	unsigned int dio_align; /* offset and length, for O_DIRECT; else 1 */
	unsigned int dio_mem_align; /* memory, for O_DIRECT; else 1 */
	bool readonly;
	bool lends;
	bool direct;      /* opened with O_DIRECT */
	bool write_waits; /* ... where a write waits, whoever asked it not to */
	bool is_block_device;
	bool flush_is_noop;      /* BLOCK_CACHE_UNSAFE */
	bool write_through;      /* BLOCK_CACHE_WRITETHROUGH */
	bool dsync;              /* stable writes are made with RWF_DSYNC */
	struct block_sync *sync; /* of all engines; NULL: nothing to flush */
	struct block_gate *gate; /* ... of parts of blocks; NULL: no need */
	/*
	 * The two are shared by all engines of the image and atomic. How often
	 * it could not be made stable what was written:
	 */
	uint32_t failures;
	/*
	 * ... and 0, or the negative errno of such a failure that may have cost
	 * data which was acknowledged before, by this image or one that was
	 * made of a part before. It stays until the image is claimed again: no
	 * flush and no stable write succeeds any more.
	 */
	int flush_error;
	/*
	 * As that, of another process that had the image before. It is set by
	 * whoever knows of it, and may be taken back; atomic.
	 */
	int inherited_error;
	/*
	 * Called when flush_error becomes other than 0, in whatever thread; or
	 * NULL.
	 */
	void (*lost)(struct block_image *image);
};

/*
 * Make an image of a part, whose descriptors are the image's from then on: they
 * are closed also where this fails, and the part has none any more. The part
 * may have come from another process: nothing of it is believed that is not
 * checked. Returns 0, or a negative errno and a sentence in `error`.
 */
int block_image_open(struct block_image *image, struct block_part *part,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Of an image that lends, of which nothing is in flight: lock and unlock what
 * tells others that something may be. The claim is locked before and unlocked
 * after. 0 or a negative errno: -EBUSY, see block_claim_part().
 */
int block_image_lock(struct block_image *image);
void block_image_unlock(struct block_image *image);

/*
 * What the image's flushes fail for although the store may have recovered, or
 * 0: its flush_error, or the inherited one. Any thread may ask.
 */
static inline int block_image_flush_error(const struct block_image *image)
{
	int error = __atomic_load_n(&image->flush_error, __ATOMIC_SEQ_CST);

	return error ? error :
		       __atomic_load_n(&image->inherited_error,
				       __ATOMIC_SEQ_CST);
}

/* Close it; a closed or never opened (fd -1) image is allowed. */
void block_image_close(struct block_image *image);

#endif
