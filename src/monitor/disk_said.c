/* SPDX-License-Identifier: MIT */
/*
 * What is said of a disk; see monitor/disk_said.h.
 *
 * What --disk says lies over what the directory says; but not its id, which
 * only names the disk: by vdev or by devid.
 *
 * Failure modes: a directory that makes no sense, keys that do not go together,
 * and two --disk about one disk are refused, with a sentence.
 */
#include "monitor/disk_said.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/layers.h"

static int check(const struct disk_said *said, char error[BLOCK_ERROR_MAX])
{
	const char *fault = backend_fault(said->backend);

	if (!fault && said->noverrides && !said->backend->options.id)
		fault = "no dev: which --disk is about it is not known";
	if (fault)
		snprintf(error, BLOCK_ERROR_MAX, "%s: %s", said->path, fault);
	return fault ? -EINVAL : 0;
}

/* Whether a --disk option is about this disk. */
static bool is_about(const struct disk_options *o, const struct disk_said *said)
{
	const char *vdev = said->backend->options.id;
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, said->devid);
	return !strcmp(o->id, text) || (vdev && !strcmp(o->id, vdev));
}

int disk_said_settle(const struct disk_said *said, struct disk_options *o,
		     char error[BLOCK_ERROR_MAX])
{
	const struct disk_options *layers[2] = { &said->backend->options };
	const struct disk_options *found = NULL;
	struct disk_options over;
	int r = check(said, error);

	if (r)
		return r;
	for (unsigned int i = 0; i < said->noverrides; i++) {
		const struct disk_options *next = &said->overrides[i];

		if (!is_about(next, said))
			continue;
		if (found) {
			snprintf(error, BLOCK_ERROR_MAX,
				 "two --disk are about it, id=%s and id=%s: "
				 "give its keys in one",
				 found->id, next->id);
			return -EINVAL;
		}
		found = next;
		over = *found;
		over.given &= ~KEY_BIT(KEY_ID);
		layers[1] = &over;
	}
	return layers_settle(o, layers, found ? 2 : 1, DISK_FOR_XEN, error);
}
