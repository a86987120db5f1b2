/* SPDX-License-Identifier: MIT */
/*
 * Checking configuration files; see config/check_config.h.
 *
 * Of each guest's file it is looked at as well whether it goes together with
 * the defaults. What the toolstack says of a disk is not asked.
 */
#include "config/check_config.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config_files.h"
#include "config/layers.h"

static const char defaults_file[] = CONFIG_DEFAULTS CONFIG_SUFFIX;
static const char suffix[] = CONFIG_SUFFIX;

enum { STATUS_RIGHT = 0, STATUS_UNREADABLE = 1, STATUS_WRONG = 2 };

struct checking {
	struct config_file defaults;
	unsigned int files; /* that there are */
	bool unreadable, wrong;
};

static void note(struct checking *c, int r)
{
	c->wrong |= r == -EINVAL;
	c->unreadable |= r && r != -EINVAL;
}

/* A disk of a guest over the defaults. */
static int check_together(const struct checking *c,
			  const struct config_file *file,
			  const struct config_disk *disk)
{
	struct disk_options all = { 0 };
	char error[BLOCK_ERROR_MAX] = "no memory";
	int r = 0;

	if (c->defaults.ndisks)
		r = keys_merge(&all, &c->defaults.disk[0].options);
	if (r == 0)
		r = keys_merge(&all, &disk->options);
	if (r == 0)
		r = layers_check_top(&all, DISK_FOR_XEN, error);
	if (r)
		log_error("%s:%u: together with %s: %s", file->path,
			  disk->section, c->defaults.path, error);
	keys_finish(&all);
	return r;
}

/* Each of them is told. */
static int check_all_together(const struct checking *c,
			      const struct config_file *file)
{
	int result = 0;

	for (unsigned int i = 0; i < file->ndisks; i++) {
		int r = check_together(c, file, &file->disk[i]);

		result = result ? result : r;
	}
	return result;
}

static void check_guest(struct checking *c, const char *path)
{
	struct config_file file;
	int r = config_file_read(&file, path, PLACE_GUEST);

	if (r == -ENOENT)
		log_error("%s: there is no such file", path);
	if (r == 0)
		r = check_all_together(c, &file);
	if (r == 0)
		printf("%s: right, %u disk%s\n", path, file.ndisks,
		       log_plural(file.ndisks));
	c->files++;
	note(c, r);
	config_file_finish(&file);
}

static void check_defaults(struct checking *c, const char *path)
{
	int r = config_file_read(&c->defaults, path, PLACE_DEFAULTS);

	if (r == -ENOENT)
		return;
	if (r == 0)
		printf("%s: right\n", path);
	c->files++;
	note(c, r);
}

static bool ends_with_suffix(const char *name)
{
	size_t n = strlen(name), bytes = sizeof(suffix) - 1;

	return n > bytes && !strcmp(name + n - bytes, suffix);
}

static void cut_suffix(char *name)
{
	name[strlen(name) - (sizeof(suffix) - 1)] = '\0';
}

static int is_of_a_guest(const struct dirent *entry)
{
	return *entry->d_name != '.' && ends_with_suffix(entry->d_name) &&
	       strcmp(entry->d_name, defaults_file) != 0;
}

/* DIR/NAME.conf, by one of the two above. */
static void check_named(struct checking *c, const char *dir, const char *name,
			void (*check)(struct checking *c, const char *path))
{
	char *path = config_files_path(dir, name);

	if (path) {
		check(c, path);
	} else {
		log_error("no memory to check %s of %s", name, dir);
		note(c, -ENOMEM);
	}
	free(path);
}

static void check_guests(struct checking *c, const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_of_a_guest, alphasort);

	if (n < 0 && errno == ENOENT)
		return;
	if (n < 0) {
		log_error("%s: %s", dir, strerror(errno));
		note(c, -errno);
		return;
	}
	for (int i = 0; i < n; i++) {
		cut_suffix(names[i]->d_name);
		check_named(c, dir, names[i]->d_name, check_guest);
		free(names[i]);
	}
	free(names);
}

static void check_dir(struct checking *c, const char *dir, const char *guest)
{
	check_named(c, dir, CONFIG_DEFAULTS, check_defaults);
	if (!guest) {
		check_guests(c, dir);
	} else if (config_files_can_name(guest)) {
		check_named(c, dir, guest, check_guest);
	} else {
		log_error("--check-config=%s: no file is called like that: "
			  "name the guest, or the file with --config",
			  guest);
		note(c, -EINVAL);
	}
	if (!c->files && !c->unreadable && !c->wrong)
		printf("%s: there is no configuration\n", dir);
}

static bool is_defaults(const char *path)
{
	const char *name = strrchr(path, '/');

	return !strcmp(name ? name + 1 : path, defaults_file);
}

int check_config(const char *where, const char *guest)
{
	struct checking c = { .files = 0 };
	int is_dir = where ? config_files_is_directory(where) : 1;

	if (is_dir < 0)
		return STATUS_UNREADABLE;
	if (is_dir)
		check_dir(&c, where ? where : CONFIG_DIR, guest);
	else if (is_defaults(where))
		check_defaults(&c, where);
	else
		check_guest(&c, where);
	config_file_finish(&c.defaults);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("cannot write to standard output: %s",
			  strerror(errno));
		c.unreadable = true;
	}
	if (c.wrong)
		return STATUS_WRONG;
	return c.unreadable ? STATUS_UNREADABLE : STATUS_RIGHT;
}
