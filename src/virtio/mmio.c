/* SPDX-License-Identifier: MIT */
/*
 * The register window of the MMIO transport; see virtio/mmio.h.
 *
 * A driver that breaks the transport's rules (an access of another size, a
 * write to a read-only register, a queue that does not exist) reads zeroes and
 * writes into nothing: section 4.2.2 leaves the result open, and there is no
 * reason to punish more than its own device.
 *
 * Registers that both versions have are here, as are those of version 2; those
 * of the legacy interface are in mmio_legacy.c.
 */
#include "virtio/mmio.h"

#include <stddef.h>
#include <string.h>

#include "virtio/mmio_registers.h"
#include "virtio/shared.h"

/* Shown to drivers as the vendor; has no meaning to them. */
#define VENDOR_ID 0x4b445658u /* "XVDK" */

void virtio_mmio_offer(struct virtio_device *dev, uint64_t base, uint32_t irq)
{
	/* The driver of an adopted device has seen the offer. */
	if (dev->transport->kind == VIRTIO_STATE_MMIO)
		return;
	shared_store(&dev->transport->base, base);
	shared_store(&dev->transport->irq, irq);
	shared_order();
	/* First: the offer is checked by it. */
	shared_store(&dev->transport->kind, VIRTIO_STATE_MMIO);
	shared_order();
	shared_store(&dev->state->offered,
		     dev->state->offered | virtio_mmio_features(dev->legacy));
}

bool virtio_mmio_is_at(const struct virtio_device *dev, uint64_t base,
		       uint32_t irq)
{
	const struct virtio_transport_state *t = dev->transport;

	return t->kind != VIRTIO_STATE_MMIO ||
	       (t->base == base && t->irq == irq);
}

static uint64_t config_read(const struct virtio_device *dev, uint64_t offset,
			    unsigned int size)
{
	uint64_t value = 0;

	if (size != 1 && size != 2 && size != 4 && size != 8)
		return 0;
	if (offset > dev->config_bytes || size > dev->config_bytes - offset)
		return 0;
	memcpy(&value, (const uint8_t *)dev->config + offset, size);
	return value;
}

static void config_write(struct virtio_device *dev, uint64_t offset,
			 unsigned int size, uint64_t value)
{
	uint8_t bytes[sizeof(value)];

	if (size != 1 && size != 2 && size != 4 && size != 8)
		return;
	memcpy(bytes, &value, sizeof(bytes));
	virtio_device_config_write(dev, offset, bytes, size);
}

static uint32_t features_read(const struct virtio_device *dev)
{
	uint32_t sel = dev->state->device_features_sel;

	return sel > 1 ? 0 : (uint32_t)(dev->state->offered >> (sel * 32));
}

static uint32_t queue_read(const struct virtio_device *dev, uint64_t offset)
{
	const struct virtio_queue_state *qs = virtio_mmio_selected(dev);

	if (!qs)
		return 0;
	if (offset == VIRTIO_MMIO_QUEUE_READY)
		return qs->ready;
	if (offset == VIRTIO_MMIO_QUEUE_RESET)
		return dev->state->queue_resets >> dev->state->queue_sel & 1;
	return dev->queue[dev->state->queue_sel]->size_max;
}

static uint32_t modern_read(const struct virtio_device *dev, uint64_t offset)
{
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_READY:
	case VIRTIO_MMIO_QUEUE_RESET:
		return queue_read(dev, offset);
	case VIRTIO_MMIO_STATUS:
		return dev->state->status;
	case VIRTIO_MMIO_SHM_LEN_LOW: /* no such region: all ones */
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return dev->state->config_generation;
	default:
		return 0;
	}
}

uint64_t virtio_mmio_read(const struct virtio_device *dev, uint64_t offset,
			  unsigned int size)
{
	if (dev->state->removed)
		return UINT64_MAX;
	if (offset >= VIRTIO_MMIO_CONFIG)
		return config_read(dev, offset - VIRTIO_MMIO_CONFIG, size);
	if (size != 4)
		return 0;
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIRTIO_MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return dev->legacy ? 1 : 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return dev->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return features_read(dev);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue_read(dev, offset);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return dev->state->interrupt_status;
	default:
		return dev->legacy ? virtio_mmio_legacy_read(dev, offset) :
				     modern_read(dev, offset);
	}
}

static uint64_t with_low(uint64_t address, uint32_t value)
{
	return (address & ~UINT64_C(0xffffffff)) | value;
}

static uint64_t with_high(uint64_t address, uint32_t value)
{
	return (address & UINT64_C(0xffffffff)) | (uint64_t)value << 32;
}

/* Size and addresses of the selected queue, while it is not in use. */
static void queue_write(struct virtio_device *dev, uint64_t offset,
			uint32_t value)
{
	struct virtio_queue_state *qs = virtio_mmio_selected(dev);

	/* Section 4.2.2.2: not while QueueReady is set. */
	if (!qs || qs->ready || dev->state->resetting)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* What does not fit 16 bits must not become a valid size. */
		qs->size = value > UINT16_MAX ? 0 : (uint16_t)value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		shared_store(&qs->desc, with_low(qs->desc, value));
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		shared_store(&qs->desc, with_high(qs->desc, value));
		break;
	case VIRTIO_MMIO_QUEUE_DRIVER_LOW:
		shared_store(&qs->driver, with_low(qs->driver, value));
		break;
	case VIRTIO_MMIO_QUEUE_DRIVER_HIGH:
		shared_store(&qs->driver, with_high(qs->driver, value));
		break;
	case VIRTIO_MMIO_QUEUE_DEVICE_LOW:
		shared_store(&qs->device, with_low(qs->device, value));
		break;
	case VIRTIO_MMIO_QUEUE_DEVICE_HIGH:
		shared_store(&qs->device, with_high(qs->device, value));
		break;
	}
}

static enum virtio_answer modern_write(struct virtio_device *dev,
				       uint64_t offset, uint32_t value)
{
	struct virtio_device_state *s = dev->state;

	switch (offset) {
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_device_set_ready(dev, s->queue_sel, value & 1);
	case VIRTIO_MMIO_QUEUE_RESET:
		if (!(value & 1))
			return VIRTIO_DONE;
		return virtio_device_reset_queue(dev, s->queue_sel);
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		/*
		 * The access alone wakes who serves the queues, and the rings
		 * say what is new; the value, also with NOTIFICATION_DATA, says
		 * nothing that would not have to be looked up there anyway.
		 */
		return VIRTIO_DONE;
	case VIRTIO_MMIO_STATUS:
		return virtio_device_set_status(dev, value);
	default:
		queue_write(dev, offset, value);
		return VIRTIO_DONE;
	}
}

/* What a write to a device that was removed still does: wait for its end. */
static enum virtio_answer removed_write(const struct virtio_device *dev,
					uint64_t offset)
{
	switch (offset) {
	case VIRTIO_MMIO_STATUS:
	case VIRTIO_MMIO_QUEUE_READY:
	case VIRTIO_MMIO_QUEUE_RESET:
	case VIRTIO_MMIO_QUEUE_PFN:
		return virtio_device_end(dev);
	default:
		return VIRTIO_DONE;
	}
}

enum virtio_answer virtio_mmio_write(struct virtio_device *dev, uint64_t offset,
				     unsigned int size, uint64_t value64)
{
	struct virtio_device_state *s = dev->state;
	uint32_t value = (uint32_t)value64;

	if (dev->state->removed)
		return removed_write(dev, offset);
	if (offset >= VIRTIO_MMIO_CONFIG) {
		config_write(dev, offset - VIRTIO_MMIO_CONFIG, size, value64);
		return VIRTIO_DONE;
	}
	if (size != 4)
		return VIRTIO_DONE;
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		s->device_features_sel = value;
		return VIRTIO_DONE;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_device_set_features(dev, s->driver_features_sel, value);
		return VIRTIO_DONE;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		s->driver_features_sel = value;
		return VIRTIO_DONE;
	case VIRTIO_MMIO_QUEUE_SEL:
		s->queue_sel = value;
		return VIRTIO_DONE;
	case VIRTIO_MMIO_QUEUE_NUM:
		queue_write(dev, offset, value);
		return VIRTIO_DONE;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		s->interrupt_status &= ~value;
		return VIRTIO_DONE;
	default:
		return dev->legacy ?
			       virtio_mmio_legacy_write(dev, offset, value) :
			       modern_write(dev, offset, value);
	}
}

void virtio_mmio_interrupt(struct virtio_device *dev,
			   enum virtio_mmio_interrupt event)
{
	dev->state->interrupt_status |= event;
}
