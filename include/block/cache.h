/* SPDX-License-Identifier: MIT */
/* How an image is cached by the host, as users say it. */
#ifndef BLOCK_CACHE_H
#define BLOCK_CACHE_H

enum block_cache {
	BLOCK_CACHE_AUTO, /* none where the image can do it, else writeback */
	BLOCK_CACHE_NONE, /* O_DIRECT */
	BLOCK_CACHE_WRITEBACK,    /* page cache; FLUSH makes stable */
	BLOCK_CACHE_WRITETHROUGH, /* page cache; every write is made stable */
	BLOCK_CACHE_UNSAFE,       /* page cache; FLUSH does nothing */
};

/* Parse "none", "writeback" ...: 0 or -EINVAL. */
int block_cache_parse(const char *text, enum block_cache *cache);
const char *block_cache_name(enum block_cache cache);

#endif
