/* SPDX-License-Identifier: MIT */
/*
 * Open a file or block device as a disk's store, and lock others out.
 */
#ifndef BLOCK_CLAIM_H
#define BLOCK_CLAIM_H

#include <stdbool.h>

#include "block/image.h"

/*
 * Returns the descriptor, or a negative errno with the reason in `error`.
 * `is_block_device` is set on success. Closing the descriptor unlocks.
 */
int block_claim(const char *file, bool readonly, bool *is_block_device,
		char error[BLOCK_ERROR_MAX]);

#endif
