/* SPDX-License-Identifier: MIT */
/*
 * A configuration file: what it says of disks, and in which lines.
 */
#ifndef CONFIG_CONFIG_FILE_H
#define CONFIG_CONFIG_FILE_H

#include "config/keys.h"

/* One section. */
struct config_disk {
	struct disk_options options; /* with the `id` that its section names */
	unsigned int section;        /* line that it begins in, from 1 */
	unsigned int line[KEYS];     /* of each key that is given */
};

/* A zeroed one says nothing, and may be finished. */
struct config_file {
	char *path; /* as it was opened; NULL: there is none; owned */
	struct config_disk disk[DISKS_MAX];
	unsigned int ndisks; /* of the defaults 1 at most, without `id` */
};

/*
 * Read it as one that has the defaults, or is a guest's. 0; -ENOENT: there is
 * none, and nothing is logged; -EINVAL: each fault is logged, with the line and
 * what to do; another negative errno: it cannot be read, which is logged. To be
 * finished in any case.
 */
int config_file_read(struct config_file *file, const char *path,
		     enum key_place place);

void config_file_finish(struct config_file *file);

#endif
