/* SPDX-License-Identifier: MIT */
/*
 * From what is said of a disk in several places to the disk that is served.
 */
#ifndef CONFIG_LAYERS_H
#define CONFIG_LAYERS_H

#include "config/keys.h"

/*
 * Lay the built-in defaults and then each of `layers`, of which the last one
 * counts most and a NULL says nothing, over one another: a key that a layer
 * gives replaces what is below it, in either direction. Then check the whole:
 * 0, or a negative errno, a sentence in `error` and nothing in `disk`, which is
 * not read and keys_finish() frees.
 */
int layers_settle(struct disk_options *disk,
		  const struct disk_options *const *layers, unsigned int n,
		  enum disk_front front, char error[BLOCK_ERROR_MAX]);

/*
 * The same without looking at the whole, where not all of it is known. 0 or
 * -ENOMEM, and `disk` is to be finished in any case.
 */
int layers_lay(struct disk_options *disk,
	       const struct disk_options *const *layers, unsigned int n,
	       enum disk_front front);

/* The layer that has decided about a key, or -1: it was the default. */
int layers_origin(const struct disk_options *const *layers, unsigned int n,
		  enum disk_key key);

/*
 * Whether a layer over which no other lies contradicts itself: what settling
 * would find, before the layers below it are known. 0, or -EINVAL and a
 * sentence.
 */
int layers_check_top(const struct disk_options *layer, enum disk_front front,
		     char error[BLOCK_ERROR_MAX]);

#endif
