/* SPDX-License-Identifier: MIT */
/*
 * Claiming the image of a disk; see monitor/disk_image.h.
 */
#include "monitor/disk_image.h"

#include <errno.h>
#include <stdio.h>

/* discard=on is a promise; auto is what can be had. */
static int check_discard(const struct block_claim *claim,
			 const struct disk_options *options,
			 char error[BLOCK_ERROR_MAX])
{
	if (options->discard != DISK_DISCARD_ON ||
	    claim->facts.discard_granularity)
		return 0;
	snprintf(error, BLOCK_ERROR_MAX,
		 "%s: cannot discard%s: use discard=auto",
		 options->file ? options->file : "null image",
		 claim->facts.readonly ? ", it is read-only" : "");
	return -EOPNOTSUPP;
}

int disk_image_claim(struct block_claim *claim,
		     const struct disk_options *options,
		     const struct block_user *user, char error[BLOCK_ERROR_MAX])
{
	const struct block_image_options wanted = {
		.file = options->file,
		.size = options->size,
		.readonly = options->readonly,
		.lends = options->lends,
		.user = user ? *user : (struct block_user){ 0 },
		.cache = options->cache,
		.block_size = options->block_size,
	};
	int r;

	r = block_claim_open(claim, &wanted, error);
	if (r)
		return r;
	r = check_discard(claim, options, error);
	if (r)
		block_claim_close(claim);
	return r;
}

/* FNV-1a. */
uint64_t disk_image_owner(const char *vm, uint64_t devid)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	if (!vm)
		return 0;
	for (const char *p = vm; *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(1099511628211);
	for (unsigned int i = 0; i < 8; i++)
		hash = (hash ^ (uint8_t)(devid >> 8 * i)) *
		       UINT64_C(1099511628211);
	return hash | 1;
}
