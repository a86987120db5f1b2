/* SPDX-License-Identifier: MIT */
/* Block devices for tests, where the machine allows them. */
#ifndef BLOCK_LOOP_H
#define BLOCK_LOOP_H

#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "lib/block_harness.h"

/* Attach `name` to a free loop device; skips where that is not allowed. */
int attach_loop(const char *name, char *device, size_t size,
		unsigned int block_size);

#endif
