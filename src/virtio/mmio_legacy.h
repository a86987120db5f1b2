/* SPDX-License-Identifier: MIT */
/*
 * Registers that the legacy interface of the MMIO transport has of its own;
 * those of both versions are in mmio.c. VIRTIO 1.3, section 4.2.4.
 */
#ifndef VIRTIO_MMIO_LEGACY_H
#define VIRTIO_MMIO_LEGACY_H

#include <stddef.h>

#include "virtio/mmio.h"

/* The selected queue's state, or NULL if there is no such queue. */
static inline struct virtio_queue_state *
virtio_mmio_selected(const struct virtio_device *dev)
{
	uint32_t sel = dev->state->queue_sel;

	return sel < dev->nqueues ? &dev->state->queue[sel] : NULL;
}

/* Read and write a register, of 32 bits; as virtio_mmio_read() and _write(). */
uint32_t virtio_mmio_legacy_read(const struct virtio_device *dev,
				 uint64_t offset);
enum virtio_answer virtio_mmio_legacy_write(struct virtio_device *dev,
					    uint64_t offset, uint32_t value);

#endif
