/* SPDX-License-Identifier: MIT */
/*
 * A part of a peer's file in our address space: memory region, dirty log,
 * in-flight area.
 */
#ifndef VHOST_USER_MAPPING_H
#define VHOST_USER_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
	uint8_t *data; /* the part; NULL where nothing is mapped */
	uint64_t size; /* of the part, bytes */
	void *base;    /* what was mapped: whole pages of the file */
	size_t len;
	int guard;
};

/*
 * Map [offset, offset + size) of `fd`, which stays the caller's. A torn mapping
 * rings `wake_fd`. 0, or a negative errno:
 *  -EINVAL  nothing, more than an address space, or not a regular file
 *  -EREMOTE a file system that may be the peer's own, which could hold us up
 *  -ENODATA the file ends before the part does
 */
int mapping_open(struct mapping *m, int fd, uint64_t offset, uint64_t size,
		 int wake_fd);

/* Also for a mapping of zeroes. */
void mapping_close(struct mapping *m);

/* Whether the file was truncated, and the hole was touched. */
bool mapping_torn(const struct mapping *m);

#endif
