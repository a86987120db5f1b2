/* SPDX-License-Identifier: MIT */
/*
 * How many descriptors this process may have; see base/descriptors.h.
 *
 * Failure: what cannot be raised stays as it is, and is found when a descriptor
 * is missing.
 */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) ||
	    limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

const char *descriptors_advice(int error)
{
	if (error == EMFILE)
		return ": raise LimitNOFILE= of the unit, or ulimit -n";
	return error == ENFILE ? ": raise fs.file-max" : "";
}

unsigned int descriptors_left(void)
{
	struct rlimit limit;
	/* The lowest free number; there are no gaps to speak of below it. */
	int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (next < 0)
		return 0;
	close(next);
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur > INT_MAX)
		limit.rlim_cur = INT_MAX;
	return (unsigned int)limit.rlim_cur - (unsigned int)next;
}
