/* SPDX-License-Identifier: MIT */
/*
 * Opening a file or block device as a disk's store; see store.h.
 *
 *   look       what is it? Nothing but a regular file or a block device is even
 *              opened: opening a tape or a watchdog has effects
 *   node       a device may have several nodes, of which each has locks of its
 *              own: whatever was named, the node is taken that the kernel made
 *              in /dev, and that others use
 *   open       and look again at what was opened, for the name may mean another
 *              file now
 *   again      the very file, whatever its name means by then: through /proc,
 *              or by the name if that is still this file
 *   exclusive  a block device for writing is opened once more, with O_EXCL,
 *              which the kernel grants only if nothing is mounted from it and
 *              nobody else holds it so. Nothing is read or written by this
 *              descriptor: to give the claim up it is closed
 *
 * O_NONBLOCK while opening, for the case that the name became a fifo; it is
 * taken off again, because io_uring would answer EAGAIN instead of waiting.
 *
 * Failure modes: every one has its sentence.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "explain.h"
#include "store.h"

/* How often, and how far apart, a device that is in use is asked for. */
#define STORE_TRIES 20u
#define STORE_PAUSE_NS 25000000l
#define STORE_LINE_MAX 256

static int check_type(const char *file, mode_t mode,
		      char error[BLOCK_ERROR_MAX])
{
	const char *what = "no regular file";

	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	if (S_ISDIR(mode))
		return block_explain(error, -EISDIR, file,
				     "is a directory: name an image file or a "
				     "block device");
	if (S_ISCHR(mode))
		what = "a character device";
	else if (S_ISFIFO(mode))
		what = "a fifo";
	else if (S_ISSOCK(mode))
		what = "a socket";
	return block_explain(error, -EINVAL, file,
			     "is %s: name an image file or a block device",
			     what);
}

static int explain_denied(const char *file, bool readonly, int rc,
			  char error[BLOCK_ERROR_MAX])
{
	long uid = geteuid();

	if (readonly)
		return block_explain(error, rc, file,
				     "permission denied: allow uid %ld to read "
				     "it",
				     uid);
	if (access(file, R_OK) == 0)
		return block_explain(error, rc, file,
				     "permission denied for writing: allow uid "
				     "%ld to write it, or use readonly=on",
				     uid);
	return block_explain(error, rc, file,
			     "permission denied: allow uid %ld to read and "
			     "write it",
			     uid);
}

/* Not allowed whatever the rights of the file are, to root as well. */
static int explain_forbidden(const char *file, int rc,
			     char error[BLOCK_ERROR_MAX])
{
	struct statx st;

	if (statx(AT_FDCWD, file, 0, STATX_TYPE, &st))
		st.stx_attributes = 0;
	if (st.stx_attributes & STATX_ATTR_IMMUTABLE)
		return block_explain(error, rc, file,
				     "is immutable: use readonly=on, or make "
				     "it writable (chattr -i)");
	if (st.stx_attributes & STATX_ATTR_APPEND)
		return block_explain(error, rc, file,
				     "can only be appended to: use "
				     "readonly=on, or make it writable "
				     "(chattr -a)");
	return block_explain(error, rc, file,
			     "is forbidden to this process, whatever rights "
			     "the file has: look at its control group "
			     "(DeviceAllow= of a unit), its seals, or what "
			     "else restricts it");
}

/* A unit sees less of the file system as writable than others do. */
static int explain_readonly(const char *file, int rc,
			    char error[BLOCK_ERROR_MAX])
{
	bool unit = getenv("INVOCATION_ID") != NULL;

	return block_explain(error, rc, file,
			     "is on a file system that is read-only%s: use "
			     "readonly=on%s",
			     unit ? " to this unit" : "",
			     unit ? ", or if ProtectSystem= makes it so, "
				    "allow its folder by ReadWritePaths= "
				    "(systemctl edit)" :
				    "");
}

int block_store_explain(const char *file, bool readonly, int rc,
			char error[BLOCK_ERROR_MAX])
{
	switch (rc) {
	case -ENOENT:
		return block_explain(error, rc, file,
				     "no such file: create it, or correct "
				     "the path");
	case -EROFS:
		return explain_readonly(file, rc, error);
	case -EBUSY:
		return block_explain(error, rc, file,
				     "is mounted or in use: unmount it, or "
				     "stop whatever uses it");
	case -ENXIO:
	case -ENODEV:
	case -ENOMEDIUM:
		return block_explain(error, rc, file,
				     "there is no device behind it: attach the "
				     "device, or correct the path");
	case -EPERM:
		return explain_forbidden(file, rc, error);
	case -EACCES:
		return explain_denied(file, readonly, rc, error);
	}
	return block_explain(error, rc, file, "cannot be opened: %s",
			     strerror(-rc));
}

static void pause_between(void)
{
	struct timespec pause = { .tv_nsec = STORE_PAUSE_NS };

	nanosleep(&pause, NULL);
}

/* A device may be read-only and yet have been opened for writing. */
static int check_writable(const char *file, int fd, char error[BLOCK_ERROR_MAX])
{
	int readonly = 0;

	if (ioctl(fd, BLKROGET, &readonly) < 0 || !readonly)
		return 0;
	return block_explain(error, -EROFS, file,
			     "is a read-only device: use readonly=on");
}

static bool clear_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

static int check(const char *file, int fd, bool readonly, struct stat *st,
		 char error[BLOCK_ERROR_MAX])
{
	int rc;

	if (!clear_nonblock(fd) || fstat(fd, st) < 0)
		return block_store_explain(file, readonly, -errno, error);
	rc = check_type(file, st->st_mode, error);
	if (rc == 0 && S_ISBLK(st->st_mode) && !readonly)
		rc = check_writable(file, fd, error);
	return rc;
}

/* One that is in use is asked for `tries` times more. */
static int try_node(const char *file, int flags, unsigned int tries)
{
	int fd;

	/* A guest's reads are no use of the file that its times should tell. */
	flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOATIME;
	while ((fd = open(file, flags)) < 0) {
		/* Only the file's owner and root may ask for that. */
		if (errno == EPERM && (flags & O_NOATIME))
			flags &= ~O_NOATIME;
		else if (errno == EBUSY && tries--)
			pause_between();
		else if (errno != EINTR)
			return -errno;
	}
	return fd;
}

static int open_node(const char *file, int flags)
{
	return try_node(file, flags, STORE_TRIES);
}

/* The path in /dev that the kernel has for a device; false if it has none. */
static bool node_of_device(dev_t device, char *path, size_t size)
{
	char line[STORE_LINE_MAX], name[64];
	struct stat st;
	FILE *file;
	bool found = false;

	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/uevent",
		 major(device), minor(device));
	file = fopen(name, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "DEVNAME=", 8) == 0;
	}
	fclose(file);
	if (!found)
		return false;
	snprintf(path, size, "/dev/%s", line + 8);
	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
	       st.st_rdev == device;
}

/* Open the device by its own node, if there is one for us; else by `file`. */
static int open_device(const char *file, dev_t device, int flags)
{
	char node[STORE_LINE_MAX + 8];
	struct stat st;
	int fd = -ENOENT;

	if (node_of_device(device, node, sizeof(node)))
		fd = open_node(node, flags);
	if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_rdev != device)) {
		close(fd);
		fd = -ENOENT;
	}
	if (fd == -ENOENT || fd == -EACCES || fd == -EPERM)
		return open_node(file, flags);
	return fd;
}

bool block_store_is_same(int a, int b)
{
	struct stat sta, stb;

	return fstat(a, &sta) == 0 && fstat(b, &stb) == 0 &&
	       sta.st_dev == stb.st_dev && sta.st_ino == stb.st_ino &&
	       sta.st_rdev == stb.st_rdev;
}

int block_store_open_again(int fd, const char *file, bool readonly)
{
	const int flags = readonly ? O_RDONLY : O_RDWR;
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = try_node(path, flags, 0);
	if (again < 0)
		again = try_node(file, flags, 0);
	if (again < 0)
		return again;
	/* Of a device also the node, for that has the locks. */
	if (!block_store_is_same(fd, again) || !clear_nonblock(again)) {
		close(again);
		return -ESTALE;
	}
	return again;
}

int block_store_open_exclusive(int fd, const char *file, bool waits)
{
	const unsigned int tries = waits ? STORE_TRIES : 0;
	struct stat st, again;
	char path[32];
	int exclusive;

	/* The very device, also where its name is another one's by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	exclusive = try_node(path, O_RDWR | O_EXCL, tries);
	if (exclusive == -ENOENT)
		exclusive = try_node(file, O_RDWR | O_EXCL, tries);
	if (exclusive >= 0 &&
	    (fstat(fd, &st) < 0 || fstat(exclusive, &again) < 0 ||
	     st.st_rdev != again.st_rdev)) {
		close(exclusive);
		return -ENXIO;
	}
	return exclusive;
}

int block_store_open(const char *file, bool readonly, bool *is_block_device,
		     char error[BLOCK_ERROR_MAX])
{
	int flags = readonly ? O_RDONLY : O_RDWR;
	struct stat before, st = { .st_mode = 0 };
	int fd, rc;

	if (stat(file, &before) < 0)
		return block_store_explain(file, readonly, -errno, error);
	rc = check_type(file, before.st_mode, error);
	if (rc)
		return rc;
	fd = S_ISBLK(before.st_mode) ?
		     open_device(file, before.st_rdev, flags) :
		     open_node(file, flags);
	if (fd < 0)
		return block_store_explain(file, readonly, fd, error);
	rc = check(file, fd, readonly, &st, error);
	/* The name became a device's after the look, or another's. */
	if (rc == 0 && S_ISBLK(st.st_mode) != S_ISBLK(before.st_mode))
		rc = block_explain(error, -EAGAIN, file,
				   "was replaced while it was opened: try "
				   "again");
	*is_block_device = S_ISBLK(st.st_mode);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}
