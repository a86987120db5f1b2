/* SPDX-License-Identifier: MIT */
/*
 * Open a file or block device as a disk's store, and lock others out.
 *
 *   look       what is it? Nothing but a regular file or a block device is even
 *              opened: opening a tape or a watchdog has effects
 *   open       a block device for writing with O_EXCL, which the kernel grants
 *              only if nothing is mounted from it and nobody else holds it so
 *   look again at what was opened, for the name may mean another file now
 *   lock       the whole file, for writing or for reading. The lock belongs to
 *              the open file description (F_OFD_SETLK): it stays while anybody
 *              has the descriptor, over fork and handing over, and closing
 *              another descriptor of the file does not lose it
 *
 * O_NONBLOCK while opening, for the case that the name became a fifo; it is
 * taken off again, because io_uring would answer EAGAIN instead of waiting.
 *
 * A process that died may still hold lock and claim for a moment: the kernel
 * frees its io_uring, which holds the file, in the background. So a store that
 * is in use is asked for again for half a second.
 *
 * Failure modes: every one has its sentence. A store whose file system has no
 * locks is refused: without one, two writers would destroy the disk unseen.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "claim.h"
#include "explain.h"

/* How often, and how far apart, a store that is in use is asked for. */
#define CLAIM_TRIES 20u
#define CLAIM_PAUSE_NS 25000000l

static int claim_check_type(const char *file, mode_t mode,
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

static int claim_explain_denied(const char *file, bool readonly, int rc,
				char error[BLOCK_ERROR_MAX])
{
	long uid = geteuid();

	if (readonly)
		return block_explain(error, rc, file,
				     "permission denied: allow uid %ld to read "
				     "it", uid);
	if (access(file, R_OK) == 0)
		return block_explain(error, rc, file,
				     "permission denied for writing: allow uid "
				     "%ld to write it, or use readonly=on",
				     uid);
	return block_explain(error, rc, file,
			     "permission denied: allow uid %ld to read and "
			     "write it", uid);
}

/* Why could `file` not be looked at or opened? */
static int claim_explain(const char *file, bool readonly, int rc,
			 char error[BLOCK_ERROR_MAX])
{
	switch (rc) {
	case -ENOENT:
		return block_explain(error, rc, file,
				     "no such file: create it, or correct "
				     "the path");
	case -EROFS:
		return block_explain(error, rc, file,
				     "is read-only: use readonly=on");
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
	case -EACCES:
	case -EPERM:
		return claim_explain_denied(file, readonly, rc, error);
	}
	return block_explain(error, rc, file, "cannot be opened: %s",
			     strerror(-rc));
}

/* Why is there no lock? If somebody holds one, say who, if the kernel knows. */
static int claim_explain_lock(const char *file, int fd, int rc,
			      struct flock lock, char error[BLOCK_ERROR_MAX])
{
	if (rc != -EAGAIN)
		return block_explain(error, rc, file,
				     "cannot be locked against other users "
				     "(%s): keep it on a file system that has "
				     "locks", strerror(-rc));
	/* A holder of an open file description lock has no pid: it says -1. */
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
	    lock.l_pid > 0)
		return block_explain(error, rc, file,
				     "already in use by another process "
				     "(pid %ld): stop it, or use another image",
				     (long)lock.l_pid);
	return block_explain(error, rc, file,
			     "already in use by another process or disk: "
			     "stop it, or use another image; lslocks(8) may "
			     "show it");
}

/* After try number `try` found the store in use: true to try again. */
static bool claim_pause(unsigned int try)
{
	struct timespec pause = { .tv_nsec = CLAIM_PAUSE_NS };

	if (try >= CLAIM_TRIES)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

static int claim_lock(const char *file, int fd, bool readonly,
		      char error[BLOCK_ERROR_MAX])
{
	struct flock lock = {
		.l_type = readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	unsigned int try = 0;

	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		bool busy = errno == EAGAIN || errno == EACCES;

		if (errno == EINTR || (busy && claim_pause(++try)))
			continue;
		return claim_explain_lock(file, fd, busy ? -EAGAIN : -errno,
					  lock, error);
	}
	return 0;
}

/* A device may be read-only and yet have been opened for writing. */
static int claim_check_writable(const char *file, int fd,
				char error[BLOCK_ERROR_MAX])
{
	int readonly = 0;

	if (ioctl(fd, BLKROGET, &readonly) < 0 || !readonly)
		return 0;
	return claim_explain(file, false, -EROFS, error);
}

static int claim_check(const char *file, int fd, bool readonly,
		       struct stat *st, char error[BLOCK_ERROR_MAX])
{
	int flags = fcntl(fd, F_GETFL);
	int rc;

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
	    fstat(fd, st) < 0)
		return claim_explain(file, readonly, -errno, error);
	rc = claim_check_type(file, st->st_mode, error);
	if (rc == 0 && S_ISBLK(st->st_mode) && !readonly)
		rc = claim_check_writable(file, fd, error);
	if (rc == 0)
		rc = claim_lock(file, fd, readonly, error);
	return rc;
}

static int claim_open(const char *file, bool readonly, bool is_block_device)
{
	/* A guest's reads are no use of the file that its times should tell. */
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOATIME;
	unsigned int try = 0;
	int fd;

	flags |= readonly ? O_RDONLY : O_RDWR;
	if (is_block_device && !readonly)
		flags |= O_EXCL;
	while ((fd = open(file, flags)) < 0) {
		/* Only the file's owner and root may ask for that. */
		if (errno == EPERM && (flags & O_NOATIME))
			flags &= ~O_NOATIME;
		else if (errno != EINTR &&
			 !(errno == EBUSY && claim_pause(++try)))
			return -errno;
	}
	return fd;
}

int block_claim(const char *file, bool readonly, bool *is_block_device,
		char error[BLOCK_ERROR_MAX])
{
	struct stat before, st = { .st_mode = 0 };
	int fd, rc;

	if (stat(file, &before) < 0)
		return claim_explain(file, readonly, -errno, error);
	rc = claim_check_type(file, before.st_mode, error);
	if (rc)
		return rc;
	fd = claim_open(file, readonly, S_ISBLK(before.st_mode));
	if (fd < 0)
		return claim_explain(file, readonly, fd, error);
	rc = claim_check(file, fd, readonly, &st, error);
	/* The name became a device's after the look: O_EXCL was not asked. */
	if (rc == 0 && S_ISBLK(st.st_mode) != S_ISBLK(before.st_mode))
		rc = block_explain(error, -EAGAIN, file,
				   "was replaced while it was opened: try "
				   "again");
	if (rc) {
		close(fd);
		return rc;
	}
	*is_block_device = S_ISBLK(st.st_mode);
	return fd;
}
