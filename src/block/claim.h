/* SPDX-License-Identifier: MIT */
/*
 * Open a file or block device as a disk's store, and lock others out.
 */
#ifndef BLOCK_CLAIM_H
#define BLOCK_CLAIM_H

#include "block/image.h"

/*
 * Open `file` for `image`, whose `readonly` and `lends` are set and whose other
 * members are of one that is not open, and lock it. Returns 0, or a negative
 * errno with the reason in `error`; block_image_close() closes. An image that
 * lends, and that is only lent to another process now, is not locked then; it
 * has the reason in `error` as well.
 */
int block_claim(struct block_image *image, const char *file,
		char error[BLOCK_ERROR_MAX]);

/* Lock an open image: 0, or a negative errno with the reason in `error`. */
int block_claim_lock(struct block_image *image, const char *file,
		     char error[BLOCK_ERROR_MAX]);
void block_claim_unlock(struct block_image *image);

#endif
