/* SPDX-License-Identifier: MIT */
/* Noting the image of a disk; see monitor/noted_image.h. */
#include "monitor/noted_image.h"

#include <string.h>

#include "base/log.h"

void noted_image_note(const struct state_dir *states, uint64_t devid,
		      const struct block_claim *claim, const char *name)
{
	int r = claim->file ? state_dir_note_image(states, devid, claim->file,
						   claim->facts.readonly) :
			      0;

	if (r)
		log_warning("%s: which image it has cannot be noted in %s: %s",
			    name, states->path, strerror(-r));
}

int noted_image_try(const struct state_dir *states, uint64_t devid,
		    const struct block_claim *claim,
		    const struct block_user *user, char error[BLOCK_ERROR_MAX])
{
	struct block_image_options options = { .user = *user };
	char file[STATE_DIR_FILE_MAX];

	/* Without a note nobody can be asked. */
	if (state_dir_read_image(states, devid, file, &options.readonly))
		return 0;
	if (claim->fd >= 0 && strcmp(claim->file, file) == 0)
		return 0;
	options.file = file;
	return block_claim_try(&options, error);
}
