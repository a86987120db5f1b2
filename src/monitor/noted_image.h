/* SPDX-License-Identifier: MIT */
/*
 * Which image a disk has, noted beside its state: a process that follows may be
 * told of another one, or of none, by a directory that was removed meanwhile.
 * The requests of the process before are on that which is noted.
 */
#ifndef MONITOR_NOTED_IMAGE_H
#define MONITOR_NOTED_IMAGE_H

#include "block/claim.h"
#include "monitor/state_dir.h"

/*
 * Before the image is given to a worker. Where that fails it is logged, as of
 * the disk `name`, and its end will not wait for what a dead process has in
 * flight, if nobody else says which image it was.
 */
void noted_image_note(const struct state_dir *states, uint64_t devid,
		      const struct block_claim *claim, const char *name);

/*
 * Whether requests of the process before may be in flight: 0 if not, or if
 * nobody knows of which image; or as block_claim_try() and a sentence. `claim`
 * is what is open for the disk now, if anything: one of the noted image is
 * enough, as it could not be had otherwise.
 */
int noted_image_try(const struct state_dir *states, uint64_t devid,
		    const struct block_claim *claim,
		    const struct block_user *user, char error[BLOCK_ERROR_MAX]);

#endif
