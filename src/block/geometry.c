/* SPDX-License-Identifier: MIT */
/*
 * Size and block sizes of an image.
 *
 *   block size     as asked for, else a device's logical one, else 512. May be
 *                  less than the device's: the page cache or bounce.c helps
 *   physical       a device's physical one, a file's preferred I/O size as far
 *                  as that is a sensible block; what the guest aligns to
 *   size           whole blocks; a rest would be hidden from the guest, which
 *                  may have it for the end of its data, so it is refused. Of a
 *                  store that grows later the rest waits for its block
 *   topology       a device's hints as they are; a file's preferred I/O size
 *
 * Failure modes: block sizes that are no power of two between 512 and 4096, an
 * empty store, a size that the block size does not
 * divide: each has its sentence. A store with a strange physical size gets the
 * block size for one.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "explain.h"
#include "geometry.h"
#include "limits.h"

struct geometry {
	uint64_t size;
	unsigned int logical;
	unsigned int physical;
	unsigned int alignment_offset;
	unsigned int min_io;
	unsigned int opt_io;
};

/* What a device says of good I/O; one that does not is no failure. */
static void ask_hints(int fd, struct geometry *store)
{
	int offset = 0;

	/* Less than 0: parts of a stacked device are not aligned alike. */
	if (ioctl(fd, BLKALIGNOFF, &offset) == 0 && offset > 0)
		store->alignment_offset = (unsigned int)offset %
					  store->physical;
	if (ioctl(fd, BLKIOMIN, &store->min_io) < 0)
		store->min_io = 0;
	if (ioctl(fd, BLKIOOPT, &store->opt_io) < 0)
		store->opt_io = 0;
}

static int look_at_device(int fd, struct geometry *store)
{
	int logical = 0;
	unsigned int physical = 0;

	if (ioctl(fd, BLKGETSIZE64, &store->size) < 0 ||
	    ioctl(fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(fd, BLKPBSZGET, &physical) < 0)
		return -errno;
	store->logical = (unsigned int)logical;
	store->physical = block_is_power(physical, BLOCK_LOGICAL_MIN,
					 BLOCK_PHYSICAL_MAX) ?
				  physical :
				  store->logical;
	ask_hints(fd, store);
	return 0;
}

static int look_at_file(int fd, struct geometry *store)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	store->size = (uint64_t)st.st_size;
	store->logical = BLOCK_LOGICAL_MIN;
	store->physical = block_is_power((uint64_t)st.st_blksize,
					 BLOCK_LOGICAL_MIN, BLOCK_LOGICAL_MAX) ?
				  (unsigned int)st.st_blksize :
				  BLOCK_LOGICAL_MAX;
	store->min_io = store->physical;
	/* More than a block: what a network file system transfers at once. */
	if (st.st_blksize > BLOCK_LOGICAL_MAX && st.st_blksize <= INT32_MAX)
		store->opt_io = (unsigned int)st.st_blksize;
	return 0;
}

static int look_at_store(const struct block_claim *claim,
			 const struct block_image_options *options,
			 struct geometry *store)
{
	if (claim->fd >= 0 && claim->facts.is_block_device)
		return look_at_device(claim->fd, store);
	if (claim->fd >= 0)
		return look_at_file(claim->fd, store);
	*store = (struct geometry){
		.size = options->size,
		.logical = BLOCK_LOGICAL_MIN,
		.physical = BLOCK_LOGICAL_MIN,
	};
	return 0;
}

static int check_size(const struct block_claim *claim,
		      const struct geometry *store, const char *file,
		      char error[BLOCK_ERROR_MAX])
{
	if (store->size == 0 && claim->facts.is_block_device)
		return block_explain(error, -EINVAL, file,
				     "has no size: attach a file to the loop "
				     "device, insert the medium, or activate "
				     "the volume");
	if (store->size == 0)
		return block_explain(error, -EINVAL, file,
				     "is empty: give it a size of at least %u "
				     "bytes",
				     BLOCK_LOGICAL_MIN);
	if (store->size < BLOCK_LOGICAL_MIN)
		return block_explain(error, -EINVAL, file,
				     "has %" PRIu64 " bytes: give it a size of "
				     "at least %u (truncate -s %%%u)",
				     store->size, BLOCK_LOGICAL_MIN,
				     BLOCK_LOGICAL_MIN);
	if (store->size % claim->facts.block_size == 0)
		return 0;
	if (store->size % BLOCK_LOGICAL_MIN == 0)
		return block_explain(error, -EINVAL, file,
				     "size %" PRIu64 " is not a multiple of "
				     "block-size %u: resize it, or use "
				     "block-size=512",
				     store->size, claim->facts.block_size);
	return block_explain(error, -EINVAL, file,
			     "size %" PRIu64 " is not a multiple of block-size "
			     "%u: make it one (truncate -s %%%u)",
			     store->size, claim->facts.block_size,
			     claim->facts.block_size);
}

/* What no driver could keep to is not passed on. */
static unsigned int usable_hint(unsigned int bytes)
{
	return block_is_hint(bytes) ? bytes : 0;
}

int block_geometry(struct block_claim *claim,
		   const struct block_image_options *options,
		   unsigned int *sector, char error[BLOCK_ERROR_MAX])
{
	const char *file = options->file ? options->file : "null image";
	struct geometry store = { .logical = 0 };
	int rc;

	rc = look_at_store(claim, options, &store);
	if (rc)
		return block_explain(error, rc, file,
				     "its size cannot be read: %s",
				     strerror(-rc));
	claim->facts.block_size = options->block_size ? options->block_size :
							store.logical;
	if (!block_is_power(claim->facts.block_size, BLOCK_LOGICAL_MIN,
			    BLOCK_LOGICAL_MAX))
		return block_explain(error, -EINVAL, file,
				     "block-size %u is not possible: use 512, "
				     "1024, 2048 or 4096",
				     claim->facts.block_size);
	rc = check_size(claim, &store, file, error);
	if (rc)
		return rc;
	claim->facts.size = store.size;
	claim->facts.store_block_size = store.logical;
	claim->facts.physical_block_size =
		store.physical > claim->facts.block_size ?
			store.physical :
			claim->facts.block_size;
	claim->facts.alignment_offset = store.alignment_offset;
	claim->facts.min_io_size = usable_hint(store.min_io);
	claim->facts.opt_io_size = usable_hint(store.opt_io);
	*sector = claim->facts.is_block_device ? store.logical : 0;
	return 0;
}

bool block_geometry_look(struct block_claim *claim)
{
	struct geometry store = { .size = claim->facts.size };
	unsigned int unit; /* both are powers of two */
	uint64_t size;

	if (claim->fd < 0)
		return false;
	if (claim->facts.is_block_device ? look_at_device(claim->fd, &store) :
					   look_at_file(claim->fd, &store))
		return false;
	unit = claim->facts.dio_align > claim->facts.block_size ?
		       claim->facts.dio_align :
		       claim->facts.block_size;
	size = store.size - store.size % unit;
	if (size == claim->facts.size)
		return false;
	claim->facts.size = size;
	return true;
}
