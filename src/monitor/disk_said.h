/* SPDX-License-Identifier: MIT */
/*
 * What is said of a Xen guest's disk, by its directory in xenstore and by the
 * --disk options of the command line.
 */
#ifndef MONITOR_DISK_SAID_H
#define MONITOR_DISK_SAID_H

#include <stdint.h>

#include "config/keys.h"
#include "toolstack/backend.h"

struct disk_said {
	uint64_t devid;
	const char *path; /* of the directory */
	const struct backend *backend;
	const struct disk_options *overrides; /* of the command line */
	unsigned int noverrides;
};

/*
 * Both together: 0, or a negative errno and a sentence. `options` is to be
 * finished in any case.
 */
int disk_said_settle(const struct disk_said *said, struct disk_options *options,
		     char error[BLOCK_ERROR_MAX]);

#endif
