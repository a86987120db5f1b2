/* SPDX-License-Identifier: MIT */
/*
 * Memory that outlives the process; see base/shared_file.h.
 *
 * Failure: a file that is too short, or has holes that cannot be filled, is
 * refused before it is touched.
 */
#include "base/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of its memory. 0 or a negative errno. */
static int fill(int fd, size_t bytes)
{
	int r;

	do
		r = posix_fallocate(fd, 0, (off_t)bytes);
	while (r == EINTR);
	return -r;
}

int shared_file_make(int fd, size_t bytes)
{
	if (ftruncate(fd, (off_t)bytes))
		return -errno;
	return fill(fd, bytes);
}

int shared_file_map(void **memory, int fd, size_t bytes)
{
	struct stat file;
	void *p;
	int r;

	*memory = NULL;
	if (fstat(fd, &file))
		return -errno;
	if (!S_ISREG(file.st_mode))
		return -EINVAL;
	if (file.st_size < 0 || (size_t)file.st_size < bytes)
		return -ENODATA;
	r = fill(fd, bytes);
	if (r)
		return r;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*memory = p;
	return 0;
}
