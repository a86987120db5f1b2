/* SPDX-License-Identifier: MIT */
/*
 * The keys of a disk: one table gives their parser, their help and their dump.
 *
 * What is said of a disk comes in layers: files, the toolstack, --disk. Each is
 * a struct disk_options of its own, whose `given` says which keys it is about;
 * config/layers.h lays one over the other.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stdbool.h>

#include "block/part.h"
#include "config/disk_options.h"

/*
 * Set one key, which must not have been given: 0, or -EINVAL and a sentence in
 * `error` that names the key, the value and what is allowed; or -ENOMEM and a
 * sentence, which is no fault of what was said.
 */
int keys_set(struct disk_options *disk, enum key_place place, const char *key,
	     const char *value, char error[BLOCK_ERROR_MAX]);

/*
 * Parse "KEY=VALUE,..." of --disk; a comma in a value is written twice. As
 * keys_set(); also for one that has failed there is keys_finish().
 */
int keys_parse(struct disk_options *disk, const char *text,
	       char error[BLOCK_ERROR_MAX]);

/* Each key that `from` gives becomes that of `to`: 0 or -ENOMEM. */
int keys_merge(struct disk_options *to, const struct disk_options *from);

/* Give the default of each key that has one there: 0 or -ENOMEM. */
int keys_set_defaults(struct disk_options *disk, enum disk_front front);

/*
 * Whether all that is given is of use over `front`, or asks for nothing: as
 * keys_set().
 */
int keys_check_front(const struct disk_options *disk, enum disk_front front,
		     char error[BLOCK_ERROR_MAX]);

const char *keys_name(enum disk_key key);

/* The key of that name; KEYS: there is none. */
enum disk_key keys_find(const char *name);

void keys_finish(struct disk_options *disk);

#endif
