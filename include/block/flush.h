/* SPDX-License-Identifier: MIT */
/*
 * Flushing an image outside of any engine, by the image's own thread: for who
 * has no queue and must not wait.
 */
#ifndef BLOCK_FLUSH_H
#define BLOCK_FLUSH_H

#include <stdbool.h>

#include "block/image.h"

struct block_flush;

/* Of a writable image, which must outlive it. 0 or a negative errno. */
int block_flush_open(struct block_flush **flush, struct block_image *image);

/* Waits for a flush that is under way. NULL is allowed. */
void block_flush_close(struct block_flush *flush);

/* Readable (EPOLLIN) when block_flush_collect() is to be called; not owned. */
int block_flush_fd(const struct block_flush *flush);

/*
 * Make stable what was written until now; one at a time. What cannot be is
 * noted by the image: block_image_flush_error().
 */
void block_flush_start(struct block_flush *flush);

/* Whether it is done; to be called where the descriptor is readable. */
bool block_flush_collect(struct block_flush *flush);

bool block_flush_is_busy(const struct block_flush *flush);

#endif
