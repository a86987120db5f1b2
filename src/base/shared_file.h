/* SPDX-License-Identifier: MIT */
/*
 * Memory that outlives the process: a file on a file system in memory, mapped.
 */
#ifndef BASE_SHARED_FILE_H
#define BASE_SHARED_FILE_H

#include <stddef.h>

/*
 * Give a file of no or another size `bytes`, with all of its memory: what has
 * none is a SIGBUS when it is touched. 0 or a negative errno.
 */
int shared_file_make(int fd, size_t bytes);

/*
 * Map the first `bytes` of a file that has them: the caller unmaps. 0, -ENODATA
 * if it is shorter, -EINVAL if it is no file, or another negative errno.
 */
int shared_file_map(void **memory, int fd, size_t bytes);

#endif
