/* SPDX-License-Identifier: MIT */
/*
 * What mmio.c, which has the registers of version 2 and of both versions, and
 * mmio_legacy.c, which has those of version 1 alone, say to each other.
 */
#ifndef VIRTIO_MMIO_REGISTERS_H
#define VIRTIO_MMIO_REGISTERS_H

#include <stddef.h>

#include "virtio/mmio.h"

/* The selected queue's state, or NULL if there is no such queue. */
static inline struct virtio_queue_state *
virtio_mmio_selected(const struct virtio_device *dev)
{
	uint32_t sel = dev->state->queue_sel;

	return sel < dev->nqueues ? &dev->state->queue[sel] : NULL;
}

/*
 * Read and write a register of version 1, of 32 bits; as virtio_mmio_read() and
 * virtio_mmio_write().
 */
uint32_t virtio_mmio_legacy_read(const struct virtio_device *dev,
				 uint64_t offset);
enum virtio_answer virtio_mmio_legacy_write(struct virtio_device *dev,
					    uint64_t offset, uint32_t value);

#endif
