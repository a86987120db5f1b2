/* SPDX-License-Identifier: MIT */
/*
 * Generic devices; see instances/generic.h.
 *
 * The file is found by the guest's name, which is the toolstack's, as the
 * instance finds it: that reads it for itself.
 *
 * Failure: where the name or the file cannot be read, nothing was said; what
 * may be otherwise a moment later is trouble of the store, as all that is
 * looked at again.
 */
#include "instances/generic.h"

#include <errno.h>
#include <stdlib.h>

#include "config/config_files.h"
#include "monitor/disk_said.h"

bool generic_is_said(struct store *store, unsigned int domid,
		     const struct options *options)
{
	const struct config_file *file = &options->files.guest;
	struct config_files files = { 0 };
	char *name;
	bool said;

	if (store_read(store, &name, "/local/domain/%u/name", domid))
		return false;
	/* One file may be named for all. */
	if (!options->files.guest_is_read) {
		int r = config_files_read_guest(&files, options->config, name);

		if (r == 0)
			file = &files.guest;
		else if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
			store->trouble = -r;
	}
	said = disk_said_names_generic(file, options->disk, options->ndisks, 0);
	config_files_finish(&files);
	free(name);
	return said;
}
