/* SPDX-License-Identifier: MIT */
/*
 * The progress of one read or write through short transfers.
 *
 * The kernel may move less than it was asked for, and it takes at most IOV_MAX
 * segments at once. block_transfer_next() says what to ask for next and
 * block_transfer_advance() takes in what the kernel answered; between them
 * `req->done` is the only state. No iov is ever copied: when a transfer stopped
 * inside a segment the rest of that one segment goes alone, and then the
 * caller's own array is good again from the next segment on. That costs one
 * more system call after a short transfer, which is rare, and nothing else.
 */
#ifndef BLOCK_TRANSFER_H
#define BLOCK_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "block/image.h"
#include "block/request.h"

/* No single transfer is longer: the kernel's own limit is just below 2 GiB. */
#define BLOCK_TRANSFER_MAX (1u << 30)

/* What to ask of the kernel: `niov` segments, or one piece if niov is 0. */
struct block_transfer {
	const struct iovec *iov;
	unsigned int niov;
	void *base;
	unsigned int len;
	uint64_t offset; /* in the image */
};

void block_transfer_resume(const struct block_request *req,
			   struct block_transfer *next);

/* The next transfer of a read or write that is not complete. */
static inline void block_transfer_next(const struct block_request *req,
				       struct block_transfer *next)
{
	/* Nearly every request: one segment, not yet started. */
	if (req->done == 0 && req->niov == 1 &&
	    req->iov[0].len <= BLOCK_TRANSFER_MAX) {
		next->niov = 0;
		next->base = req->iov[0].base;
		next->len = (unsigned int)req->iov[0].len;
		next->offset = req->offset;
		return;
	}
	block_transfer_resume(req, next);
}

/*
 * Take in the kernel's answer: bytes moved or a negative errno. True when the
 * request is complete with `req->result` set, false when it has to go on.
 */
bool block_transfer_advance(struct block_request *req, int64_t answer);

/*
 * Look at a request before any work: true if it is answered already, with
 * `req->result` set. Resets the request's progress otherwise.
 */
bool block_transfer_begin(const struct block_image *image,
			  struct block_request *req);

/* Is it for perform.c, whatever the engine? */
static inline bool block_transfer_is_range(const struct block_request *req)
{
	return req->op == BLOCK_DISCARD || req->op == BLOCK_WRITE_ZEROES ||
	       req->op == BLOCK_SECURE_ERASE;
}

/* Has the data of this request to be stable before it completes? */
static inline bool block_transfer_is_stable(const struct block_image *image,
					    const struct block_request *req)
{
	if (image->flush_is_noop)
		return false;
	return image->write_through || (req->flags & BLOCK_STABLE);
}

/* ... and does the write itself see to that? Else it is flushed; see sync.h. */
static inline bool block_transfer_is_dsync(const struct block_image *image,
					   const struct block_request *req)
{
	return image->dsync && req->op == BLOCK_WRITE &&
	       block_transfer_is_stable(image, req);
}

#endif
