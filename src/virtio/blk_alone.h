/* SPDX-License-Identifier: MIT */
/* What blk.c has for blk_alone.c. */
#ifndef VIRTIO_BLK_ALONE_H
#define VIRTIO_BLK_ALONE_H

#include "virtio/blk.h"

/* As virtio_blk_repop(), for one chain: see virtio_blk_repop_alone(). */
bool virtio_blk_repop_one(struct virtio_blk_queue *bq,
			  struct block_request **req);

#endif
