/* SPDX-License-Identifier: MIT */
/*
 * Memory for the rings of a worker's disks (base/trace.h): made by the monitor,
 * written by the worker, which may have been taken over by its guest, and read
 * by the monitor, also when the worker is dead. The monitor never maps it.
 */
#ifndef BASE_TRACE_AREA_H
#define BASE_TRACE_AREA_H

#include "base/trace.h"

enum {
	TRACE_PAGE = 65536, /* the largest that there is */
	/* Of a ring and what follows it until the next one. */
	TRACE_RING_BYTES = (sizeof(struct trace_ring) + TRACE_PAGE - 1) /
			   TRACE_PAGE * TRACE_PAGE,
};

/*
 * Memory for `rings` of them, none of which is there before it is used; its
 * size is fixed. A descriptor, or a negative errno.
 */
int trace_area_make(unsigned int rings);

/*
 * Map ring `i` of the area, with all of its memory, for the disk. The caller
 * unmaps it. NULL, if it cannot be had.
 */
struct trace_ring *trace_area_map(int fd, unsigned int i, const char *disk);
void trace_area_unmap(struct trace_ring *ring);

/* Log the events of all disks that there are, of so many rings. */
void trace_area_log(int fd, unsigned int rings, const char *why);

#endif
