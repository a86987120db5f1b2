/* SPDX-License-Identifier: MIT */
/*
 * What the process gives up; see program/hardening.h.
 *
 * Not limited, since it is one process that opens images at any time:
 *
 *	NOFILE	raised instead (base/descriptors.h)
 *	FSIZE	would be the size of images
 *	NPROC	counts the threads of a user in all of its processes; new
 *		processes are refused by the sandbox
 *	MEMLOCK	io_uring's, in kernels before 5.12
 *	AS	guests' memory is mapped, of any size
 *
 * A process that is not dumpable has root's files in /proc. Its own threads may
 * use them all the same: /proc/self/fd and /proc/self/maps, which we read. Who
 * has a lock is no longer seen by another process of the same user, unless that
 * is root.
 *
 * Failures: each is said; the process is then as safe as the kernel lets it be.
 */
#include "program/hardening.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"

struct limit {
	const char *name;
	int resource;
};

static const struct limit zero[] = {
	{ "core files", RLIMIT_CORE },
	{ "message queues", RLIMIT_MSGQUEUE },
	{ "real-time priorities", RLIMIT_RTPRIO },
	{ "priorities", RLIMIT_NICE },
};

static void give_up(const char *what, int result)
{
	if (result)
		log_warning("cannot give up %s: %s", what, strerror(errno));
}

void hardening_begin(void)
{
	const struct rlimit none = { 0, 0 };

	give_up("new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (!HARDENING_SANITIZED)
		give_up("being traced", prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		give_up(zero[i].name, setrlimit(zero[i].resource, &none));
}
