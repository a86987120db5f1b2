/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: a C library that says it has made something stable, and has
 * not. LIE=flush: fdatasync. LIE=write: a synchronous write.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int lies(const char *about)
{
	const char *lie = getenv("LIE");

	return lie && strcmp(lie, about) == 0;
}

int fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	return lies("flush") ? 0 : real(fd);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset,
		 int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int) =
		(ssize_t(*)(int, const struct iovec *, int, off_t,
			    int))dlsym(RTLD_NEXT, "pwritev2");

	return real(fd, iov, n, offset, lies("write") ? 0 : flags);
}
