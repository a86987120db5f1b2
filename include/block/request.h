/* SPDX-License-Identifier: MIT */
/*
 * One block request, as the device core hands it to a block engine.
 *
 * The caller owns the request, its iov array and the memory that it names until
 * the engine gives it back from reap(). The core embeds this struct in its
 * request slot, so nothing is allocated on the data path.
 */
#ifndef BLOCK_REQUEST_H
#define BLOCK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/iov.h"

enum block_op {
	BLOCK_READ,         /* store -> iov */
	BLOCK_WRITE,        /* iov -> store */
	BLOCK_FLUSH,        /* make every completed write stable; no iov */
	BLOCK_DISCARD,      /* the range's content is no longer needed */
	BLOCK_WRITE_ZEROES, /* the range reads as zeroes afterwards */
	BLOCK_SECURE_ERASE, /* ... is destroyed, wherever it was copied to */
	BLOCK_OPS,          /* how many there are */
};

enum block_request_flags {
	/* BLOCK_WRITE, BLOCK_WRITE_ZEROES: stable before it completes */
	BLOCK_STABLE = 1 << 0,
	/* BLOCK_WRITE_ZEROES: the store may deallocate the range */
	BLOCK_MAY_UNMAP = 1 << 1,
	/*
	 * The iov's pages cannot be pinned by the kernel (Xen foreign
	 * mappings): O_DIRECT has to go through a bounce buffer.
	 */
	BLOCK_UNPINNABLE = 1 << 2,
};

struct block_request {
	/* Set by the caller before queue(). */
	uint8_t op;      /* enum block_op */
	uint8_t flags;   /* enum block_request_flags */
	uint32_t niov;   /* entries of iov */
	uint64_t offset; /* bytes from the image's start */
	uint64_t length; /* bytes; the sum of iov's lengths */
	const struct virtio_iov *iov;
	/*
	 * Of a DISCARD, WRITE_ZEROES or SECURE_ERASE, undefined for others.
	 * When this becomes true nobody needs the request any more, and an
	 * engine may end it early, as -ECANCELED. Set by any thread at any
	 * time, read atomically. NULL: never.
	 */
	const bool *stop;

	/*
	 * Set by the engine before reap() returns the request: 0 or a negative
	 * errno. -EOPNOTSUPP, that the store has no such operation, is never
	 * that of a read or a write.
	 */
	int result;

	/*
	 * The engine's own, from queue() to reap(): list link and state.
	 * After reap(), `next` links the returned list.
	 */
	uint32_t seen; /* image->failures when it was queued */
	struct block_request *next;
	uint64_t done; /* bytes moved so far */
	void *engine_data;
};

#endif
