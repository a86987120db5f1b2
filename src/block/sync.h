/* SPDX-License-Identifier: MIT */
/*
 * Flushing an image: one thread for all of its engines, and the memory of what
 * it could not make stable.
 */
#ifndef BLOCK_SYNC_H
#define BLOCK_SYNC_H

#include "block/image.h"
#include "outbox.h"

/* In block_request.seen: it has been flushed, `result` is final. */
#define BLOCK_SYNC_DONE UINT32_MAX

/*
 * Make image->sync. `fd` is for fdatasync and is its own from then on, or -1:
 * then that of the image has to do. Returns 0 or a negative errno.
 */
int block_sync_open(struct block_image *image, int fd);
/* Stop and free it; nothing may wait. Also where there is none. */
void block_sync_close(struct block_image *image);

/* Is the kernel's report of a lost write to a flush its own, and only that? */
bool block_sync_has_own_report(const struct block_sync *sync);

/* The descriptor that it was opened with, or -1. */
int block_sync_fd(const struct block_sync *sync);

/*
 * Flush on behalf of a request: with the next fdatasync that begins. The
 * request comes back by `outbox`, with its result set and `seen`
 * BLOCK_SYNC_DONE.
 */
void block_sync_submit(struct block_sync *sync, struct block_outbox *outbox,
		       struct block_request *req);

/* Do it in the thread (see perform.h), where no other can; it comes back so. */
void block_sync_perform(struct block_sync *sync, struct block_outbox *outbox,
			struct block_request *req);

/* A write that nobody promised to be stable has succeeded. */
void block_sync_note_write(struct block_sync *sync,
			   const struct block_request *req);

/* A write with RWF_DSYNC failed, with other than its own fault. */
void block_sync_note_failure(struct block_sync *sync, int error);

#endif
