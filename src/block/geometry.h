/* SPDX-License-Identifier: MIT */
/*
 * Size and block sizes of an image.
 */
#ifndef BLOCK_GEOMETRY_H
#define BLOCK_GEOMETRY_H

#include "block/claim.h"

/*
 * Fill in size, block sizes and hints of `claim`, whose fd (or -1)
 * and is_block_device are set. `sector` gets a device's logical block size, 0
 * for a file. Returns 0, or a negative errno with the reason in `error`.
 */
int block_geometry(struct block_claim *claim,
		   const struct block_image_options *options,
		   unsigned int *sector, char error[BLOCK_ERROR_MAX]);

/* As block_claim_look(). */
bool block_geometry_look(struct block_claim *claim);

#endif
