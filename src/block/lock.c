/* SPDX-License-Identifier: MIT */
/*
 * The lock of an image's file; see lock.h.
 *
 * It belongs to the open file description (F_OFD_SETLK): it stays while anybody
 * has the descriptor, over fork and handing over, and closing another
 * descriptor of the file does not lose it.
 *
 * Among ourselves, and against whoever locks a whole file, all bytes but those
 * that have a meaning are locked, for writing or for reading. Byte 50 is locked
 * for reading by a writer that will give its lock away, for writing by one that
 * will not, and not at all by a reader.
 *
 * That is the lock of a claim. A worker's descriptions have their own, and the
 * kernel keeps them until the last request in flight has dropped the file: byte
 * 51 that for data, byte 52 that for flushing, which may still write what the
 * page cache has. A writer locks them for writing. The claim leaves the two
 * alone and looks whether anybody has them, after its own bytes are locked:
 * from then on nobody else makes a worker's part. An earlier version of this
 * program locks them like all others, and so each of the two sees the other.
 *
 * QEMU locks single bytes, all of them for reading: 100 + n says that it does n
 * with the image, 200 + n that nobody else may; of these, n = 0 is to read, 1
 * to write and 3 to change the size. To find a conflict it asks whether the
 * other byte could be locked for writing. We do the same, after our bytes are
 * locked, so that of two who come at once at least one sees the other.
 *
 *	         we do    nobody else may
 *	reader   0        1, 3
 *	writer   0, 1     1, 3
 *
 * So others may read beside a writer if they say that they bear it, as
 * qemu-img does with -U. A worker says to QEMU what its claim says, for when it
 * is the last to go.
 *
 * A process that died may still hold its lock for a moment: the kernel frees
 * its io_uring, which holds the file, in the background. So a store that is in
 * use is asked for again for half a second, unless the caller has other things
 * to do and asks again itself. What such a process has under way reads or
 * writes the memory of a guest as well, which matters for readers, too: so a
 * worker that reads has two bytes locked for reading, that of its claim's
 * number and that of the disk's which it reads for. Who comes after it asks
 * whether they could be locked for writing: a worker of the same claim for the
 * first, another claim for the same disk for the second.
 *
 * Failure modes: a store whose file system has no locks is refused: without
 * one, two writers would destroy the disk unseen.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "explain.h"
#include "lock.h"
#include "lock_holder.h"

/* How often, and how far apart, a store that is in use is asked for. */
#define LOCK_TRIES 250u
#define LOCK_PAUSE_NS 2000000l

enum {
	LOCK_LENT_BYTE = 50,
	/* Held by a worker's descriptions, one for each. */
	LOCK_DATA_BYTE = 51,
	LOCK_SYNC_BYTE = 52,
	/* What QEMU says: it does n; nobody else may. */
	LOCK_DOES = 100,
	LOCK_DENIES = 200,
	LOCK_QEMU_END = 300,
	/* n */
	LOCK_TO_READ = 0,
	LOCK_TO_WRITE = 1,
	LOCK_TO_RESIZE = 3,
};

/* The bytes of those whom readers read for; no other reader locks them. */
#define LOCK_OWNERS ((off_t)1 << 61)
#define LOCK_OWNERS_LENGTH ((off_t)1 << 60)

/* What is locked how, by mode; F_UNLCK: not at all. */
struct lock_range {
	off_t start;
	off_t length; /* 0: to the end of all files */
	short type[3];
};

static const struct lock_range lock_claim[] = {
	{ 0, LOCK_LENT_BYTE, { F_RDLCK, F_WRLCK, F_WRLCK } },
	{ LOCK_LENT_BYTE, 1, { F_UNLCK, F_WRLCK, F_RDLCK } },
	{ LOCK_SYNC_BYTE + 1,
	  LOCK_DOES - LOCK_SYNC_BYTE - 1,
	  { F_RDLCK, F_WRLCK, F_WRLCK } },
	{ LOCK_QEMU_END,
	  LOCK_OWNERS - LOCK_QEMU_END,
	  { F_RDLCK, F_WRLCK, F_WRLCK } },
	{ LOCK_OWNERS, LOCK_OWNERS_LENGTH, { F_UNLCK, F_WRLCK, F_WRLCK } },
	{ LOCK_OWNERS + LOCK_OWNERS_LENGTH, 0, { F_RDLCK, F_WRLCK, F_WRLCK } },
	{ LOCK_DOES + LOCK_TO_READ, 1, { F_RDLCK, F_RDLCK, F_RDLCK } },
	{ LOCK_DOES + LOCK_TO_WRITE, 1, { F_UNLCK, F_RDLCK, F_RDLCK } },
	{ LOCK_DENIES + LOCK_TO_WRITE, 1, { F_RDLCK, F_RDLCK, F_RDLCK } },
	{ LOCK_DENIES + LOCK_TO_RESIZE, 1, { F_RDLCK, F_RDLCK, F_RDLCK } },
};

/* For data, and for flushing. */
static const struct lock_range lock_data[] = {
	{ LOCK_LENT_BYTE, 1, { F_UNLCK, F_UNLCK, F_RDLCK } },
	{ LOCK_DATA_BYTE, 1, { F_RDLCK, F_WRLCK, F_WRLCK } },
	{ LOCK_DOES + LOCK_TO_READ, 1, { F_RDLCK, F_RDLCK, F_RDLCK } },
	{ LOCK_DOES + LOCK_TO_WRITE, 1, { F_UNLCK, F_RDLCK, F_RDLCK } },
	{ LOCK_DENIES + LOCK_TO_WRITE, 1, { F_RDLCK, F_RDLCK, F_RDLCK } },
	{ LOCK_DENIES + LOCK_TO_RESIZE, 1, { F_RDLCK, F_RDLCK, F_RDLCK } },
};

static const struct lock_range lock_sync[] = {
	{ LOCK_SYNC_BYTE, 1, { F_UNLCK, F_WRLCK, F_WRLCK } },
};

/* What nobody else may have locked, by mode. */
static const struct lock_test {
	off_t byte;
	bool matters[3];
} lock_tests[] = {
	{ LOCK_DENIES + LOCK_TO_READ, { true, true, true } },
	{ LOCK_DENIES + LOCK_TO_WRITE, { false, true, true } },
	{ LOCK_DOES + LOCK_TO_WRITE, { true, true, true } },
	{ LOCK_DOES + LOCK_TO_RESIZE, { true, true, true } },
};

#define LOCK_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct flock flock_of(short type, off_t start, off_t length)
{
	return (struct flock){ .l_type = type,
			       .l_whence = SEEK_SET,
			       .l_start = start,
			       .l_len = length };
}

/* 0, -EAGAIN or another negative errno. */
static int set_lock(int fd, struct flock lock)
{
	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno == EACCES)
			return -EAGAIN;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Who keeps `lock` from us; F_UNLCK if nobody does. */
static struct flock look_at_lock(int fd, struct flock lock)
{
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		lock.l_type = F_UNLCK;
	return lock;
}

static off_t owner_byte(uint64_t owner)
{
	return LOCK_OWNERS + (off_t)(owner % LOCK_OWNERS_LENGTH);
}

/* Lock some ranges; of the one that is not to be had `other` is who has it. */
static int set_locks(int fd, const struct lock_range *range, unsigned int n,
		     enum block_lock_mode mode, struct flock *other)
{
	for (; n > 0; n--, range++) {
		struct flock lock = flock_of(range->type[mode], range->start,
					     range->length);
		int rc;

		if (lock.l_type == F_UNLCK)
			continue;
		rc = set_lock(fd, lock);
		if (rc == -EAGAIN)
			*other = look_at_lock(fd, lock);
		if (rc)
			return rc;
	}
	return 0;
}

/* Whether another description has what would be in the way of `lock`. */
static bool is_in_use(int fd, struct flock lock, struct flock *other)
{
	*other = look_at_lock(fd, lock);
	return other->l_type != F_UNLCK;
}

/*
 * Whether a worker's descriptions are locked that this one cannot be beside:
 * those that have any for a writer, and those of a writer for a reader.
 */
static bool is_in_flight(int fd, enum block_lock_mode mode, struct flock *other)
{
	short type = mode == BLOCK_LOCK_READ ? F_RDLCK : F_WRLCK;

	return is_in_use(fd, flock_of(type, LOCK_DATA_BYTE, 2), other);
}

/* Whether a worker reads for this one. */
static bool is_read_for(int fd, uint64_t owner, struct flock *other)
{
	return is_in_use(fd, flock_of(F_WRLCK, owner_byte(owner), 1), other);
}

/* As block_lock_take(), once; `other` is who has it, as far as is known. */
static int try_once(int fd, enum block_lock_mode mode,
		    const struct block_user *user, struct flock *other)
{
	int rc = set_locks(fd, lock_claim, LOCK_COUNT(lock_claim), mode, other);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < LOCK_COUNT(lock_tests); i++)
		if (lock_tests[i].matters[mode] &&
		    is_in_use(fd, flock_of(F_WRLCK, lock_tests[i].byte, 1),
			      other))
			return -EAGAIN;
	if (is_in_flight(fd, mode, other))
		return -EAGAIN;
	if (mode == BLOCK_LOCK_READ && user->successor && user->owner &&
	    is_read_for(fd, user->owner, other))
		return -EAGAIN;
	return 0;
}

static int explain(const char *file, int fd, int rc, enum block_lock_mode mode,
		   const struct block_user *user, const struct flock *other,
		   char error[BLOCK_ERROR_MAX])
{
	long pid = other->l_type != F_UNLCK ? other->l_pid : 0;

	if (rc != -EAGAIN)
		return block_explain(error, rc, file,
				     "cannot be locked against other users "
				     "(%s): keep it on a file system that has "
				     "locks",
				     strerror(-rc));
	if (mode == BLOCK_LOCK_READ && other->l_type != F_UNLCK &&
	    other->l_start >= LOCK_OWNERS)
		return block_explain(error, rc, file,
				     "still read by requests of the process "
				     "before, which its store has not ended");
	/* A lock of an open file description has none. */
	if (pid <= 0 && user->in_use != BLOCK_IN_USE_ASK)
		pid = block_lock_holder(fd);
	if (pid == getpid())
		return block_explain(error, rc, file,
				     "already in use by another disk of this "
				     "process: use another image");
	if (pid > 0)
		return block_explain(error, rc, file,
				     "already in use by another process "
				     "(pid %ld): stop it, or use another image",
				     pid);
	return block_explain(error, rc, file,
			     "already in use by another process or disk: "
			     "stop it, or use another image; lslocks(8) may "
			     "show it");
}

int block_lock_take(int fd, const char *file, enum block_lock_mode mode,
		    const struct block_user *user, char error[BLOCK_ERROR_MAX])
{
	const bool waits = user->in_use == BLOCK_IN_USE_WAIT;
	const unsigned int tries = waits ? LOCK_TRIES : 0;
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	struct flock other = { .l_type = F_UNLCK };
	int rc;

	for (unsigned int try = 0;; try++) {
		rc = try_once(fd, mode, user, &other);
		if (rc == 0)
			return 0;
		/* What was locked until then. */
		block_lock_release(fd);
		if (rc != -EAGAIN || try == tries)
			return explain(file, fd, rc, mode, user, &other, error);
		nanosleep(&pause, NULL);
	}
}

bool block_lock_is_lent(int fd)
{
	struct flock lent = flock_of(F_WRLCK, LOCK_LENT_BYTE, 1);

	return look_at_lock(fd, lent).l_type == F_RDLCK;
}

void block_lock_release(int fd)
{
	set_lock(fd, flock_of(F_UNLCK, 0, 0));
}

bool block_lock_part_is_held(int fd, enum block_lock_mode mode, uint64_t claim)
{
	struct flock other;

	return mode == BLOCK_LOCK_READ ? is_read_for(fd, claim, &other) :
					 is_in_flight(fd, mode, &other);
}

/* For data of a reader: of its claim, and of whom it reads for. */
static int lock_readers(int fd, uint64_t claim, uint64_t owner)
{
	int rc = set_lock(fd, flock_of(F_RDLCK, owner_byte(claim), 1));

	if (rc == 0 && owner)
		rc = set_lock(fd, flock_of(F_RDLCK, owner_byte(owner), 1));
	return rc;
}

int block_lock_take_part(int fd, int sync_fd, enum block_lock_mode mode,
			 uint64_t claim, uint64_t owner)
{
	struct flock other;
	int rc = set_locks(fd, lock_data, LOCK_COUNT(lock_data), mode, &other);

	if (rc == 0 && mode == BLOCK_LOCK_READ)
		rc = lock_readers(fd, claim, owner);
	if (rc == 0 && sync_fd >= 0)
		rc = set_locks(sync_fd, lock_sync, LOCK_COUNT(lock_sync), mode,
			       &other);
	if (rc == 0)
		return 0;
	block_lock_release(fd);
	if (sync_fd >= 0)
		block_lock_release(sync_fd);
	return rc == -EAGAIN ? -EBUSY : rc;
}
