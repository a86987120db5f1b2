/* SPDX-License-Identifier: MIT */
/*
 * What a store can do with ranges, and whether it takes writes anywhere.
 */
#ifndef BLOCK_ABILITY_H
#define BLOCK_ABILITY_H

#include "block/claim.h"

/*
 * Fill in discard_granularity and can_secure_erase of `claim`, whose geometry
 * is known. Returns 0, or a negative errno with the reason in `error` for a
 * store that cannot be a disk.
 */
int block_ability(struct block_claim *claim, const char *file,
		  char error[BLOCK_ERROR_MAX]);

#endif
