/* SPDX-License-Identifier: MIT */
/*
 * The register window of a device on the MMIO transport: version 2, or version
 * 1 for a device with `legacy`. VIRTIO 1.3, section 4.2.
 *
 * Pure state: an access has its effect on the device and gives an answer. What
 * is to be done afterwards is read from the device: `config_changed` to be told
 * with virtio_mmio_interrupt(). QueueNotify has no effect here; who serves the
 * queues looks at their rings.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"
#include "virtio/mmio_wire.h"

/*
 * What this transport adds to a device's offer; the legacy interface has none.
 */
static inline uint64_t virtio_mmio_features(bool legacy)
{
	return legacy ? 0 :
			VIRTIO_FEATURE(VIRTIO_F_NOTIFICATION_DATA) |
				VIRTIO_FEATURE(VIRTIO_F_RING_RESET);
}

/*
 * Offer it, before the driver sees the device, whose register window is at
 * guest address `base` and whose interrupt line is `irq`. To one that was
 * adopted it was offered, or not, by the process before: see
 * virtio_mmio_is_at().
 */
void virtio_mmio_offer(struct virtio_device *dev, uint64_t base, uint32_t irq);

/* Whether it was offered to the driver at this place, or not at all. */
bool virtio_mmio_is_at(const struct virtio_device *dev, uint64_t base,
		       uint32_t irq);

/*
 * Read `size` bytes (1, 2, 4 or 8) at `offset`. Registers answer to aligned
 * 32-bit reads only; the configuration space to 1, 2, 4 or 8 bytes inside it.
 * Anything else reads as 0, and a removed device as all ones. Never fails.
 */
uint64_t virtio_mmio_read(const struct virtio_device *dev, uint64_t offset,
			  unsigned int size);

/*
 * Write. What is not a writable register, or has another size than 32 bits, is
 * ignored. VIRTIO_WAIT: the driver must see the access end only when
 * virtio_device_settle() has said so.
 */
enum virtio_answer virtio_mmio_write(struct virtio_device *dev, uint64_t offset,
				     unsigned int size, uint64_t value);

/* Note the event for the driver; the caller then raises the interrupt line. */
void virtio_mmio_interrupt(struct virtio_device *dev,
			   enum virtio_mmio_interrupt event);

/*
 * What the register at `offset` is called, "CONFIG" for all of the
 * configuration space; NULL where there is none.
 */
const char *virtio_mmio_name(uint64_t offset);

#endif
