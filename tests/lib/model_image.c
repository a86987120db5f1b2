/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_image.h"

int model_image_open(struct block_image *image,
		     const struct disk_options *options,
		     char error[BLOCK_ERROR_MAX])
{
	struct block_claim claim;
	int r = disk_image_claim(&claim, options, NULL, error);

	*image = (struct block_image){ .fd = -1 };
	return r ? r : whole_open_claimed(image, &claim, error);
}

int model_disk_open(struct disk *disk, struct block_image *image,
		    const struct disk_options *options,
		    struct guest_memory *mem, char error[BLOCK_ERROR_MAX])
{
	int r = model_image_open(image, options, error);

	if (r)
		return r;
	r = disk_open(disk, "test", image, options, mem, error);
	if (r)
		whole_close(image);
	return r;
}

void model_disk_close(struct disk *disk)
{
	struct block_image *image = disk->image;

	disk_close(disk);
	whole_close(image);
}
