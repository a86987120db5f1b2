/* SPDX-License-Identifier: MIT */
/*
 * A store that does not answer, for LD_PRELOAD: writes stand still while there
 * is a file named $HANG, and looking at an image's size, which the main thread
 * does, while there is $HANG.look. What stands still makes a file $HANG.hangs.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IMAGE = 3 << 20 }; /* bytes, by which it is known */

static void hang(const char *what)
{
	char path[256], hangs[256];

	snprintf(path, sizeof(path), "%s%s", getenv("HANG"), what);
	snprintf(hangs, sizeof(hangs), "%s.hangs", getenv("HANG"));
	while (access(path, F_OK) == 0) {
		close(open(hangs, O_CREAT | O_WRONLY, 0600));
		usleep(10000);
	}
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset,
		 int flags)
{
	ssize_t (*next)(int, const struct iovec *, int, off_t, int) =
		(ssize_t(*)(int, const struct iovec *, int, off_t,
			    int))dlsym(RTLD_NEXT, "pwritev2");

	hang("");
	return next(fd, iov, n, offset, flags);
}

int fstat(int fd, struct stat *st)
{
	int r = fstatat(fd, "", st, AT_EMPTY_PATH);

	/* Not those of the log, nor of a front end's memory. */
	if (r == 0 && S_ISREG(st->st_mode) && st->st_size == IMAGE)
		hang(".look");
	return r;
}
