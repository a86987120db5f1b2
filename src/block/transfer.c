/* SPDX-License-Identifier: MIT */
/*
 * The progress of one read or write; see transfer.h.
 *
 * Failure modes: a read that meets the end of the store is -EIO, for the caller
 * has checked the range against the image's size and so the store has shrunk. A
 * write of which the kernel takes nothing is -EIO too. -EINTR and -EAGAIN mean
 * that nothing was moved this time: the request goes on where it was. What a
 * store says to be unable to do is -ENOSYS.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "transfer.h"

_Static_assert(sizeof(struct virtio_iov) == sizeof(struct iovec) &&
		       offsetof(struct virtio_iov, base) ==
			       offsetof(struct iovec, iov_base) &&
		       offsetof(struct virtio_iov, len) ==
			       offsetof(struct iovec, iov_len),
	       "an array of virtio_iov goes to the kernel uncopied");

/* Linux's UIO_MAXIOV, which limits.h may hide or put otherwise. */
#define TRANSFER_IOV_MAX 1024u

/* The general case of block_transfer_next(): many segments, or resumed. */
void block_transfer_resume(const struct block_request *req,
			   struct block_transfer *next)
{
	const struct virtio_iov *iov = req->iov;
	const struct virtio_iov *end = iov + req->niov;
	uint64_t skip = req->done;

	assert(req->done < req->length);
	/* Also passes segments of no length: the kernel must see progress. */
	while (iov < end && skip >= iov->len)
		skip -= iov++->len;
	assert(iov < end);

	next->offset = req->offset + req->done;
	if (skip > 0 || iov->len > BLOCK_TRANSFER_MAX || iov + 1 == end) {
		size_t rest = iov->len - (size_t)skip;

		next->niov = 0;
		next->base = (char *)iov->base + skip;
		next->len = rest < BLOCK_TRANSFER_MAX ? (unsigned int)rest :
							BLOCK_TRANSFER_MAX;
		return;
	}
	next->iov = (const struct iovec *)(const void *)iov;
	next->niov = end - iov < TRANSFER_IOV_MAX ? (unsigned int)(end - iov) :
						    TRANSFER_IOV_MAX;
}

/* -EOPNOTSUPP would tell the driver that there is no such request. */
static int error_of(int64_t answer)
{
	if (answer == 0)
		return -EIO;
	return answer == -EOPNOTSUPP ? -ENOSYS : (int)answer;
}

bool block_transfer_advance(struct block_request *req, int64_t answer)
{
	if (answer == -EINTR || answer == -EAGAIN)
		return false;
	if (answer <= 0) {
		req->result = error_of(answer);
		return true;
	}
	req->done += (uint64_t)answer;
	assert(req->done <= req->length);
	if (req->done < req->length)
		return false;
	req->result = 0;
	return true;
}

static bool is_modifying(const struct block_request *req)
{
	return req->op == BLOCK_WRITE || block_transfer_is_range(req);
}

bool block_transfer_begin(const struct block_image *image,
			  struct block_request *req)
{
	req->done = 0;
	req->engine_data = NULL;
	req->result = 0;
	if (image->readonly && is_modifying(req))
		req->result = -EROFS;
	/* One with something to flush does not come here: see sync.h. */
	else if (req->op == BLOCK_FLUSH)
		return true;
	else if (req->length > 0)
		return false;
	return true;
}
