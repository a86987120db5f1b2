/* SPDX-License-Identifier: MIT */
/*
 * The configuration files of a guest; see config/config_files.h.
 *
 * Failures: a file that is not there says nothing, but a place that somebody
 * has named has to be there. A guest whose name is none of a file has none.
 */
#include "config/config_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"

static int no_memory(void)
{
	log_error("no memory for the configuration");
	return -ENOMEM;
}

bool config_files_can_name(const char *guest)
{
	return *guest && *guest != '.' && !strchr(guest, '/') &&
	       strcmp(guest, CONFIG_DEFAULTS) != 0;
}

char *config_files_path(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s" CONFIG_SUFFIX, dir, name) < 0 ? NULL :
								       path;
}

int config_files_is_directory(const char *where)
{
	struct stat st;
	int r;

	if (stat(where, &st) == 0)
		return S_ISDIR(st.st_mode);
	r = -errno;
	log_error("--config=%s: %s: a directory or a guest's file is needed",
		  where, strerror(-r));
	return r;
}

/* Of a directory: 0 also where there is no such file. */
static int read_one(struct config_file *file, const char *dir, const char *name,
		    enum key_place place)
{
	char *path = config_files_path(dir, name);
	int r = path ? config_file_read(file, path, place) : no_memory();

	free(path);
	return r == -ENOENT ? 0 : r;
}

/* The one that is named, whatever the guest is called. */
static int read_named(struct config_files *files, const char *path)
{
	int r = config_file_read(&files->guest, path, PLACE_GUEST);

	files->guest_is_read = true;
	if (r == -ENOENT)
		log_error("--config=%s: there is no such file", path);
	return r;
}

int config_files_read_guest(struct config_files *files, const char *where,
			    const char *guest)
{
	if (files->guest_is_read)
		return 0;
	files->guest_is_read = true;
	if (!config_files_can_name(guest)) {
		log_debug("%s: there is no file of that name", guest);
		return 0;
	}
	return read_one(&files->guest, where ? where : CONFIG_DIR, guest,
			PLACE_GUEST);
}

int config_files_read(struct config_files *files, const char *where,
		      const char *guest)
{
	int r = where ? config_files_is_directory(where) : 1;

	memset(files, 0, sizeof(*files));
	if (r < 0)
		return r;
	if (r == 0)
		return read_named(files, where);
	r = read_one(&files->defaults, where ? where : CONFIG_DIR,
		     CONFIG_DEFAULTS, PLACE_DEFAULTS);
	/* Both are looked at, so that all faults are told. */
	if (guest && (r == 0 || r == -EINVAL)) {
		int r_guest = config_files_read_guest(files, where, guest);

		r = r ? r : r_guest;
	}
	return r;
}

void config_files_finish(struct config_files *files)
{
	config_file_finish(&files->defaults);
	config_file_finish(&files->guest);
	files->guest_is_read = false;
}
