/* SPDX-License-Identifier: MIT */
/*
 * The configuration files of a guest: the defaults of all disks, and its own.
 */
#ifndef CONFIG_CONFIG_FILES_H
#define CONFIG_CONFIG_FILES_H

#include <stdbool.h>

#include "config/config_file.h"

/* Where they are if nobody says another place. */
#define CONFIG_DIR "/etc/virtio-disk"
/* What is said of all guests, and what each of the files ends with. */
#define CONFIG_DEFAULTS "virtio-disk"
#define CONFIG_SUFFIX ".conf"

/* A zeroed one says nothing, and may be finished. */
struct config_files {
	struct config_file defaults; /* DIR/virtio-disk.conf */
	struct config_file guest;    /* DIR/GUEST.conf, or one that is named */
	bool guest_is_read;          /* also where there is none */
};

/*
 * Read them once, so that what holds is what was there at the start. `where`:
 * the directory, or the guest's file, besides which there are no defaults;
 * NULL: CONFIG_DIR, which need not be there. `guest`: its name; NULL: it is not
 * known yet. 0 or a negative errno, as config_file_read() says, but that
 * -ENOENT is logged. To be finished in any case.
 */
int config_files_read(struct config_files *files, const char *where,
		      const char *guest);

/* ... and the guest's, as soon as its name is known. */
int config_files_read_guest(struct config_files *files, const char *where,
			    const char *guest);

void config_files_finish(struct config_files *files);

/* Whether a name can be that of a file: "GUEST.conf", and not the defaults'. */
bool config_files_can_name(const char *guest);

/* DIR/NAME.conf, to be freed; NULL: no memory. */
char *config_files_path(const char *dir, const char *name);

/* 1 for a directory, 0 for anything else; a negative errno, logged. */
int config_files_is_directory(const char *where);

#endif
