/* SPDX-License-Identifier: MIT */
/*
 * Device status, feature negotiation and the life of the queues; see
 * virtio/device.h.
 *
 * Happy path: ACKNOWLEDGE, DRIVER, features, FEATURES_OK, queues ready,
 * DRIVER_OK. A queue's rings are mapped when it is set ready; it starts with
 * DRIVER_OK, when the features are certain.
 *
 * Failure: a driver that asks for what it must not is ignored or gets
 * NEEDS_RESET. Nothing here is asserted about what a driver does.
 */
#include "virtio/device.h"

#include <assert.h>
#include <string.h>

#include "virtio/shared.h"

static void queue_defaults(struct virtio_device *dev, unsigned int i)
{
	struct virtio_queue_state *qs = &dev->state->queue[i];

	memset(qs, 0, sizeof(*qs));
	qs->size = dev->queue[i]->size_max;
}

static void negotiated(struct virtio_device *dev)
{
	if (dev->ops)
		dev->ops->negotiated(dev);
}

static void defaults(struct virtio_device *dev)
{
	uint32_t generation = dev->state->config_generation;
	/* Legacy drivers write it once, and reset the device after that. */
	uint32_t page_size = dev->state->guest_page_size;

	memset(dev->state, 0, sizeof(*dev->state));
	dev->state->config_generation = generation;
	dev->state->guest_page_size = page_size;
	for (unsigned int i = 0; i < dev->nqueues; i++)
		queue_defaults(dev, i);
	dev->stopping = 0;
	dev->queue_resets = 0;
	dev->resetting = false;
	shared_store(&dev->config_changed, false);
	negotiated(dev);
}

void virtio_device_config_write(struct virtio_device *dev, uint64_t offset,
				const uint8_t *bytes, uint32_t size)
{
	if (dev->ops && !dev->resetting && !dev->removed &&
	    offset <= dev->config_bytes && size <= dev->config_bytes - offset)
		dev->ops->config_write(dev, (uint32_t)offset, bytes, size);
}

void virtio_device_init(struct virtio_device *dev,
			struct virtio_device_state *state)
{
	assert(dev->nqueues > 0 && dev->nqueues <= VIRTIO_QUEUES_MAX);
	dev->state = state;
	if (state->queue[0].size == 0)
		defaults(dev);
}

uint64_t virtio_device_features(const struct virtio_device *dev)
{
	if (!(shared_load(&dev->state->status) & VIRTIO_STATUS_FEATURES_OK))
		return 0;
	return dev->state->driver_features & dev->offered;
}

bool virtio_device_wants_reset(const struct virtio_device *dev)
{
	return shared_load(&dev->state->status) & VIRTIO_STATUS_NEEDS_RESET;
}

void virtio_device_accept(struct virtio_device *dev, uint64_t features)
{
	struct virtio_device_state *s = dev->state;

	assert(!shared_load(&s->status) ||
	       !((features ^ s->driver_features) & dev->offered));
	s->driver_features = features;
}

void virtio_device_up(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;

	if (shared_load(&s->status))
		return;
	/* Pollers of queues that do not run look at it as well. */
	shared_store(&s->status, VIRTIO_STATUS_ACKNOWLEDGE |
					 VIRTIO_STATUS_DRIVER |
					 VIRTIO_STATUS_FEATURES_OK |
					 VIRTIO_STATUS_DRIVER_OK);
	negotiated(dev);
}

void virtio_device_down(struct virtio_device *dev)
{
	shared_store(&dev->state->status, 0);
}

bool virtio_device_live(const struct virtio_device *dev)
{
	const uint32_t mask = VIRTIO_STATUS_DRIVER_OK |
			      VIRTIO_STATUS_NEEDS_RESET;

	return (shared_load(&dev->state->status) & mask) ==
		       VIRTIO_STATUS_DRIVER_OK &&
	       !dev->resetting && !dev->removed;
}

void virtio_device_needs_reset(struct virtio_device *dev)
{
	/* Queues of several threads may find their rings broken at once. */
	uint32_t old = __atomic_fetch_or(&dev->state->status,
					 VIRTIO_STATUS_NEEDS_RESET,
					 __ATOMIC_RELAXED);

	if (!(old & VIRTIO_STATUS_NEEDS_RESET) &&
	    (old & VIRTIO_STATUS_DRIVER_OK))
		shared_store(&dev->config_changed, true);
}

void virtio_device_config_updated(struct virtio_device *dev)
{
	dev->state->config_generation++;
	shared_store(&dev->config_changed, true);
}

bool virtio_device_take_config_change(struct virtio_device *dev)
{
	return virtio_device_config_changed(dev) &&
	       __atomic_exchange_n(&dev->config_changed, false,
				   __ATOMIC_RELAXED);
}

static void unmap_part(struct guest_memory *mem, void *base, uint64_t bytes)
{
	if (base)
		guest_memory_unmap_ring(mem, base, bytes);
}

static void rings_unmap(struct guest_memory *mem,
			const struct virtq_rings *rings,
			const struct vring_bytes *bytes)
{
	unmap_part(mem, rings->desc, bytes->desc);
	unmap_part(mem, rings->avail, bytes->driver);
	unmap_part(mem, rings->used, bytes->device);
}

static bool rings_map(struct guest_memory *mem, struct virtq_rings *rings,
		      const struct virtio_queue_state *qs,
		      const struct vring_bytes *bytes)
{
	memset(rings, 0, sizeof(*rings));
	rings->desc = guest_memory_map_ring(mem, qs->desc, bytes->desc);
	if (rings->desc)
		rings->avail = guest_memory_map_ring(mem, qs->driver,
						     bytes->driver);
	if (rings->avail)
		rings->used = guest_memory_map_ring(mem, qs->device,
						    bytes->device);
	if (rings->used)
		return true;
	rings_unmap(mem, rings, bytes);
	return false;
}

/* Start a ready queue on the driver's rings, or ask for a reset. */
static void queue_start(struct virtio_device *dev, unsigned int i)
{
	const struct virtio_queue_state *qs = &dev->state->queue[i];
	uint64_t features = virtio_device_features(dev);
	bool packed = features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	const struct vring_bytes bytes = vring_bytes(qs->size, packed);
	struct virtqueue *q = dev->queue[i];
	struct virtq_rings rings;

	if (q->running)
		return;
	if (qs->size == 0 || qs->size > q->size_max ||
	    !rings_map(q->mem, &rings, qs, &bytes)) {
		virtio_device_needs_reset(dev);
		return;
	}
	memset(dev->inflight[i], 0, virtq_inflight_bytes(qs->size, packed));
	if (virtqueue_start(q, &rings, qs->size, features,
			    virtqueue_fresh_base(features), dev->inflight[i])) {
		rings_unmap(q->mem, &rings, &bytes);
		virtio_device_needs_reset(dev);
	}
}

static void queue_stop(struct virtio_device *dev, unsigned int i)
{
	struct virtqueue *q = dev->queue[i];
	const struct vring_bytes bytes = vring_bytes(q->size, q->packed);
	const struct virtq_rings rings = q->rings;

	if (!q->running)
		return;
	virtqueue_stop(q);
	rings_unmap(q->mem, &rings, &bytes);
}

void virtio_device_stop(struct virtio_device *dev)
{
	for (unsigned int i = 0; i < dev->nqueues; i++)
		queue_stop(dev, i);
}

static bool features_acceptable(const struct virtio_device *dev)
{
	uint64_t wanted = dev->state->driver_features;

	if (dev->legacy)
		return true;
	return !(wanted & ~dev->offered) &&
	       (wanted & VIRTIO_FEATURE(VIRTIO_F_VERSION_1));
}

/* Whether nothing is in flight on the queues that somebody waits for. */
static bool drained(const struct virtio_device *dev)
{
	bool all = dev->resetting || dev->removed;

	for (unsigned int i = 0; i < dev->nqueues; i++)
		if ((all || (dev->stopping & (1u << i))) &&
		    dev->queue[i]->in_flight)
			return false;
	return true;
}

void virtio_device_abandon(struct virtio_device *dev)
{
	for (unsigned int i = 0; i < dev->nqueues; i++)
		virtqueue_abandon(dev->queue[i]);
}

void virtio_device_remove(struct virtio_device *dev)
{
	dev->removed = true;
	virtio_device_abandon(dev);
	virtio_device_settle(dev);
}

enum virtio_answer virtio_device_end(const struct virtio_device *dev)
{
	return drained(dev) ? VIRTIO_DONE : VIRTIO_WAIT;
}

static bool somebody_waits(const struct virtio_device *dev)
{
	return dev->resetting || dev->stopping || dev->removed;
}

/*
 * All that waits is settled together: the transport cannot tell which of the
 * driver's CPUs waits for what, and lets all of them go.
 */
bool virtio_device_settle(struct virtio_device *dev)
{
	if (!somebody_waits(dev) || !drained(dev))
		return false;
	if (dev->removed) {
		virtio_device_stop(dev);
		return true;
	}
	if (dev->resetting) {
		virtio_device_stop(dev);
		defaults(dev);
		return true;
	}
	for (unsigned int i = 0; i < dev->nqueues; i++) {
		if (!(dev->stopping & (1u << i)))
			continue;
		queue_stop(dev, i);
		dev->state->queue[i].ready = 0;
		if (dev->queue_resets & (1u << i))
			queue_defaults(dev, i);
	}
	dev->stopping = 0;
	dev->queue_resets = 0;
	return true;
}

/*
 * Have the effect now, or let the driver wait for it: also where another access
 * waits already, whose end would otherwise be settled here and told to nobody.
 */
static enum virtio_answer settle_or_wait(struct virtio_device *dev, bool waits)
{
	if (waits || !virtio_device_settle(dev))
		return VIRTIO_WAIT;
	return VIRTIO_DONE;
}

enum virtio_answer virtio_device_set_status(struct virtio_device *dev,
					    uint32_t status)
{
	struct virtio_device_state *s = dev->state;
	const uint32_t known = VIRTIO_STATUS_ACKNOWLEDGE |
			       VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |
			       VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED;
	uint32_t new;

	if ((status & 0xff) == 0) {
		bool waits = somebody_waits(dev);

		dev->resetting = true;
		virtio_device_abandon(dev);
		return settle_or_wait(dev, waits);
	}
	if (dev->resetting)
		return VIRTIO_DONE;
	/* Section 2.1.1: the driver sets bits and clears none but by reset. */
	new = status &known & ~s->status;
	if ((new &VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(dev))
		new &= ~(uint32_t)VIRTIO_STATUS_FEATURES_OK;
	if (!((s->status | new) & VIRTIO_STATUS_FEATURES_OK))
		new &= ~(uint32_t)VIRTIO_STATUS_DRIVER_OK;
	s->status |= new;
	if (new &VIRTIO_STATUS_FEATURES_OK)
		negotiated(dev);
	for (unsigned int i = 0; i < dev->nqueues; i++)
		if ((new &VIRTIO_STATUS_DRIVER_OK) && s->queue[i].ready)
			queue_start(dev, i);
	return VIRTIO_DONE;
}

void virtio_device_set_features(struct virtio_device *dev, uint32_t sel,
				uint32_t word)
{
	struct virtio_device_state *s = dev->state;
	unsigned int shift = sel * 32;

	if (sel > 1 || (s->status & VIRTIO_STATUS_FEATURES_OK) ||
	    dev->resetting)
		return;
	s->driver_features &= ~(UINT64_C(0xffffffff) << shift);
	s->driver_features |= (uint64_t)word << shift;
}

enum virtio_answer virtio_device_set_ready(struct virtio_device *dev,
					   unsigned int queue, bool ready)
{
	struct virtio_queue_state *qs;

	if (queue >= dev->nqueues || dev->resetting)
		return VIRTIO_DONE;
	qs = &dev->state->queue[queue];
	if (!ready) {
		bool waits = somebody_waits(dev);

		if (!qs->ready)
			return VIRTIO_DONE;
		dev->stopping |= 1u << queue;
		virtqueue_abandon(dev->queue[queue]);
		return settle_or_wait(dev, waits);
	}
	if (qs->ready || (dev->stopping & (1u << queue)))
		return VIRTIO_DONE;
	qs->ready = 1;
	if (dev->state->status & VIRTIO_STATUS_DRIVER_OK)
		queue_start(dev, queue);
	return VIRTIO_DONE;
}

enum virtio_answer virtio_device_reset_queue(struct virtio_device *dev,
					     unsigned int queue)
{
	bool waits = somebody_waits(dev);

	if (queue >= dev->nqueues || dev->resetting ||
	    !virtio_device_has(dev, VIRTIO_F_RING_RESET))
		return VIRTIO_DONE;
	dev->stopping |= 1u << queue;
	dev->queue_resets |= 1u << queue;
	virtqueue_abandon(dev->queue[queue]);
	return settle_or_wait(dev, waits);
}
