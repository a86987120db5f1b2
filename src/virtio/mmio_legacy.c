/* SPDX-License-Identifier: MIT */
/*
 * The legacy interface of the MMIO transport; VIRTIO 1.3, section 4.2.4.
 *
 * It is translated to what the device knows. A queue is one block of guest
 * memory, in pages: QueuePFN gives the addresses of its parts and is its
 * QueueReady. There is no FEATURES_OK: what the driver has written is in force
 * from DRIVER_OK on or, since old drivers use a device before that (section
 * 3.1.2), from its first notification of a queue. Then the device is given both
 * bits; the driver sees DRIVER_OK only after it has written it.
 *
 * Legacy fields have the byte order of the guest, which is little-endian here:
 * Xen has no other guests.
 *
 * Failure: a place that no queue can have (no page size, an alignment or a size
 * that is no power of two) sets NEEDS_RESET, as a place outside guest memory
 * does, and the queue is not set up. Drivers of the time do not know the bit,
 * but who looks for the reason sees it. What comes at the wrong time is
 * ignored.
 */
#include "virtio/mmio_registers.h"

/* Alignment of the used ring: of its fields, and of the largest pages. */
enum {
	ALIGN_MIN = 4,
	ALIGN_MAX = 65536,
};

/* What the driver sees of the status besides its DRIVER_OK. */
enum {
	STATUS_SEEN = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
		      VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED,
};

static bool power_of_two(uint32_t n)
{
	return n && (n & (n - 1)) == 0;
}

static uint32_t status_read(const struct virtio_device_state *s)
{
	return (s->status & STATUS_SEEN) |
	       (s->legacy_driver_ok ? VIRTIO_STATUS_DRIVER_OK : 0);
}

uint32_t virtio_mmio_legacy_read(const struct virtio_device *dev,
				 uint64_t offset)
{
	const struct virtio_queue_state *qs = virtio_mmio_selected(dev);

	switch (offset) {
	case VIRTIO_MMIO_QUEUE_PFN:
		return qs && qs->ready ? qs->pfn : 0;
	case VIRTIO_MMIO_STATUS:
		return status_read(dev->state);
	default:
		return 0;
	}
}

/* The driver uses the device: what it has written is in force. */
static void begin(struct virtio_device *dev)
{
	if (!(dev->state->status & VIRTIO_STATUS_DRIVER_OK))
		virtio_device_set_status(dev, VIRTIO_STATUS_FEATURES_OK |
						      VIRTIO_STATUS_DRIVER_OK);
}

static enum virtio_answer status_write(struct virtio_device *dev,
				       uint32_t value)
{
	const uint32_t translated = VIRTIO_STATUS_FEATURES_OK |
				    VIRTIO_STATUS_DRIVER_OK;

	value &= 0xff;
	if (value == 0)
		return virtio_device_set_status(dev, 0);
	if (dev->state->resetting)
		return VIRTIO_DONE;
	/* Nothing but these is no reset. */
	if (value & ~translated)
		virtio_device_set_status(dev, value & ~translated);
	if (value & VIRTIO_STATUS_DRIVER_OK) {
		dev->state->legacy_driver_ok = 1;
		begin(dev);
	}
	return VIRTIO_DONE;
}

/*
 * Where the parts of a queue lie that begins at page `pfn`: false if it cannot
 * be. A PFN and a page size have 32 bits each and a size 16, so no sum here
 * passes 64 bits.
 */
static bool lay_out(const struct virtio_device *dev,
		    struct virtio_queue_state *qs, uint32_t pfn)
{
	uint32_t page_size = dev->state->guest_page_size;
	uint64_t mask = (uint64_t)qs->align - 1;

	if (!power_of_two(page_size) || !power_of_two(qs->align) ||
	    qs->align < ALIGN_MIN || qs->align > ALIGN_MAX ||
	    !power_of_two(qs->size) ||
	    qs->size > dev->queue[dev->state->queue_sel]->size_max)
		return false;
	qs->pfn = pfn;
	qs->desc = (uint64_t)pfn * page_size;
	qs->driver = qs->desc + vring_desc_bytes(qs->size);
	qs->device = (qs->driver + vring_avail_bytes(qs->size) + mask) & ~mask;
	return true;
}

static enum virtio_answer pfn_write(struct virtio_device *dev, uint32_t pfn)
{
	struct virtio_queue_state *qs = virtio_mmio_selected(dev);

	if (!qs || dev->state->resetting)
		return VIRTIO_DONE;
	if (pfn == 0)
		return virtio_device_set_ready(dev, dev->state->queue_sel,
					       false);
	if (qs->ready)
		return VIRTIO_DONE;
	if (lay_out(dev, qs, pfn))
		return virtio_device_set_ready(dev, dev->state->queue_sel,
					       true);
	virtio_device_needs_reset(dev);
	return VIRTIO_DONE;
}

static void align_write(struct virtio_device *dev, uint32_t align)
{
	struct virtio_queue_state *qs = virtio_mmio_selected(dev);

	if (qs && !qs->ready && !dev->state->resetting)
		qs->align = align;
}

static void notified(struct virtio_device *dev, uint32_t queue)
{
	if (queue < dev->nqueues && dev->state->queue[queue].ready &&
	    !dev->state->resetting)
		begin(dev);
}

enum virtio_answer virtio_mmio_legacy_write(struct virtio_device *dev,
					    uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_GUEST_PAGE_SIZE:
		dev->state->guest_page_size = value;
		return VIRTIO_DONE;
	case VIRTIO_MMIO_QUEUE_ALIGN:
		align_write(dev, value);
		return VIRTIO_DONE;
	case VIRTIO_MMIO_QUEUE_PFN:
		return pfn_write(dev, value);
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		notified(dev, value);
		return VIRTIO_DONE;
	case VIRTIO_MMIO_STATUS:
		return status_write(dev, value);
	default:
		return VIRTIO_DONE;
	}
}
