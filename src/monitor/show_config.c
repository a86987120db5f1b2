/* SPDX-License-Identifier: MIT */
/*
 * Showing what would be served; see monitor/show_config.h.
 *
 * Happy path: the guest's disks are those that the toolstack has in xenstore;
 * of each the layers are found and laid over one another as for serving it
 * (disk_said.h), and each key is printed with the layer that counts. Then
 * follow those of which only a file or --disk speaks.
 *
 * Failures: without xenstore, or without the guest, there are only the latter:
 * the first lines say so. A disk that would be refused is shown with the
 * reason.
 */
#include "monitor/show_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/key_text.h"
#include "config/layers.h"
#include "monitor/disk_said.h"
#include "toolstack/domain.h"
#include "xen/logger.h"

enum { COLUMN = 35 }; /* where the names of those begin who have said it */

struct show {
	const struct options *options;
	const struct config_file *file; /* of the guest */
	struct config_files late_files; /* ... one that is named by its id */
	struct loop loop;
	struct store store;
	struct domain domain;
	/* Of which the toolstack has a disk. */
	bool shown_section[DISKS_MAX], shown_line[DISKS_MAX];
	int status;
};

/* One disk, with what is known of it. */
struct shown {
	struct said_layers layers;
	const char *path; /* in xenstore; or NULL */
	struct disk_options whole;
};

static const char *const nodes[KEYS] = {
	[KEY_FILE] = "params",
	[KEY_ID] = "dev",
	[KEY_READONLY] = "mode",
	[KEY_DISCARD] = "discard-enable",
};

/* ---- a disk ---- */

static void put_origin(const struct show *s, const struct shown *d,
		       enum disk_key key)
{
	const struct config_file *defaults = &s->options->files.defaults;

	switch (layers_origin(d->layers.by, SAID_BYS, key)) {
	case SAID_BY_DEFAULTS:
		printf("%s:%u", defaults->path, defaults->disk[0].line[key]);
		break;
	case SAID_BY_TOOLSTACK:
		printf("%s/%s", d->path, nodes[key]);
		break;
	case SAID_BY_GUEST:
		printf("%s:%u", s->file->path, d->layers.section->line[key]);
		break;
	case SAID_BY_LINE:
		printf("--disk");
		break;
	default:
		printf("default");
	}
}

static void put_value(const struct shown *d, enum disk_key key)
{
	int n = printf("%s = ", keys_name(key));

	n += key_text_value(stdout, &d->whole, key);
	printf("%*s ; ", n < COLUMN ? COLUMN - n : 0, "");
}

static bool is_empty(const struct disk_options *o, enum disk_key key)
{
	return (key == KEY_SERIAL && !o->serial) ||
	       (key == KEY_BLOCK_SIZE && !o->block_size);
}

/* As a line of a file, so that it can be copied. */
static void put_key(const struct show *s, const struct shown *d,
		    enum disk_key key)
{
	const char *otherwise = key_text_otherwise(key, DISK_FOR_XEN);

	if (key == KEY_ID)
		return;
	if (!keys_is_given(&d->whole, key)) {
		if (otherwise)
			printf("; %s: default, %s\n", keys_name(key),
			       otherwise);
		return;
	}
	put_value(d, key);
	put_origin(s, d, key);
	if (otherwise && is_empty(&d->whole, key))
		printf(": %s", otherwise);
	putchar('\n');
}

static void put_disk(const struct show *s, const struct shown *d,
		     const char *name)
{
	printf("\n[disk %s]\n", name);
	if (d->path)
		printf("; %s\n", d->path);
	for (enum disk_key key = 0; key < KEYS; key++)
		put_key(s, d, key);
	if (d->layers.stays_readonly)
		printf("; %s:%u: readonly=off does not count, for the "
		       "toolstack says read-only\n",
		       s->file->path, d->layers.section->line[KEY_READONLY]);
}

static void lay_and_put(struct show *s, struct shown *d, const char *name)
{
	if (layers_lay(&d->whole, d->layers.by, SAID_BYS, DISK_FOR_XEN) == 0) {
		put_disk(s, d, name);
		return;
	}
	log_error("no memory to show disk %s", name);
	s->status = 1;
}

static void put_refused(struct show *s, const char *why)
{
	printf("; it would be refused: %s\n", why);
	s->status = 1;
}

/* ---- disks of the toolstack ---- */

/* What need not be shown once more. */
static void note_shown(struct show *s, const struct disk_said *said)
{
	for (unsigned int i = 0; i < s->file->ndisks; i++)
		if (disk_said_is_about(said, &s->file->disk[i].options))
			s->shown_section[i] = true;
	for (unsigned int i = 0; i < s->options->ndisks; i++)
		if (disk_said_is_about(said, &s->options->disk[i]))
			s->shown_line[i] = true;
}

static void show_said(struct show *s, const struct disk_said *said)
{
	char error[BLOCK_ERROR_MAX] = "no memory";
	const char *vdev = said->backend->options.id;
	struct shown d = { .path = said->path };
	struct disk_options checked;
	char devid[24];
	int r = disk_said_layers(said, &d.layers, error);

	snprintf(devid, sizeof(devid), "%" PRIu64, said->devid);
	note_shown(s, said);
	lay_and_put(s, &d, vdev ? vdev : devid);
	if (r == 0) {
		r = layers_settle(&checked, d.layers.by, SAID_BYS, DISK_FOR_XEN,
				  error);
		keys_finish(&checked);
	}
	if (r)
		put_refused(s, error);
	keys_finish(&d.whole);
}

static void show_directory(struct show *s, uint64_t devid)
{
	char path[BACKEND_PATH_MAX];
	struct backend backend = { 0 };
	const struct disk_said said = {
		.devid = devid,
		.path = path,
		.backend = &backend,
		.defaults = &s->options->files.defaults,
		.file = s->file,
		.overrides = s->options->disk,
		.noverrides = s->options->ndisks,
	};
	int r;

	backend_path(path, s->domain.id, devid);
	r = backend_read(&backend, &s->store, path);
	if (r == 0) {
		show_said(s, &said);
	} else {
		log_error("cannot read %s in xenstore: %s", path, strerror(-r));
		s->status = 1;
	}
	backend_finish(&backend);
}

/* One that nobody names is another back end's. */
static void show_generic(struct show *s, uint64_t devid)
{
	char path[BACKEND_PATH_MAX];
	int is_disk;

	backend_path(path, s->domain.id, devid);
	is_disk = backend_is_disk(&s->store, path);
	if (is_disk > 0 && disk_said_names_generic(s->file, s->options->disk,
						   s->options->ndisks, devid))
		show_directory(s, devid);
	else if (is_disk > 0)
		printf("\n; %s is left to others: no [disk virtio%u] names it"
		       "\n",
		       path, (unsigned int)(devid - BACKEND_GENERIC));
}

static void show_directories(struct show *s, bool generic)
{
	char path[BACKEND_PATH_MAX];
	unsigned int n;
	char **names;
	int r;

	backend_parent(path, s->domain.id, generic);
	r = store_list(&s->store, &names, &n, "%s", path);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t devid;

		if (!backend_devid(&devid, names[i], generic))
			continue;
		if (generic)
			show_generic(s, devid);
		else
			show_directory(s, devid);
	}
	free(names);
	if (r == 0 || r == -ENOENT)
		return;
	log_error("cannot read %s in xenstore: %s", path, strerror(-r));
	s->status = 1;
}

/* ---- disks of which the toolstack knows nothing ---- */

static const struct disk_options *line_of(struct show *s, const char *id)
{
	for (unsigned int i = 0; i < s->options->ndisks; i++)
		if (!strcmp(s->options->disk[i].id, id)) {
			s->shown_line[i] = true;
			return &s->options->disk[i];
		}
	return NULL;
}

static void show_alone(struct show *s, const struct config_disk *section,
		       const struct disk_options *line, const char *id)
{
	const struct config_file *defaults = &s->options->files.defaults;
	struct shown d = { .layers.section = section };
	char error[BLOCK_ERROR_MAX];

	if (defaults->ndisks)
		d.layers.by[SAID_BY_DEFAULTS] = &defaults->disk[0].options;
	if (section)
		d.layers.by[SAID_BY_GUEST] = &section->options;
	d.layers.by[SAID_BY_LINE] = line;
	lay_and_put(s, &d, id);
	printf("; the toolstack says nothing of it%s\n",
	       s->domain.id == NO_DOMAIN ? " yet" : ", so it is not served");
	/* Whatever that will say of it. */
	if (s->domain.id == NO_DOMAIN &&
	    layers_check_top(&d.whole, DISK_FOR_XEN, error))
		put_refused(s, error);
	keys_finish(&d.whole);
}

static void show_others(struct show *s)
{
	for (unsigned int i = 0; i < s->file->ndisks; i++) {
		const struct config_disk *section = &s->file->disk[i];

		if (!s->shown_section[i])
			show_alone(s, section, line_of(s, section->options.id),
				   section->options.id);
	}
	for (unsigned int i = 0; i < s->options->ndisks; i++)
		if (!s->shown_line[i])
			show_alone(s, NULL, &s->options->disk[i],
				   s->options->disk[i].id);
}

/* ---- the whole ---- */

/* Of one that is named by its id the name is known now. */
static int read_late_files(struct show *s)
{
	const struct options *o = s->options;

	if (o->files.guest_is_read || !s->domain.name)
		return 0;
	s->file = &s->late_files.guest;
	return config_files_read_guest(&s->late_files, o->config,
				       s->domain.name);
}

static void put_file(const struct config_file *file, const char *what)
{
	if (file->path)
		printf("; %s: %s\n", what, file->path);
}

static void show_all(struct show *s)
{
	put_file(&s->options->files.defaults, "defaults of all disks");
	put_file(s->file, "file of the guest");
	if (s->domain.id != NO_DOMAIN) {
		show_directories(s, false);
		show_directories(s, true);
	}
	show_others(s);
}

static void look_in_xenstore(struct show *s)
{
	const char *wanted = s->options->domain;
	int r = store_open(&s->store, &s->loop);

	domain_init(&s->domain, &s->store, wanted);
	if (r) {
		printf("; guest %s: xenstore cannot be asked (%s): what the "
		       "toolstack says is not known\n",
		       wanted, strerror(-r));
		return;
	}
	s->domain.ctl = xen_domctl_open(xen_logger());
	if (domain_find(&s->domain))
		printf("; guest %s: domain %d\n", s->domain.name, s->domain.id);
	else
		printf("; guest %s is not there: what the toolstack will say "
		       "is not known\n",
		       wanted);
}

static void changed(struct store *store)
{
	(void)store;
}

int show_config(const struct options *options)
{
	struct show *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		log_error("no memory");
		return 1;
	}
	s->options = options;
	s->file = &options->files.guest;
	s->store.changed = changed;
	r = loop_init(&s->loop);
	if (r == 0) {
		look_in_xenstore(s);
		r = read_late_files(s);
	}
	if (r == 0)
		show_all(s);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("cannot write to standard output: %s",
			  strerror(errno));
		r = -EIO;
	}
	if (r == 0)
		r = s->status;
	domain_finish(&s->domain);
	store_close(&s->store);
	loop_finish(&s->loop);
	config_files_finish(&s->late_files);
	free(s);
	return r ? 1 : 0;
}
