/* SPDX-License-Identifier: MIT */
/*
 * An image with its claim, opened and closed together, for tests that are not
 * about the two.
 */
#ifndef BLOCK_WHOLE_H
#define BLOCK_WHOLE_H

#include "block/claim.h"
#include "block/image.h"

enum { WHOLE_MAX = 64 };

/*
 * Claim an image and open a part of it: 0, or a negative errno as one of the
 * two says; nothing is open then.
 */
int whole_open(struct block_image *image,
	       const struct block_image_options *options,
	       char error[BLOCK_ERROR_MAX]);

/* As whole_open(), of a claim that whole_close() closes, also where it fails */
int whole_open_claimed(struct block_image *image, struct block_claim *claim,
		       char error[BLOCK_ERROR_MAX]);

/* Of an image that was opened here. */
struct block_claim *whole_claim(const struct block_image *image);

/* Also one that is not open. */
void whole_close(struct block_image *image);

/* A process was killed: the kernel closes what it had, nothing else is done. */
void whole_kill(const struct block_image *image);

/* As the two halves do it one after the other; see block/claim.h. */
int whole_lock(struct block_image *image, char error[BLOCK_ERROR_MAX]);
void whole_unlock(struct block_image *image);

#endif
