/* SPDX-License-Identifier: MIT */
/*
 * The lock of an image's file, which other instances and QEMU respect.
 */
#ifndef BLOCK_LOCK_H
#define BLOCK_LOCK_H

#include <stdbool.h>

#include "block/image.h"

enum block_lock_mode {
	BLOCK_LOCK_READ,  /* beside other readers */
	BLOCK_LOCK_WRITE, /* alone */
	BLOCK_LOCK_LENT,  /* alone, until nobody needs it here */
};

/*
 * Lock the file that `fd` has open. Returns 0, -EAGAIN when it is in use, or
 * another negative errno when it cannot be locked; with a sentence in `error`.
 * `user` says whether one that is in use is waited for.
 */
int block_lock_take(int fd, const char *file, enum block_lock_mode mode,
		    const struct block_user *user, char error[BLOCK_ERROR_MAX]);

/* Whether who has it now took it with BLOCK_LOCK_LENT. */
bool block_lock_is_lent(int fd);

void block_lock_release(int fd);

#endif
