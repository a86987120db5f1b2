/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_driver.h"

/* ---- registers ---------------------------------------------------------- */

uint32_t model_get(const struct virtio_device *dev, uint64_t offset)
{
	return (uint32_t)virtio_mmio_read(dev, offset, 4);
}

enum virtio_answer model_set(struct virtio_device *dev, uint64_t offset,
			     uint32_t value)
{
	return virtio_mmio_write(dev, offset, 4, value);
}

uint64_t model_offered(struct virtio_device *dev)
{
	uint64_t features;

	model_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)model_get(dev, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	model_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | model_get(dev, VIRTIO_MMIO_DEVICE_FEATURES);
}

void model_write_features(struct virtio_device *dev, uint64_t features)
{
	for (uint32_t sel = 0; sel < 2; sel++) {
		model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
		model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES,
			  (uint32_t)(features >> (32 * sel)));
	}
}

bool model_negotiate(struct virtio_device *dev, uint64_t features)
{
	uint32_t status = VIRTIO_STATUS_ACKNOWLEDGE;

	model_set(dev, VIRTIO_MMIO_STATUS, status);
	status |= VIRTIO_STATUS_DRIVER;
	model_set(dev, VIRTIO_MMIO_STATUS, status);
	model_write_features(dev, features);
	status |= VIRTIO_STATUS_FEATURES_OK;
	model_set(dev, VIRTIO_MMIO_STATUS, status);
	return model_get(dev, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_FEATURES_OK;
}

void model_write_addresses(struct virtio_device *dev,
			   const struct model_ring *ring)
{
	const uint64_t address[] = { ring->desc_at, ring->avail_at,
				     ring->used_at };

	for (uint64_t i = 0; i < 3; i++) {
		uint64_t at = VIRTIO_MMIO_QUEUE_DESC_LOW + i * 0x10;

		model_set(dev, at, (uint32_t)address[i]);
		model_set(dev, at + 4, (uint32_t)(address[i] >> 32));
	}
}

void model_set_queue(struct virtio_device *dev, uint32_t i,
		     const struct model_ring *ring)
{
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM, ring->size);
	model_write_addresses(dev, ring);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
}

void model_driver_ok(struct virtio_device *dev)
{
	uint32_t status = model_get(dev, VIRTIO_MMIO_STATUS);

	model_set(dev, VIRTIO_MMIO_STATUS, status | VIRTIO_STATUS_DRIVER_OK);
}

/* ---- the legacy interface ------------------------------------------------ */

void model_legacy_features(struct virtio_device *dev, uint64_t features)
{
	const uint32_t status = VIRTIO_STATUS_ACKNOWLEDGE;

	model_set(dev, VIRTIO_MMIO_STATUS, status);
	model_set(dev, VIRTIO_MMIO_STATUS, status | VIRTIO_STATUS_DRIVER);
	model_write_features(dev, features);
}

void model_legacy_set_queue(struct virtio_device *dev, uint32_t i,
			    const struct model_ring *ring)
{
	assert_int_equal(ring->desc_at % MODEL_PAGE, 0);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM, ring->size);
	model_set(dev, VIRTIO_MMIO_QUEUE_ALIGN, MODEL_PAGE);
	model_set(dev, VIRTIO_MMIO_QUEUE_PFN,
		  (uint32_t)(ring->desc_at / MODEL_PAGE));
}
