/* SPDX-License-Identifier: MIT */
/*
 * Leaving the host; see worker/confine_place.h.
 *
 * An empty root is a file system in memory, mounted in a namespace of our own
 * over a directory that every host has, and then made the root; what was the
 * root is unmounted. Where that is the first file system of an initramfs it
 * cannot be, and it is left by chroot() alone: who has no capability does not
 * come back from it.
 *
 * Landlock's kinds of access are numbered here, for the kernel may know more of
 * them than the headers that this is compiled with: all that the running kernel
 * knows and this file too are refused, and there is no rule that allows any.
 *
 * Failure: each is left as it was, and the caller says so.
 */
#include "worker/confine_place.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock, the same on all machines; older headers lack them. */
#define NR_CREATE_RULESET 444
#define NR_RESTRICT_SELF 446
#define ASK_VERSION 1u

/* Accesses to files by version of the interface, as many bits from bit 0. */
#define FILES_V1 13u
#define FILES_V2 14u /* linking between directories */
#define FILES_V3 15u /* truncating */
#define FILES_V5 16u /* ioctl of devices */
/* To bind and connect TCP ports; to reach abstract sockets and processes. */
#define PORTS_V4 2u
#define SCOPES_V6 2u

#define BITS(n) ((UINT64_C(1) << (n)) - 1)

/* Over this one the empty root is mounted; Xen's devices were opened there. */
#define MOUNT_POINT "/dev"

struct ruleset {
	uint64_t files;
	uint64_t ports;
	uint64_t scopes;
};

int confine_place_leave(void)
{
	static const int spaces[] = { CLONE_NEWNET, CLONE_NEWIPC,
				      CLONE_NEWUTS };
	int r = 0;

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (unshare(spaces[i]) && r == 0)
			r = -errno;
	return r;
}

/* In the new root: make it the root. 0 or a negative errno. */
static int move_root(void)
{
	if (syscall(__NR_pivot_root, ".", ".") == 0) {
		/* What was the root lies over it. */
		if (umount2(".", MNT_DETACH))
			return -errno;
	} else if (errno != EINVAL || chroot(".")) {
		return -errno;
	}
	return chdir("/") ? -errno : 0;
}

int confine_place_empty(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", MOUNT_POINT, "tmpfs",
		  MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0555,size=4k") ||
	    chdir(MOUNT_POINT))
		return -errno;
	return move_root();
}

static struct ruleset deny_all(long version)
{
	return (struct ruleset){
		.files = BITS(version >= 5 ? FILES_V5 :
			      version >= 3 ? FILES_V3 :
			      version == 2 ? FILES_V2 :
					     FILES_V1),
		.ports = version >= 4 ? BITS(PORTS_V4) : 0,
		.scopes = version >= 6 ? BITS(SCOPES_V6) : 0,
	};
}

int confine_place_deny(void)
{
	long version = syscall(NR_CREATE_RULESET, NULL, 0, ASK_VERSION);
	struct ruleset ruleset;
	int fd, r = 0;

	if (version < 0)
		return -errno;
	ruleset = deny_all(version);
	/* What an older kernel does not know is zero, which it accepts. */
	fd = (int)syscall(NR_CREATE_RULESET, &ruleset, sizeof(ruleset), 0);
	if (fd < 0)
		return -errno;
	if (syscall(NR_RESTRICT_SELF, fd, 0))
		r = -errno;
	close(fd);
	return r;
}
