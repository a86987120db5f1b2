/* SPDX-License-Identifier: MIT */
/* Opening the image of a disk, as its options want it. */
#ifndef MONITOR_DISK_IMAGE_H
#define MONITOR_DISK_IMAGE_H

#include "block/image.h"
#include "config/keys.h"

/*
 * Open the image of a disk: 0, or a negative errno and a sentence in `error`,
 * and nothing is open (image->fd is -1). `user` may be NULL.
 */
int disk_image_open(struct block_image *image,
		    const struct disk_options *options,
		    const struct block_user *user, char error[BLOCK_ERROR_MAX]);

#endif
