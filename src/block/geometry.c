/* SPDX-License-Identifier: MIT */
/*
 * Size and block sizes of an image.
 *
 *   block size     as asked for, else a device's logical one, else 512
 *   physical       a device's physical one, a file's preferred I/O size as far
 *                  as that is a sensible block; what the guest aligns to
 *   size           down to whole blocks of 512; larger blocks have to fit
 *
 * Failure modes: block sizes that are no power of two between 512 and 4096 or
 * less than the device's, an empty store, a size that the block size does not
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

#define GEOMETRY_BLOCK_MIN 512u
#define GEOMETRY_BLOCK_MAX 4096u
/* A device's physical blocks: RAID and flash report larger ones. */
#define GEOMETRY_PHYSICAL_MAX 65536u

struct geometry {
	uint64_t size;
	unsigned int logical;
	unsigned int physical;
};

static bool geometry_is_block(uint64_t size, unsigned int max)
{
	return size >= GEOMETRY_BLOCK_MIN && size <= max &&
	       (size & (size - 1)) == 0;
}

static int geometry_of_device(int fd, struct geometry *store)
{
	int logical = 0;
	unsigned int physical = 0;

	if (ioctl(fd, BLKGETSIZE64, &store->size) < 0 ||
	    ioctl(fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(fd, BLKPBSZGET, &physical) < 0)
		return -errno;
	store->logical = (unsigned int)logical;
	store->physical = geometry_is_block(physical, GEOMETRY_PHYSICAL_MAX) ?
			  physical : store->logical;
	return 0;
}

static int geometry_of_file(int fd, struct geometry *store)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	store->size = (uint64_t)st.st_size;
	store->logical = GEOMETRY_BLOCK_MIN;
	store->physical = geometry_is_block((uint64_t)st.st_blksize,
					    GEOMETRY_BLOCK_MAX) ?
			  (unsigned int)st.st_blksize : GEOMETRY_BLOCK_MAX;
	return 0;
}

static int geometry_of_store(const struct block_image *image,
			     const struct block_image_options *options,
			     struct geometry *store)
{
	if (image->fd >= 0 && image->is_block_device)
		return geometry_of_device(image->fd, store);
	if (image->fd >= 0)
		return geometry_of_file(image->fd, store);
	*store = (struct geometry){
		.size = options->size,
		.logical = GEOMETRY_BLOCK_MIN,
		.physical = GEOMETRY_BLOCK_MIN,
	};
	return 0;
}

static int geometry_check_size(const struct block_image *image,
			       const struct geometry *store, const char *file,
			       char error[BLOCK_ERROR_MAX])
{
	if (store->size < GEOMETRY_BLOCK_MIN)
		return block_explain(error, -EINVAL, file,
				     "is empty: give it a size of at least %u "
				     "bytes", GEOMETRY_BLOCK_MIN);
	if (image->block_size > GEOMETRY_BLOCK_MIN &&
	    store->size % image->block_size)
		return block_explain(error, -EINVAL, file,
				     "size %" PRIu64 " is not a multiple of "
				     "block-size %u: resize it, or use "
				     "block-size=512", store->size,
				     image->block_size);
	return 0;
}

int block_geometry(struct block_image *image,
		   const struct block_image_options *options,
		   unsigned int *sector, char error[BLOCK_ERROR_MAX])
{
	const char *file = options->file ? options->file : "null image";
	struct geometry store = { .logical = 0 };
	int rc;

	rc = geometry_of_store(image, options, &store);
	if (rc)
		return block_explain(error, rc, file,
				     "its size cannot be read: %s",
				     strerror(-rc));
	image->block_size = options->block_size ? options->block_size :
						  store.logical;
	if (!geometry_is_block(image->block_size, GEOMETRY_BLOCK_MAX))
		return block_explain(error, -EINVAL, file,
				     "block-size %u is not possible: use 512, "
				     "1024, 2048 or 4096", image->block_size);
	if (image->block_size < store.logical)
		return block_explain(error, -EINVAL, file,
				     "block-size %u is less than the device's "
				     "%u: use block-size=%u",
				     image->block_size, store.logical,
				     store.logical);
	rc = geometry_check_size(image, &store, file, error);
	if (rc)
		return rc;
	image->size = store.size - store.size % image->block_size;
	image->physical_block_size = store.physical > image->block_size ?
				     store.physical : image->block_size;
	*sector = image->is_block_device ? store.logical : 0;
	return 0;
}
