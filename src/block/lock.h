/* SPDX-License-Identifier: MIT */
/*
 * The lock of an image's file, which other instances and QEMU respect.
 */
#ifndef BLOCK_LOCK_H
#define BLOCK_LOCK_H

#include <stdbool.h>

#include "block/claim.h"

enum block_lock_mode {
	BLOCK_LOCK_READ,  /* beside other readers */
	BLOCK_LOCK_WRITE, /* alone */
	BLOCK_LOCK_LENT,  /* alone, until nobody needs it here */
};

/* How an image is locked. */
static inline enum block_lock_mode
block_lock_mode(const struct block_facts *facts)
{
	return facts->readonly ? BLOCK_LOCK_READ :
	       facts->lends    ? BLOCK_LOCK_LENT :
				 BLOCK_LOCK_WRITE;
}

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

/*
 * Whether another description than `fd`, which is a claim's, is locked by the
 * below so that a part of this claim is not to be made yet.
 */
bool block_lock_part_is_held(int fd, enum block_lock_mode mode, uint64_t claim);

/*
 * Lock the descriptions of a worker, `sync_fd` -1 for none: 0, -EBUSY as above,
 * or another negative errno. Two numbers are for a reader, of which there are
 * many: that of its claim, and whom it reads for, or 0.
 */
int block_lock_take_part(int fd, int sync_fd, enum block_lock_mode mode,
			 uint64_t claim, uint64_t owner);

#endif
