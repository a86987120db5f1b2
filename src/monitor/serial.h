/* SPDX-License-Identifier: MIT */
/*
 * What the guest reads as a disk's serial, and knows it by in /dev/disk/by-id.
 */
#ifndef MONITOR_SERIAL_H
#define MONITOR_SERIAL_H

#include <stddef.h>
#include <sys/types.h>

#include "block/claim.h"
#include "config/keys.h"

enum { SERIAL_MAX = 21 }; /* bytes of a serial, with its NUL */

/*
 * The serial of a disk: what `options` say, or one that is derived from the
 * open image.
 */
void serial_of(char serial[SERIAL_MAX], const struct disk_options *options,
	       const struct block_claim *claim);

/*
 * What a block device is known by on this host, in words; `sys` has its folder
 * as MAJOR:MINOR (/sys/dev/block).
 */
void serial_device_words(char *words, size_t size, const char *sys,
			 dev_t device);

#endif
