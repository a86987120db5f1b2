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
#include <stddef.h>
#include <string.h>

#include "virtio/shared.h"

/* Within what is announced to end, so in any order. */
static void queue_defaults(struct virtio_device *dev, unsigned int i)
{
	struct virtio_queue_state *qs = &dev->state->queue[i];

	memset(qs, 0, sizeof(*qs));
	qs->size = dev->queue[i]->size_max;
}

/* All that a reset forgets; `resetting` ends with the last store. */
static void defaults(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;
	const size_t kept = offsetof(struct virtio_device_state,
				     driver_features);

	memset((uint8_t *)s + kept, 0, sizeof(*s) - kept);
	for (unsigned int i = 0; i < dev->nqueues; i++)
		queue_defaults(dev, i);
	shared_store(&dev->config_changed, false);
	if (dev->ops)
		dev->ops->reset(dev);
	shared_store_release(&s->resetting, 0);
}

void virtio_device_config_write(struct virtio_device *dev, uint64_t offset,
				const uint8_t *bytes, uint32_t size)
{
	if (dev->ops && !dev->state->resetting && !dev->state->removed &&
	    offset <= dev->config_bytes && size <= dev->config_bytes - offset)
		dev->ops->config_write(dev, (uint32_t)offset, bytes, size);
}

void virtio_device_init(struct virtio_device *dev)
{
	assert(dev->nqueues > 0 && dev->nqueues <= VIRTIO_QUEUES_MAX);
	defaults(dev);
}

void virtio_device_adopt(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;

	/* It was killed between the two stores that accept features. */
	if (!(s->status & VIRTIO_STATUS_FEATURES_OK))
		s->in_force = 0;
	shared_store(&dev->config_changed, false);
}

bool virtio_device_wants_reset(const struct virtio_device *dev)
{
	return shared_load(&dev->state->status) & VIRTIO_STATUS_NEEDS_RESET;
}

/*
 * The features come into force with the status, which the caller stores next.
 */
static void put_in_force(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;
	uint64_t features = s->driver_features & s->offered;

	shared_store(&s->in_force, features);
	if (dev->ops)
		dev->ops->negotiated(dev, features);
	shared_order();
}

void virtio_device_accept(struct virtio_device *dev, uint64_t features)
{
	struct virtio_device_state *s = dev->state;

	assert(!shared_load(&s->status) ||
	       !((features ^ s->driver_features) & s->offered));
	shared_store(&s->driver_features, features);
}

void virtio_device_up(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;

	if (shared_load(&s->status))
		return;
	put_in_force(dev);
	/* Pollers of queues that do not run look at it as well. */
	shared_store(&s->status, VIRTIO_STATUS_ACKNOWLEDGE |
					 VIRTIO_STATUS_DRIVER |
					 VIRTIO_STATUS_FEATURES_OK |
					 VIRTIO_STATUS_DRIVER_OK);
}

void virtio_device_down(struct virtio_device *dev)
{
	shared_store(&dev->state->status, 0);
	shared_store(&dev->state->in_force, 0);
}

bool virtio_device_live(const struct virtio_device *dev)
{
	const struct virtio_device_state *s = dev->state;
	const uint32_t mask = VIRTIO_STATUS_DRIVER_OK |
			      VIRTIO_STATUS_NEEDS_RESET;

	return (shared_load(&s->status) & mask) == VIRTIO_STATUS_DRIVER_OK &&
	       !s->resetting && !s->removed;
}

bool virtio_device_takes(const struct virtio_device *dev, unsigned int queue)
{
	return virtio_device_live(dev) &&
	       !(dev->state->stopping & (1u << queue));
}

bool virtio_device_is_awaited(const struct virtio_device *dev)
{
	return dev->state->resetting || dev->state->stopping;
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

void virtio_device_give_up(struct virtio_device *dev)
{
	/* It may be killed in between: the next process asks for the reset. */
	shared_store(&dev->state->given_up, 1);
	shared_order();
	virtio_device_needs_reset(dev);
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

/*
 * Run a queue on its rings, with what is in flight where it was `started`
 * before: 0 or a negative errno.
 */
static int run(struct virtio_device *dev, unsigned int i,
	       const struct virtq_rings *rings)
{
	struct virtio_queue_state *qs = &dev->state->queue[i];
	uint64_t features = virtio_device_features(dev);
	bool packed = features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	struct virtqueue *q = dev->queue[i];
	int r;

	if (!qs->started)
		memset(dev->inflight[i], 0,
		       virtq_inflight_bytes(qs->size, packed));
	r = virtqueue_start(q, rings, qs->size, features,
			    virtqueue_fresh_base(features), dev->inflight[i]);
	if (r)
		return r;
	if (qs->started)
		r = virtqueue_recover(q);
	if (r < 0)
		virtqueue_stop(q);
	else
		shared_store_release(&qs->started, 1);
	return r < 0 ? r : 0;
}

/* Start a ready queue on the driver's rings, or ask for a reset. */
static void queue_start(struct virtio_device *dev, unsigned int i)
{
	const struct virtio_queue_state *qs = &dev->state->queue[i];
	bool packed = virtio_device_has(dev, VIRTIO_F_RING_PACKED);
	const struct vring_bytes bytes = vring_bytes(qs->size, packed);
	struct virtqueue *q = dev->queue[i];
	struct virtq_rings rings;

	if (q->running || dev->state->given_up)
		return;
	if (qs->size == 0 || qs->size > q->size_max ||
	    !rings_map(q->mem, &rings, qs, &bytes)) {
		virtio_device_needs_reset(dev);
		return;
	}
	if (run(dev, i, &rings)) {
		rings_unmap(q->mem, &rings, &bytes);
		virtio_device_needs_reset(dev);
	}
}

static void start_ready_queues(struct virtio_device *dev)
{
	for (unsigned int i = 0; i < dev->nqueues; i++)
		if (dev->state->queue[i].ready)
			queue_start(dev, i);
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
	return !(wanted & ~dev->state->offered) &&
	       (wanted & VIRTIO_FEATURE(VIRTIO_F_VERSION_1));
}

/* Whether nothing is in flight on the queues that somebody waits for. */
static bool drained(const struct virtio_device *dev)
{
	const struct virtio_device_state *s = dev->state;
	bool all = s->resetting || s->removed;

	for (unsigned int i = 0; i < dev->nqueues; i++)
		if ((all || (s->stopping & (1u << i))) &&
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
	dev->state->removed = 1;
	virtio_device_abandon(dev);
	virtio_device_settle(dev);
}

enum virtio_answer virtio_device_end(const struct virtio_device *dev)
{
	return drained(dev) ? VIRTIO_DONE : VIRTIO_WAIT;
}

static bool somebody_waits(const struct virtio_device *dev)
{
	return virtio_device_is_awaited(dev) || dev->state->removed;
}

/* Who is killed in here leaves queues to stop, which the next process does. */
static void stop_awaited_queues(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;

	for (unsigned int i = 0; i < dev->nqueues; i++) {
		if (!(s->stopping & (1u << i)))
			continue;
		queue_stop(dev, i);
		s->queue[i].started = 0;
		s->queue[i].ready = 0;
		if (s->queue_resets & (1u << i))
			queue_defaults(dev, i);
	}
	shared_order();
	shared_store(&s->queue_resets, 0);
	shared_order();
	shared_store(&s->stopping, 0);
}

/*
 * All that waits is settled together: the transport cannot tell which of the
 * driver's CPUs waits for what, and lets all of them go.
 */
bool virtio_device_settle(struct virtio_device *dev)
{
	struct virtio_device_state *s = dev->state;

	if (!somebody_waits(dev) || !drained(dev))
		return false;
	if (s->removed) {
		virtio_device_stop(dev);
	} else if (s->resetting) {
		virtio_device_stop(dev);
		defaults(dev);
	} else {
		stop_awaited_queues(dev);
	}
	return true;
}

void virtio_device_resume(struct virtio_device *dev)
{
	virtio_device_settle(dev);
	if (dev->state->given_up)
		virtio_device_needs_reset(dev);
	if (dev->state->removed ||
	    !(shared_load(&dev->state->status) & VIRTIO_STATUS_DRIVER_OK))
		return;
	start_ready_queues(dev);
	shared_store(&dev->config_changed, true);
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
	uint32_t added;

	if ((status & 0xff) == 0) {
		bool waits = somebody_waits(dev);

		shared_store(&s->resetting, 1);
		virtio_device_abandon(dev);
		return settle_or_wait(dev, waits);
	}
	if (s->resetting)
		return VIRTIO_DONE;
	/* Section 2.1.1: the driver sets bits and clears none but by reset. */
	added = status & known & ~shared_load(&s->status);
	if ((added & VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(dev))
		added &= ~(uint32_t)VIRTIO_STATUS_FEATURES_OK;
	if (!((s->status | added) & VIRTIO_STATUS_FEATURES_OK))
		added &= ~(uint32_t)VIRTIO_STATUS_DRIVER_OK;
	if (added & VIRTIO_STATUS_FEATURES_OK)
		put_in_force(dev);
	/* Not over a NEEDS_RESET that a queue's thread sets. */
	__atomic_fetch_or(&s->status, added, __ATOMIC_RELEASE);
	if (added & VIRTIO_STATUS_DRIVER_OK)
		start_ready_queues(dev);
	return VIRTIO_DONE;
}

void virtio_device_set_features(struct virtio_device *dev, uint32_t sel,
				uint32_t word)
{
	struct virtio_device_state *s = dev->state;
	unsigned int shift = sel * 32;
	uint64_t others;

	if (sel > 1 || (s->status & VIRTIO_STATUS_FEATURES_OK) || s->resetting)
		return;
	others = s->driver_features & ~(UINT64_C(0xffffffff) << shift);
	shared_store(&s->driver_features, others | (uint64_t)word << shift);
}

enum virtio_answer virtio_device_set_ready(struct virtio_device *dev,
					   unsigned int queue, bool ready)
{
	struct virtio_device_state *s = dev->state;
	struct virtio_queue_state *qs;

	if (queue >= dev->nqueues || s->resetting)
		return VIRTIO_DONE;
	qs = &s->queue[queue];
	if (!ready) {
		bool waits = somebody_waits(dev);

		if (!qs->ready)
			return VIRTIO_DONE;
		s->stopping |= 1u << queue;
		virtqueue_abandon(dev->queue[queue]);
		return settle_or_wait(dev, waits);
	}
	if (qs->ready || (s->stopping & (1u << queue)))
		return VIRTIO_DONE;
	/* Size and addresses before it. */
	shared_store_release(&qs->ready, 1);
	if (s->status & VIRTIO_STATUS_DRIVER_OK)
		queue_start(dev, queue);
	return VIRTIO_DONE;
}

enum virtio_answer virtio_device_reset_queue(struct virtio_device *dev,
					     unsigned int queue)
{
	struct virtio_device_state *s = dev->state;
	bool waits = somebody_waits(dev);

	if (queue >= dev->nqueues || s->resetting ||
	    !virtio_device_has(dev, VIRTIO_F_RING_RESET))
		return VIRTIO_DONE;
	s->stopping |= 1u << queue;
	shared_order();
	s->queue_resets |= 1u << queue;
	virtqueue_abandon(dev->queue[queue]);
	return settle_or_wait(dev, waits);
}
