/* SPDX-License-Identifier: MIT */
/* The names of cache modes; see block/cache.h. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "block/cache.h"

static const char *const cache_names[] = {
	[BLOCK_CACHE_AUTO] = "auto",
	[BLOCK_CACHE_NONE] = "none",
	[BLOCK_CACHE_WRITEBACK] = "writeback",
	[BLOCK_CACHE_WRITETHROUGH] = "writethrough",
	[BLOCK_CACHE_UNSAFE] = "unsafe",
};

#define CACHE_NAMES (sizeof(cache_names) / sizeof(cache_names[0]))

int block_cache_parse(const char *text, enum block_cache *cache)
{
	unsigned int i;

	for (i = 0; i < CACHE_NAMES; i++) {
		if (strcmp(text, cache_names[i]) == 0) {
			*cache = (enum block_cache)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *block_cache_name(enum block_cache cache)
{
	assert(cache < CACHE_NAMES);
	return cache_names[cache];
}
