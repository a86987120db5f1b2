/* SPDX-License-Identifier: MIT */
/* Claiming the image of a disk, as its options want it. */
#ifndef MONITOR_DISK_IMAGE_H
#define MONITOR_DISK_IMAGE_H

#include "block/claim.h"
#include "config/keys.h"

/*
 * Claim the image of a disk: 0, or a negative errno and a sentence in `error`,
 * and nothing is open (claim->fd is -1). `user` may be NULL.
 */
int disk_image_claim(struct block_claim *claim,
		     const struct disk_options *options,
		     const struct block_user *user,
		     char error[BLOCK_ERROR_MAX]);

/*
 * A number that no other disk has, of this guest or another one, for struct
 * block_user. Or 0, where `vm` (NULL) does not tell guests apart.
 */
uint64_t disk_image_owner(const char *vm, uint64_t devid);

#endif
