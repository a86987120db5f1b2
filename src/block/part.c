/* SPDX-License-Identifier: MIT */
/*
 * What a worker is given of an image; see block/part.h and block/claim.h.
 *
 *   is it free?   the lock of the part before is looked at, by the claim's
 *                 descriptor: nothing is opened while a request is in flight
 *   open          the file twice more: for data, and for fdatasync, which has a
 *                 report of lost writes of its own (sync.c)
 *   lock          both, each its byte (lock.c)
 *   ask           whether the kernel has failed to write back what the parts
 *                 before have written
 *
 * From then on the part is nobody's but who gets it. The kernel drops its locks
 * when it has been closed and the last request in flight is done.
 *
 * The kernel tells of such a failure once for each open of the file: the dead
 * worker may have heard of it and said it to nobody. The claim's descriptor was
 * open all the time and flushes nothing, so it has not heard of it. It is asked
 * when the new one for fdatasync is open, which hears of all that comes later.
 * A failure of which the dead has told is told again, also one that has cost
 * nothing, so a disk may be held for damaged that is not; but never where each
 * write was stable before it was acknowledged. What a device itself fails to
 * flush, and not the kernel to write, is told to who flushes and to nobody
 * else.
 *
 * Failure modes: a file that can be opened only once has no part. Where it is
 * only the one for fdatasync that cannot be had, there is none, and the worker
 * makes no write with RWF_DSYNC.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "block/claim.h"
#include "explain.h"
#include "lock.h"
#include "store.h"

/* So far from the largest offset that a page around it is below that. */
enum { LAST_BYTES = 1 << 20 };

static int set_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return -errno;
	return 0;
}

static int open_part(const struct block_claim *claim, struct block_part *part)
{
	const struct block_facts *facts = &part->facts;
	int rc;

	part->fd = block_store_open_again(claim->fd, claim->file,
					  facts->readonly);
	if (part->fd < 0)
		return part->fd;
	rc = facts->direct ? set_direct(part->fd) : 0;
	if (rc == 0 && !facts->readonly)
		part->sync_fd = block_store_open_again(claim->fd, claim->file,
						       false);
	if (part->sync_fd < 0)
		part->sync_fd = -1;
	return rc;
}

static int lock_part(const struct block_claim *claim,
		     const struct block_part *part)
{
	if (!claim->locked)
		return 0;
	return block_lock_take_part(part->fd, part->sync_fd,
				    block_lock_mode(&part->facts),
				    claim->number, claim->user.owner);
}

/*
 * To wait for the pages of the last block that a file could have, which there
 * are none of, and then to be told of any failure: nothing is written.
 */
static int read_report(int fd)
{
	return sync_file_range(fd, INT64_MAX - LAST_BYTES, 1,
			       SYNC_FILE_RANGE_WAIT_BEFORE) ?
		       errno :
		       0;
}

/* Also of what was never written back by anybody's fdatasync. */
static void look_for_loss(struct block_claim *claim)
{
	struct block_facts *facts = &claim->facts;
	int error;

	if (facts->readonly || facts->write_through || facts->flush_is_noop ||
	    !claim->given || facts->lost)
		return;
	error = read_report(claim->fd);
	/* Where there is no such question nobody can answer it. */
	if (error != ENOSYS && error != EINVAL && error != EPERM)
		facts->lost = (uint16_t)error;
}

static int explain(const struct block_claim *claim, int rc,
		   char error[BLOCK_ERROR_MAX])
{
	if (rc == -EBUSY)
		return block_explain(error, rc, claim->file,
				     "still in use by requests of the worker "
				     "before, which its store has not ended");
	if (rc == -ESTALE)
		return block_explain(error, rc, claim->file,
				     "is not the file any more that was "
				     "opened: put that back");
	return block_explain(error, rc, claim->file,
			     "cannot be opened once more: %s", strerror(-rc));
}

static bool is_busy(const struct block_claim *claim)
{
	return claim->locked &&
	       block_lock_part_is_held(claim->fd,
				       block_lock_mode(&claim->facts),
				       claim->number);
}

int block_claim_part(struct block_claim *claim, struct block_part *part,
		     char error[BLOCK_ERROR_MAX])
{
	int rc;

	part->facts = claim->facts;
	part->fd = -1;
	part->sync_fd = -1;
	if (claim->fd < 0)
		return 0;
	if (is_busy(claim))
		return explain(claim, -EBUSY, error);
	rc = open_part(claim, part);
	if (rc == 0)
		rc = lock_part(claim, part);
	if (rc == 0) {
		look_for_loss(claim);
		claim->given = true;
		part->facts.lost = claim->facts.lost;
		return 0;
	}
	/* A descriptor that was not had is an errno. */
	if (part->fd < 0)
		part->fd = -1;
	block_part_close(part);
	return explain(claim, rc, error);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void block_part_close(struct block_part *part)
{
	close_one(&part->fd);
	close_one(&part->sync_fd);
}
