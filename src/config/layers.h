/* SPDX-License-Identifier: MIT */
/*
 * From what is said of a disk in several places to the disk that is served.
 */
#ifndef CONFIG_LAYERS_H
#define CONFIG_LAYERS_H

#include "config/keys.h"

/*
 * Lay the defaults and then each of `layers`, of which the last one counts
 * most, over one another: a key that a layer gives replaces what is below it,
 * in either direction. Then check the whole: 0, or a negative errno, a sentence
 * in `error` and nothing in `disk`, which is not read and keys_finish() frees.
 */
int layers_settle(struct disk_options *disk,
		  const struct disk_options *const *layers, unsigned int n,
		  enum disk_front front, char error[BLOCK_ERROR_MAX]);

/*
 * Whether a layer over which no other lies contradicts itself: what settling
 * would find, before the layers below it are known. 0, or -EINVAL and a
 * sentence.
 */
int layers_check_top(const struct disk_options *layer, enum disk_front front,
		     char error[BLOCK_ERROR_MAX]);

#endif
