/* SPDX-License-Identifier: MIT */
/*
 * Keeping descriptors 0 to 2; see base/standard_fds.h.
 *
 * The kernel gives the lowest free number to what is opened. Started with 2
 * closed, a program that opens an image as its first file writes its log lines
 * over the image's first sector, and what is printed goes the same way with 1.
 *
 * Failure: without /dev/null nothing may be opened at all.
 */
#include "base/standard_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int standard_fds_reserve(void)
{
	int fd;

	/* Not close on exec: these are everybody's. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

bool standard_fds_log_is(int fd)
{
	struct stat log, other;

	return fstat(STDERR_FILENO, &log) == 0 && fstat(fd, &other) == 0 &&
	       S_ISSOCK(other.st_mode) && log.st_dev == other.st_dev &&
	       log.st_ino == other.st_ino;
}
