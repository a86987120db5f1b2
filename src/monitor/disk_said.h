/* SPDX-License-Identifier: MIT */
/*
 * What is said of a Xen guest's disk, by whom: layers, of which the later one
 * counts.
 */
#ifndef MONITOR_DISK_SAID_H
#define MONITOR_DISK_SAID_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config_file.h"
#include "toolstack/backend.h"

/* From who counts least to who counts most. */
enum said_by {
	SAID_BY_DEFAULTS, /* the file virtio-disk.conf */
	SAID_BY_TOOLSTACK,
	SAID_BY_GUEST, /* the guest's file */
	SAID_BY_LINE,  /* --disk */
	SAID_BYS,
};

struct disk_said {
	uint64_t devid;
	const char *path; /* of the directory in xenstore */
	const struct backend *backend;
	const struct config_file *defaults;   /* may be NULL */
	const struct config_file *file;       /* the guest's; may be NULL */
	const struct disk_options *overrides; /* of the command line */
	unsigned int noverrides;
};

/* Who says what of one disk; for layers_settle(). It points at itself. */
struct said_layers {
	const struct disk_options *by[SAID_BYS]; /* NULL: nothing */
	const struct config_disk *section;       /* of the guest's file */
	/* Its readonly=off does not count: it is the toolstack's to say. */
	bool stays_readonly;
	struct disk_options file, line; /* without what only names the disk */
};

/* Whether what has an id is about this disk. */
bool disk_said_is_about(const struct disk_said *said,
			const struct disk_options *o);

/*
 * Whether a section or a --disk names the generic device of that devid; 0: any
 * one (toolstack/backend.h).
 */
bool disk_said_names_generic(const struct config_file *file,
			     const struct disk_options *overrides,
			     unsigned int noverrides, uint64_t devid);

/* Find them: 0, or -EINVAL and a sentence. Nothing of it is owned. */
int disk_said_layers(const struct disk_said *said, struct said_layers *layers,
		     char error[BLOCK_ERROR_MAX]);

/*
 * All together: 0, or a negative errno and a sentence. `options` is to be
 * finished in any case.
 */
int disk_said_settle(const struct disk_said *said, struct disk_options *options,
		     char error[BLOCK_ERROR_MAX]);

/* Log what somebody has said in vain of the disk, which is called `name`. */
void disk_said_warn(const struct disk_said *said, const char *name);

#endif
