/* SPDX-License-Identifier: MIT */
/*
 * One request, done with blocking system calls.
 *
 * Reads and writes are looped until complete. FLUSH is not for here (sync.c),
 * nor is what makes a write of zeroes stable. What works on a range without
 * data is here for all engines, because none of the kernel's asynchronous
 * interfaces has it without a thread of its own behind:
 *
 *   DISCARD        file: punch a hole           device: BLKDISCARD
 *   SECURE_ERASE   file: never                  device: BLKSECDISCARD, once
 *                                               more where its page cache is
 *                                               dirty
 *   WRITE_ZEROES   may unmap: punch a hole (a device zeroes by unmapping), else
 *                  zero the range keeping it allocated, else write zeroes;
 *                  these also where a device's page cache is dirty
 *
 * A store that cannot do one is asked again for the next request: the attempt
 * costs little, and the answer may depend on the range.
 *
 * A range of zeroes is done in parts, and whoever made the request may stop it
 * between two (block_request.stop): it may be long, and a guest that resets its
 * device waits for it.
 *
 * Failure modes: the first error ends the request and is its result. A store
 * that cannot discard makes a DISCARD -EOPNOTSUPP; WRITE_ZEROES always has the
 * last resort. With O_DIRECT what comes here is whole blocks (bounce.c), but
 * for a DISCARD.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "perform.h"
#include "transfer.h"

/* What WRITE_ZEROES writes at once, at most: ZEROES_IOV times ZEROES_LEN. */
#define ZEROES_LEN 4096u
#define ZEROES_IOV 256u
/* A part of a range that the store zeroes by itself. */
#define ZEROES_PART ((uint64_t)64 << 20)

/* A driver that writes what is being erased may make it dirty once more. */
#define ERASE_TRIES 8u

/* Aligned for O_DIRECT. */
static const char zeroes[ZEROES_LEN] __attribute__((aligned(4096)));

static int64_t perform_part(const struct block_image *image,
			    const struct block_request *req)
{
	struct block_transfer t;
	struct iovec one;
	ssize_t n;

	block_transfer_next(req, &t);
	if (t.niov == 0) {
		one = (struct iovec){ .iov_base = t.base, .iov_len = t.len };
		t.iov = &one;
		t.niov = 1;
	}
	if (req->op == BLOCK_READ)
		n = preadv2(image->fd, t.iov, (int)t.niov, (off_t)t.offset, 0);
	else
		n = pwritev2(image->fd, t.iov, (int)t.niov, (off_t)t.offset,
			     block_transfer_is_dsync(image, req) ? RWF_DSYNC :
								   0);
	return n < 0 ? -errno : n;
}

static void transfer_part(const struct block_image *image,
			  struct block_request *req)
{
	while (!block_transfer_advance(req, perform_part(image, req)))
		;
}

static bool is_stopped(const struct block_request *req)
{
	return req->stop && __atomic_load_n(req->stop, __ATOMIC_RELAXED);
}

static int fallocate_range(const struct block_image *image, int mode,
			   uint64_t offset, uint64_t length)
{
	int rc;

	do
		rc = fallocate(image->fd, mode | FALLOC_FL_KEEP_SIZE,
			       (off_t)offset, (off_t)length);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* The last resort of WRITE_ZEROES; goes on from req->done to `end`. */
static int write_zeroes(const struct block_image *image,
			struct block_request *req, uint64_t end)
{
	struct iovec iov[ZEROES_IOV];
	unsigned int i;
	ssize_t n;

	while (req->done < end) {
		uint64_t left = end - req->done;

		if (is_stopped(req))
			return -ECANCELED;
		for (i = 0; i < ZEROES_IOV && left > 0; i++) {
			iov[i].iov_base = (void *)(uintptr_t)zeroes;
			iov[i].iov_len = left < ZEROES_LEN ? left : ZEROES_LEN;
			left -= iov[i].iov_len;
		}
		n = pwritev2(image->fd, iov, (int)i,
			     (off_t)(req->offset + req->done), 0);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0)
			return -EIO;
		if (n > 0)
			req->done += (uint64_t)n;
	}
	return 0;
}

/*
 * A device refuses where the page cache has something dirty, as another
 * descriptor has claimed it: then it is the cache that is zeroed.
 */
static int fallocate_part(const struct block_image *image, int mode,
			  struct block_request *req, uint64_t part)
{
	int rc = fallocate_range(image, mode, req->offset + req->done, part);

	if (rc == -EBUSY)
		return write_zeroes(image, req, req->done + part);
	if (rc == 0)
		req->done += part;
	return rc;
}

/* Zero a range in parts; goes on from req->done. */
static int fallocate_parts(const struct block_image *image, int mode,
			   struct block_request *req)
{
	while (req->done < req->length) {
		uint64_t left = req->length - req->done;
		uint64_t part = left < ZEROES_PART ? left : ZEROES_PART;
		int rc;

		if (is_stopped(req))
			return -ECANCELED;
		rc = fallocate_part(image, mode, req, part);
		if (rc)
			return rc;
	}
	return 0;
}

/* The several ways in which kernels say that a store cannot do something. */
static bool is_unsupported(int rc)
{
	return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -ENODEV ||
	       rc == -ENOTTY || rc == -EINVAL;
}

/*
 * A device does whole blocks and refuses others, and it refuses what is dirty
 * in the page cache. To discard less than was asked for is allowed, even
 * nothing.
 */
static int discard_blocks(const struct block_image *image,
			  const struct block_request *req)
{
	uint64_t mask = (image->store_block_size > image->block_size ?
				 image->store_block_size :
				 image->block_size) -
			1;
	uint64_t begin = (req->offset + mask) & ~mask;
	uint64_t end = (req->offset + req->length) & ~mask;
	uint64_t range[2] = { begin, end - begin };

	if (begin >= end)
		return 0;
	if (ioctl(image->fd, BLKDISCARD, range) == 0 || errno == EBUSY)
		return 0;
	return -errno;
}

static int discard_range(const struct block_image *image,
			 const struct block_request *req)
{
	int rc;

	if (image->is_block_device)
		rc = discard_blocks(image, req);
	else
		rc = fallocate_range(image, FALLOC_FL_PUNCH_HOLE, req->offset,
				     req->length);
	return is_unsupported(rc) ? -EOPNOTSUPP : rc;
}

/*
 * All of the range or an error; nothing else will do in its place. What is
 * dirty in the page cache, which a device refuses, begins to be written, and
 * the device waits for that. Nothing is waited for here: so the report of what
 * could not be written stays for who flushes.
 */
static int erase_range(const struct block_image *image,
		       const struct block_request *req)
{
	uint64_t range[2] = { req->offset, req->length };

	if (!image->can_secure_erase)
		return -EOPNOTSUPP;
	for (unsigned int try = 1; ioctl(image->fd, BLKSECDISCARD, range);
	     try++) {
		if (errno != EBUSY || try == ERASE_TRIES)
			return -errno;
		sync_file_range(image->fd, (off_t)req->offset,
				(off_t)req->length, SYNC_FILE_RANGE_WRITE);
	}
	return 0;
}

static int zero_range(const struct block_image *image,
		      struct block_request *req)
{
	int rc = -EOPNOTSUPP;

	if (req->flags & BLOCK_MAY_UNMAP)
		rc = fallocate_parts(image, FALLOC_FL_PUNCH_HOLE, req);
	if (is_unsupported(rc))
		rc = fallocate_parts(image, FALLOC_FL_ZERO_RANGE, req);
	if (is_unsupported(rc))
		rc = write_zeroes(image, req, req->length);
	return rc;
}

void block_perform(const struct block_image *image, struct block_request *req)
{
	if (block_transfer_is_range(req) && is_stopped(req)) {
		req->result = -ECANCELED;
		return;
	}
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		transfer_part(image, req);
		return;
	case BLOCK_DISCARD:
		req->result = discard_range(image, req);
		return;
	case BLOCK_WRITE_ZEROES:
		req->result = zero_range(image, req);
		return;
	case BLOCK_SECURE_ERASE:
		req->result = erase_range(image, req);
		return;
	}
	assert(!"block_transfer_begin() answers an unknown operation");
}
