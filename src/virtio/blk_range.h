/* SPDX-License-Identifier: MIT */
/*
 * The requests that carry a list of ranges and no data: DISCARD, WRITE_ZEROES
 * and SECURE_ERASE. VIRTIO 1.3, section 5.2.6.
 */
#ifndef VIRTIO_BLK_RANGE_H
#define VIRTIO_BLK_RANGE_H

#include "virtio/blk.h"

/*
 * Take over the list, `bytes` long in slot->block.iov, and check it wholly: OK,
 * or how the request is to be answered. Called once per request.
 */
enum virtio_blk_status virtio_blk_range_take(struct virtio_blk_request *slot,
					     uint32_t type, uint64_t bytes);

/* Whether ranges that are not empty are left to do. */
bool virtio_blk_range_left(struct virtio_blk_request *slot);

/* Make slot->block the next range that is not empty; false: there is none. */
bool virtio_blk_range_next(struct virtio_blk_request *slot);

#endif
