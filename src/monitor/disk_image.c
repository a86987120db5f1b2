/* SPDX-License-Identifier: MIT */
/*
 * Opening the image of a disk; see monitor/disk_image.h.
 */
#include "monitor/disk_image.h"

#include <errno.h>
#include <stdio.h>

/* discard=on is a promise; auto is what can be had. */
static int check_discard(const struct block_image *image,
			 const struct disk_options *options,
			 char error[BLOCK_ERROR_MAX])
{
	if (options->discard != DISK_DISCARD_ON || image->discard_granularity)
		return 0;
	snprintf(error, BLOCK_ERROR_MAX,
		 "%s: cannot discard%s: use discard=auto",
		 options->file ? options->file : "null image",
		 image->readonly ? ", it is read-only" : "");
	return -EOPNOTSUPP;
}

int disk_image_open(struct block_image *image,
		    const struct disk_options *options,
		    const struct block_user *user, char error[BLOCK_ERROR_MAX])
{
	const struct block_image_options wanted = {
		.file = options->file,
		.size = options->size,
		.readonly = options->readonly,
		.lends = options->lends,
		.user = user ? *user : (struct block_user){ 0 },
		.cache = options->cache,
		.block_size = options->block_size,
	};
	int r;

	*image = (struct block_image){ .fd = -1, .exclusive_fd = -1 };
	r = block_image_open(image, &wanted, error);
	if (r)
		return r;
	r = check_discard(image, options, error);
	if (r)
		block_image_close(image);
	return r;
}
