/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_image.h"

int model_disk_open(struct disk *disk, struct block_image *image,
		    const struct disk_options *options,
		    struct guest_memory *mem, char error[BLOCK_ERROR_MAX])
{
	int r = disk_image_open(image, options, NULL, error);

	if (r)
		return r;
	r = disk_open(disk, "test", image, options, mem, error);
	if (r)
		block_image_close(image);
	return r;
}

void model_disk_close(struct disk *disk)
{
	struct block_image *image = disk->image;

	disk_close(disk);
	block_image_close(image);
}
