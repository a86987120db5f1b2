/* SPDX-License-Identifier: MIT */
/*
 * Layers of a disk's keys; see config/layers.h.
 *
 * Happy path: the built-in defaults, then what the file with defaults says, the
 * toolstack, the guest's file, and --disk (monitor/disk_said.h); what has come
 * of it is checked once, here, and whoever opens the disk may rely on it.
 *
 * Failures: keys that exclude each other, or that are of no use where the disk
 * is served, and what is missing of a whole disk. What the top layer shows
 * alone is told before the others are known, when the program is started.
 */
#include "config/layers.h"

#include <stdio.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/engine.h"

enum { BLOCK_SIZE_DEFAULT = 512 }; /* of what has no store to ask */

static int contradiction(char error[BLOCK_ERROR_MAX], const char *what)
{
	snprintf(error, BLOCK_ERROR_MAX, "%s", what);
	return -EINVAL;
}

static bool is_null(const struct disk_options *disk)
{
	const struct block_engine_kind *kind =
		disk->engine ? block_engine_find(disk->engine) : NULL;

	return kind && kind->stores_nothing;
}

static int check_size(const struct disk_options *disk,
		      char error[BLOCK_ERROR_MAX])
{
	unsigned int block = disk->block_size ? disk->block_size :
						BLOCK_SIZE_DEFAULT;

	/* None, or one that was taken back. */
	if (!disk->size)
		return 0;
	if (disk->file)
		return contradiction(error,
				     "file= and size= exclude each "
				     "other: the size of a disk is that of "
				     "its image");
	if (!is_null(disk))
		return contradiction(error, "size= is for a disk with "
					    "engine=null, which keeps nothing; "
					    "another needs file=");
	if (disk->size % block == 0)
		return 0;
	snprintf(error, BLOCK_ERROR_MAX,
		 "size=%" PRIu64 ": the value has to be a multiple of "
		 "block-size=%u",
		 disk->size, block);
	return -EINVAL;
}

int layers_check_top(const struct disk_options *layer, enum disk_front front,
		     char error[BLOCK_ERROR_MAX])
{
	if (layer->legacy && layer->packed)
		return contradiction(error,
				     "legacy=on and packed=on exclude "
				     "each other: the legacy interface has "
				     "split virtqueues only");
	if (check_size(layer, error))
		return -EINVAL;
	return keys_check_front(layer, front, error);
}

/* ... and what is missing of a disk about which all is said. */
static int check_whole(const struct disk_options *disk, enum disk_front front,
		       char error[BLOCK_ERROR_MAX])
{
	int r = layers_check_top(disk, front, error);

	if (r || disk->file)
		return r;
	if (!is_null(disk))
		return contradiction(error, "file= is missing: name an image "
					    "file or a block device");
	if (!disk->size)
		return contradiction(error, "engine=null without file= needs "
					    "size=");
	return 0;
}

int layers_lay(struct disk_options *disk,
	       const struct disk_options *const *layers, unsigned int n,
	       enum disk_front front)
{
	int r;

	memset(disk, 0, sizeof(*disk));
	r = keys_set_defaults(disk, front);
	for (unsigned int i = 0; r == 0 && i < n; i++)
		if (layers[i])
			r = keys_merge(disk, layers[i]);
	return r;
}

int layers_origin(const struct disk_options *const *layers, unsigned int n,
		  enum disk_key key)
{
	int i = (int)n - 1;

	while (i >= 0 && (!layers[i] || !keys_is_given(layers[i], key)))
		i--;
	return i;
}

int layers_settle(struct disk_options *disk,
		  const struct disk_options *const *layers, unsigned int n,
		  enum disk_front front, char error[BLOCK_ERROR_MAX])
{
	int r = layers_lay(disk, layers, n, front);

	if (r)
		contradiction(error, "no memory for the keys of a disk");
	else
		r = check_whole(disk, front, error);
	if (r)
		keys_finish(disk);
	return r;
}
