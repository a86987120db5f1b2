/* SPDX-License-Identifier: MIT */
/*
 * A disk with an image of its own, opened and closed together, for tests that
 * are about either.
 */
#ifndef MODEL_IMAGE_H
#define MODEL_IMAGE_H

#include "disk/disk.h"
#include "lib/block_whole.h"
#include "monitor/disk_image.h"

/* As disk_image_claim() and disk_image_open(); whole_close() closes. */
int model_image_open(struct block_image *image,
		     const struct disk_options *options,
		     char error[BLOCK_ERROR_MAX]);

/* As model_image_open() and disk_open(); nothing is open where that fails. */
int model_disk_open(struct disk *disk, struct block_image *image,
		    const struct disk_options *options,
		    struct guest_memory *mem, char error[BLOCK_ERROR_MAX]);

void model_disk_close(struct disk *disk);

#endif
