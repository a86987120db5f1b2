/* SPDX-License-Identifier: MIT */
/*
 * An image as a worker has it; see block/image.h.
 *
 *   facts       are they possible?            (facts.c)
 *   part        are the descriptors of that file, opened so?
 *   sync        how it is flushed             (sync.c)
 *   gate        parts of the store's blocks   (gate.c)
 *
 * The lock that says that requests may be in flight is of the descriptor by
 * which they are made: it stays until the last one has ended.
 *
 * Failure modes: each leaves one sentence in `error` and nothing open.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/image.h"
#include "explain.h"
#include "gate.h"
#include "lock.h"
#include "sync.h"

/* The smallest part of a disk that can be written. */
#define IMAGE_SECTOR 512u

/* ---- what was given ---- */

/*
 * A file system of a user's (FUSE) may tell another user nothing of a file that
 * he has open, as a worker has.
 */
static bool is_of(const struct block_facts *facts, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return errno == EACCES;
	return st.st_dev == facts->device && st.st_ino == facts->inode &&
	       (facts->is_block_device ?
			S_ISBLK(st.st_mode) && st.st_rdev == facts->rdev :
			S_ISREG(st.st_mode));
}

/* Whether it was opened for what it is used for, and for nothing else. */
static bool is_opened_so(const struct block_facts *facts, int fd, bool direct)
{
	const int wanted = (facts->readonly ? O_RDONLY : O_RDWR) |
			   (direct ? O_DIRECT : 0);
	const int looked_at = O_ACCMODE | O_DIRECT | O_APPEND | O_NONBLOCK |
			      O_PATH | O_DSYNC;
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & looked_at) == wanted;
}

static const char *part_fault(const struct block_part *part)
{
	const struct block_facts *facts = &part->facts;
	const char *fault = block_facts_fault(facts);

	if (fault)
		return fault;
	if (!facts->has_file)
		return part->fd >= 0 || part->sync_fd >= 0 ?
			       "there is a descriptor of no file" :
			       NULL;
	if (part->fd < 0)
		return "there is no descriptor";
	if (!is_of(facts, part->fd))
		return "its descriptor is of another file";
	if (!is_opened_so(facts, part->fd, facts->direct))
		return "its descriptor was not opened as it says";
	if (part->sync_fd < 0)
		return NULL;
	if (facts->readonly)
		return "a reader has something to flush";
	if (!is_of(facts, part->sync_fd))
		return "its descriptor for flushing is of another file";
	if (!is_opened_so(facts, part->sync_fd, false))
		return "its descriptor for flushing was not opened as it says";
	return NULL;
}

static int check(const struct block_part *part, char error[BLOCK_ERROR_MAX])
{
	const char *fault = part_fault(part);
	char name[BLOCK_NAME_MAX + 1];

	if (!fault)
		return 0;
	/* Nothing is known of its end. */
	snprintf(name, sizeof(name), "%.*s", BLOCK_NAME_MAX, part->facts.name);
	return block_explain(error, -EPROTO, name[0] ? name : "an image",
			     "what the worker was told of it cannot be: %s",
			     fault);
}

/* ---- opening ---- */

/* A file is known by its file system and number, a device by its own number. */
static void identify(struct block_image *image, const struct block_facts *facts)
{
	if (!facts->has_file)
		return;
	image->store[0] = facts->is_block_device ? facts->rdev : facts->device;
	image->store[1] = facts->is_block_device ? UINT64_MAX : facts->inode;
}

static void take_facts(struct block_image *image,
		       const struct block_facts *facts)
{
	*image = (struct block_image){
		.fd = -1,
		.size = facts->size,
		.block_size = facts->block_size,
		.physical_block_size = facts->physical_block_size,
		.alignment_offset = facts->alignment_offset,
		.min_io_size = facts->min_io_size,
		.opt_io_size = facts->opt_io_size,
		.discard_granularity = facts->discard_granularity,
		.can_secure_erase = facts->can_secure_erase,
		.store_block_size = facts->store_block_size,
		.dio_align = facts->dio_align,
		.dio_mem_align = facts->dio_mem_align,
		.readonly = facts->readonly,
		.lends = facts->lends,
		.direct = facts->direct,
		.write_waits = facts->write_waits,
		.is_block_device = facts->is_block_device,
		.flush_is_noop = facts->flush_is_noop,
		.write_through = facts->write_through,
		.flush_error = -facts->lost,
	};
	identify(image, facts);
}

/* What may have been written can be flushed. */
static int set_sync(struct block_image *image, struct block_part *part)
{
	int rc;

	if (image->fd < 0 || image->readonly)
		return 0;
	rc = block_sync_open(image, part->sync_fd);
	if (rc)
		return rc;
	part->sync_fd = -1;
	image->dsync = image->direct && block_sync_has_own_report(image->sync);
	return 0;
}

/* Drivers may write parts of the store's blocks. */
static int set_gate(struct block_image *image)
{
	if (image->readonly || !image->direct ||
	    image->dio_align <= IMAGE_SECTOR)
		return 0;
	return block_gate_open(image);
}

int block_image_open(struct block_image *image, struct block_part *part,
		     char error[BLOCK_ERROR_MAX])
{
	int rc = check(part, error);

	*image = (struct block_image){ .fd = -1 };
	if (rc == 0) {
		take_facts(image, &part->facts);
		image->fd = part->fd;
		part->fd = -1;
		rc = set_sync(image, part);
		if (rc == 0)
			rc = set_gate(image);
		if (rc)
			block_explain(error, rc, part->facts.name, "no memory");
	}
	block_part_close(part);
	if (rc)
		block_image_close(image);
	return rc;
}

/* ---- one that lends ---- */

int block_image_lock(struct block_image *image)
{
	assert(image->lends);
	return block_lock_take_part(image->fd, block_sync_fd(image->sync),
				    BLOCK_LOCK_LENT, 0, 0);
}

void block_image_unlock(struct block_image *image)
{
	int sync_fd = block_sync_fd(image->sync);

	assert(image->lends);
	block_lock_release(image->fd);
	if (sync_fd >= 0)
		block_lock_release(sync_fd);
}

void block_image_close(struct block_image *image)
{
	block_gate_close(image);
	block_sync_close(image);
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
}
