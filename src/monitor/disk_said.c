/* SPDX-License-Identifier: MIT */
/*
 * What is said of a disk; see monitor/disk_said.h.
 *
 * What a later layer says lies over what an earlier one says, in either
 * direction; but not its id, which only names the disk: by vdev or by devid.
 *
 * One thing is not for a file to say: that a disk may be written. Who may
 * change the guest's configuration has said whether it may, and a section that
 * was written for another disk of that name, or for the one before, must not
 * open it for writing. Read-only it can be made by anybody. --disk is said by
 * who starts the program and knows.
 *
 * Failure modes: a directory that makes no sense, keys that do not go together,
 * and two --disk or two sections about one disk are refused, with a sentence.
 */
#include "monitor/disk_said.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/layers.h"

static int check(const struct disk_said *said, char error[BLOCK_ERROR_MAX])
{
	const bool asked = said->noverrides ||
			   (said->file && said->file->ndisks);
	const char *fault = backend_fault(said->backend);

	if (!fault && asked && !said->backend->options.id)
		fault = "no dev: which --disk or which section of a file is "
			"about it is not known";
	if (fault)
		snprintf(error, BLOCK_ERROR_MAX, "%s: %s", said->path, fault);
	return fault ? -EINVAL : 0;
}

bool disk_said_is_about(const struct disk_said *said,
			const struct disk_options *o)
{
	const char *vdev = said->backend->options.id;
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, said->devid);
	return !strcmp(o->id, text) || (vdev && !strcmp(o->id, vdev));
}

static bool is_generic(const char *id, uint64_t devid)
{
	uint64_t named = id ? backend_generic_devid(id) : 0;

	return named && (!devid || named == devid);
}

bool disk_said_names_generic(const struct config_file *file,
			     const struct disk_options *overrides,
			     unsigned int noverrides, uint64_t devid)
{
	for (unsigned int i = 0; file && i < file->ndisks; i++)
		if (is_generic(file->disk[i].options.id, devid))
			return true;
	for (unsigned int i = 0; i < noverrides; i++)
		if (is_generic(overrides[i].id, devid))
			return true;
	return false;
}

static int find_line(const struct disk_said *said, struct said_layers *l,
		     char error[BLOCK_ERROR_MAX])
{
	for (unsigned int i = 0; i < said->noverrides; i++) {
		const struct disk_options *next = &said->overrides[i];

		if (!disk_said_is_about(said, next))
			continue;
		if (l->by[SAID_BY_LINE]) {
			snprintf(error, BLOCK_ERROR_MAX,
				 "two --disk are about it, id=%s and id=%s: "
				 "give its keys in one",
				 l->line.id, next->id);
			return -EINVAL;
		}
		l->line = *next;
		l->line.given &= ~KEY_BIT(KEY_ID);
		l->by[SAID_BY_LINE] = &l->line;
	}
	return 0;
}

static int find_section(const struct disk_said *said, struct said_layers *l,
			char error[BLOCK_ERROR_MAX])
{
	for (unsigned int i = 0; said->file && i < said->file->ndisks; i++) {
		const struct config_disk *next = &said->file->disk[i];

		if (!disk_said_is_about(said, &next->options))
			continue;
		if (l->section) {
			snprintf(error, BLOCK_ERROR_MAX,
				 "%s: two sections are about it, [disk %s] and "
				 "[disk %s]: give its keys in one",
				 said->file->path, l->file.id,
				 next->options.id);
			return -EINVAL;
		}
		l->section = next;
		l->file = next->options;
		l->file.given &= ~KEY_BIT(KEY_ID);
		l->by[SAID_BY_GUEST] = &l->file;
	}
	return 0;
}

/* «w» of the toolstack alone is writable. */
static void keep_readonly(const struct disk_said *said, struct said_layers *l)
{
	l->stays_readonly = said->backend->options.readonly && l->section &&
			    keys_is_given(&l->file, KEY_READONLY) &&
			    !l->file.readonly;
	if (l->stays_readonly)
		l->file.given &= ~KEY_BIT(KEY_READONLY);
}

int disk_said_layers(const struct disk_said *said, struct said_layers *l,
		     char error[BLOCK_ERROR_MAX])
{
	int r;

	memset(l, 0, sizeof(*l));
	if (said->defaults && said->defaults->ndisks)
		l->by[SAID_BY_DEFAULTS] = &said->defaults->disk[0].options;
	l->by[SAID_BY_TOOLSTACK] = &said->backend->options;
	r = find_section(said, l, error);
	if (r == 0)
		r = find_line(said, l, error);
	keep_readonly(said, l);
	return r ? r : check(said, error);
}

int disk_said_settle(const struct disk_said *said, struct disk_options *o,
		     char error[BLOCK_ERROR_MAX])
{
	struct said_layers layers;
	int r = disk_said_layers(said, &layers, error);

	return r ? r :
		   layers_settle(o, layers.by, SAID_BYS, DISK_FOR_XEN, error);
}

void disk_said_warn(const struct disk_said *said, const char *name)
{
	char error[BLOCK_ERROR_MAX];
	struct said_layers l;

	if (disk_said_layers(said, &l, error) || !l.stays_readonly)
		return;
	/* Whoever starts the program has said it once more. */
	if (l.by[SAID_BY_LINE] && keys_is_given(&l.line, KEY_READONLY))
		return;
	log_warning("%s: %s:%u: readonly=off does not count, for the toolstack "
		    "says read-only: write w into the disk line of the guest's "
		    "configuration",
		    name, said->file->path, l.section->line[KEY_READONLY]);
}
