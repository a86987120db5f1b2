/* SPDX-License-Identifier: MIT */
/*
 * A virtio driver for tests: its rings (model_ring.h), and setting a device up
 * by its MMIO registers.
 */
#ifndef MODEL_DRIVER_H
#define MODEL_DRIVER_H

#include "lib/model_ring.h"

#include "virtio/mmio.h"

/* Where the device is. */
enum { MODEL_WINDOW = 0x2000800, MODEL_IRQ = 33 };

uint32_t model_get(const struct virtio_device *dev, uint64_t offset);

enum virtio_answer model_set(struct virtio_device *dev, uint64_t offset,
			     uint32_t value);

uint64_t model_offered(struct virtio_device *dev);

void model_write_features(struct virtio_device *dev, uint64_t features);

/* From reset to FEATURES_OK: whether the device took the features. */
bool model_negotiate(struct virtio_device *dev, uint64_t features);

/* The addresses of the selected queue. */
void model_write_addresses(struct virtio_device *dev,
			   const struct model_ring *ring);

void model_set_queue(struct virtio_device *dev, uint32_t i,
		     const struct model_ring *ring);

void model_driver_ok(struct virtio_device *dev);

void model_legacy_features(struct virtio_device *dev, uint64_t features);

void model_legacy_set_queue(struct virtio_device *dev, uint32_t i,
			    const struct model_ring *ring);

#endif
