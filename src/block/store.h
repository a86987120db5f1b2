/* SPDX-License-Identifier: MIT */
/*
 * Opening a file or block device as a disk's store.
 */
#ifndef BLOCK_STORE_H
#define BLOCK_STORE_H

#include <stdbool.h>

#include "block/part.h"

/* A descriptor, or a negative errno with the reason in `error`. */
int block_store_open(const char *file, bool readonly, bool *is_block_device,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Open what `fd`, of `file`, has open once more. A descriptor, or a negative
 * errno: -ESTALE where `file` is all that there is, and another one by now.
 */
int block_store_open_again(int fd, const char *file, bool readonly);

/*
 * Claim the block device that `fd`, of `file`, has open: a descriptor, or a
 * negative errno. `waits`: one that is in use is asked for again.
 */
int block_store_open_exclusive(int fd, const char *file, bool waits);

/* Whether two descriptors are of the same file, or node of a device. */
bool block_store_is_same(int a, int b);

/* Why could `file` not be looked at or opened? Returns `rc`. */
int block_store_explain(const char *file, bool readonly, int rc,
			char error[BLOCK_ERROR_MAX]);

#endif
