/* SPDX-License-Identifier: MIT */
/*
 * What a store can do with ranges; see ability.h.
 *
 * A device is asked by the request itself with a range that no device takes:
 * one that cannot do it at all says so first. A file is asked by punching a
 * hole where it has nothing, behind its end: inside, somebody might be writing
 * (a disk that migrates is open twice). A store may know the operation and
 * refuse that range, as network and FUSE file systems do that punch inside
 * only; so it is only those errors that say no which say that it does not know
 * it. The unit in which a device discards is in sysfs only, in the directory of
 * the whole disk for a partition.
 *
 * A host-managed zoned device takes writes at its zones' write pointers only:
 * as a plain disk it would fail most writes, so it is refused.
 *
 * Failure modes: what cannot be found out counts as not possible, but for the
 * unit: then it is a block. A file that can do it nowhere, and says so with an
 * error that means something else, is offered; its guest is told by the first
 * request that it cannot. One that can do it inside only, and says behind its
 * end that it cannot at all, is not offered: to ask it inside, even where it
 * says that it has a hole, would be at the guest's risk.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ability.h"
#include "explain.h"
#include "limits.h"

/* Behind the end of the file: far, in case that it is growing right now. */
#define ABILITY_FAR (UINT64_C(1) << 30)

static bool read_number(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return true;
}

/* An attribute of the device's request queue. */
static bool read_attribute(int fd, const char *name, char *text, size_t size)
{
	/* Of the device itself, else of the disk that it is a part of. */
	static const char *const owners[] = { "", "/.." };
	char path[96];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/queue/%s",
			 major(st.st_rdev), minor(st.st_rdev), owners[i], name);
		if (read_number(path, text, size))
			return true;
	}
	return false;
}

/* The range is of no length that a device takes; nothing is ever done. */
static bool look_at_device(int fd, unsigned long request)
{
	uint64_t range[2] = { 1, 1 };

	return ioctl(fd, request, range) < 0 && errno == EINVAL;
}

/* Does this error of a range say that no range will do? */
static bool is_denied(int error)
{
	switch (error) {
	case EOPNOTSUPP:
	case ENOSYS:
	case ENOTTY:
	case ENODEV:
	case ESPIPE:
	case EPERM:
	case EACCES:
	case EROFS:
	case EBADF:
	case ETXTBSY:
		return true;
	default:
		return false;
	}
}

static bool can_punch(const struct block_claim *claim)
{
	uint64_t last = INT64_MAX - claim->facts.size, from = claim->facts.size;
	uint64_t length;
	int rc;

	/* Where no file can be longer there is less than a block left. */
	from += last > 2 * ABILITY_FAR ? ABILITY_FAR : 0;
	length = INT64_MAX - from < claim->facts.block_size ?
			 INT64_MAX - from :
			 claim->facts.block_size;
	if (length == 0)
		return false;
	do
		rc = fallocate(claim->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (off_t)from, (off_t)length);
	while (rc < 0 && errno == EINTR);
	return rc == 0 || !is_denied(errno);
}

static unsigned int read_granularity(const struct block_claim *claim)
{
	char text[24];
	unsigned long n;

	if (!claim->facts.is_block_device)
		return claim->facts.physical_block_size;
	if (!read_attribute(claim->fd, "discard_granularity", text,
			    sizeof(text)))
		return claim->facts.block_size;
	n = strtoul(text, NULL, 10);
	return n > claim->facts.block_size && n <= BLOCK_GRANULARITY_MAX ?
		       (unsigned int)n :
		       claim->facts.block_size;
}

static bool is_host_managed(int fd)
{
	unsigned int sectors = 0;
	char model[24];

	if (read_attribute(fd, "zoned", model, sizeof(model)))
		return strcmp(model, "host-managed") == 0;
	return ioctl(fd, BLKGETZONESZ, &sectors) == 0 && sectors > 0;
}

int block_ability(struct block_claim *claim, const char *file,
		  char error[BLOCK_ERROR_MAX])
{
	bool discards;

	if (claim->fd < 0) {
		claim->facts.discard_granularity = claim->facts.block_size;
		return 0;
	}
	if (claim->facts.is_block_device && is_host_managed(claim->fd))
		return block_explain(error, -EINVAL, file,
				     "is a host-managed zoned device, which "
				     "cannot be a disk of the guest: use a "
				     "device that takes writes anywhere");
	if (claim->facts.readonly)
		return 0;
	discards = claim->facts.is_block_device ?
			   look_at_device(claim->fd, BLKDISCARD) :
			   can_punch(claim);
	if (discards)
		claim->facts.discard_granularity = read_granularity(claim);
	claim->facts.can_secure_erase = claim->facts.is_block_device &&
					look_at_device(claim->fd,
						       BLKSECDISCARD);
	return 0;
}
