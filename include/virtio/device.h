/* SPDX-License-Identifier: MIT */
/*
 * A virtio device without its transport: status, features, queues and
 * configuration. VIRTIO 1.3, sections 2.1 to 2.5 and 3.1.
 *
 * What the driver negotiated lives in struct virtio_device_state, memory that
 * the caller provides (virtio/state.h), so that a process that adopts an
 * existing one goes on where the process before stopped, or was killed.
 *
 * Reset, of the device or a queue, and stopping a queue take effect when
 * nothing is in flight any more: the driver may free the rings right after.
 * Such a call answers VIRTIO_WAIT and the transport keeps the driver waiting
 * until virtio_device_settle() says that it is done.
 */
#ifndef VIRTIO_DEVICE_H
#define VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/queue.h"
#include "virtio/state.h"

enum virtio_answer {
	VIRTIO_DONE, /* the access has had its effect */
	VIRTIO_WAIT, /* it will have it when requests in flight are done */
};

struct virtio_device;

/* What a device type does at the driver's doing. */
struct virtio_device_ops {
	/* `size` bytes are written to the configuration space, within it. */
	void (*config_write)(struct virtio_device *dev, uint32_t offset,
			     const uint8_t *bytes, uint32_t size);
	/* These features are in force; before the status says so. */
	void (*negotiated)(struct virtio_device *dev, uint64_t features);
	/* The driver has forgotten the device: no features, nothing chosen. */
	void (*reset)(struct virtio_device *dev);
};

struct virtio_device {
	const struct virtio_device_ops *ops; /* NULL: nothing to do */
	uint32_t id;                         /* device type, section 5 */
	bool legacy; /* the driver sees the legacy interface */
	unsigned int nqueues;
	struct virtqueue *queue[VIRTIO_QUEUES_MAX];
	void *inflight[VIRTIO_QUEUES_MAX]; /* see virtqueue_start() */
	const void *config;                /* device configuration space */
	uint32_t config_bytes;
	struct virtio_device_state *state;
	struct virtio_transport_state *transport;
	bool config_changed; /* the driver is to be told; atomic */
};

/*
 * Make a device with a new state: zeroed but for `offered`. All else but
 * config_changed is filled in by the device type before.
 */
void virtio_device_init(struct virtio_device *dev);

/*
 * Take the state of another process, which was checked (virtio_state_check()),
 * instead. Nothing runs until virtio_device_resume().
 */
void virtio_device_adopt(struct virtio_device *dev);

/*
 * Go on where the process before stopped, whose I/O is at its end: what waited
 * for that happens, queues that ran are started with what they had in flight,
 * which the owner then takes (virtio_blk_repop()), and the driver is to be told
 * of a change of the configuration, for the process before may not have come to
 * it. So may it not have come to notify for any queue. Called once after the
 * adoption, before anything else but virtio_mmio_offer(), when the guest's
 * memory is there.
 */
void virtio_device_resume(struct virtio_device *dev);

/* The features in force: those accepted, 0 before FEATURES_OK. */
static inline uint64_t virtio_device_features(const struct virtio_device *dev)
{
	return __atomic_load_n(&dev->state->in_force, __ATOMIC_RELAXED);
}

static inline bool virtio_device_has(const struct virtio_device *dev,
				     unsigned int bit)
{
	return virtio_device_features(dev) & VIRTIO_FEATURE(bit);
}

/* Whether requests may be taken: DRIVER_OK, no reset asked for or under way. */
bool virtio_device_live(const struct virtio_device *dev);

/* ... and of this queue: the driver does not stop it. */
bool virtio_device_takes(const struct virtio_device *dev, unsigned int queue);

/* Whether the driver waits for the end of a reset or of a queue. */
bool virtio_device_is_awaited(const struct virtio_device *dev);

static inline uint64_t virtio_device_offered(const struct virtio_device *dev)
{
	return dev->state->offered;
}

/* Whether the device asked for a reset that has not come yet. */
bool virtio_device_wants_reset(const struct virtio_device *dev);

/*
 * For a transport whose front end negotiates with the driver itself, and which
 * starts and stops the queues. What it has accepted, also bits that are the
 * transport's own, which may change while the driver is up; nobody may use the
 * device meanwhile.
 */
void virtio_device_accept(struct virtio_device *dev, uint64_t features);

static inline uint64_t virtio_device_accepted(const struct virtio_device *dev)
{
	return dev->state->driver_features;
}

/*
 * The driver is up, with what it has accepted of what was offered; nothing
 * where it is up. And it is down: what it has chosen for the device is kept.
 */
void virtio_device_up(struct virtio_device *dev);
void virtio_device_down(struct virtio_device *dev);

/*
 * The driver writes the status. Refuses FEATURES_OK for features that were not
 * offered or lack VERSION_1; of a legacy driver, which cannot be refused them,
 * those that were not offered are ignored. Status 0 is a reset.
 */
enum virtio_answer virtio_device_set_status(struct virtio_device *dev,
					    uint32_t status);

/*
 * The driver writes word `sel` (0, 1) of its features; ignored when too late.
 */
void virtio_device_set_features(struct virtio_device *dev, uint32_t sel,
				uint32_t word);

/* The driver sets a queue ready or stops it. */
enum virtio_answer virtio_device_set_ready(struct virtio_device *dev,
					   unsigned int queue, bool ready);

/*
 * The driver resets a queue, section 2.6.1: it stops and what the driver wrote
 * for it is forgotten. Ignored without RING_RESET.
 */
enum virtio_answer virtio_device_reset_queue(struct virtio_device *dev,
					     unsigned int queue);

/*
 * Finish what waits for a drain: true when a reset or a stop that was answered
 * with VIRTIO_WAIT has now had its effect, or a removed device is drained.
 */
bool virtio_device_settle(struct virtio_device *dev);

/*
 * The driver writes `size` bytes of the configuration space. What is not
 * writable, or not within it, is ignored.
 */
void virtio_device_config_write(struct virtio_device *dev, uint64_t offset,
				const uint8_t *bytes, uint32_t size);

/*
 * The device cannot go on until the driver resets it, section 2.1.2: sets
 * NEEDS_RESET and, where the driver is up, config_changed.
 */
void virtio_device_needs_reset(struct virtio_device *dev);

/*
 * Processes end on the device, whatever for: from now on no queue runs, and
 * nothing of what is in flight is answered, until the driver resets it, which
 * it is asked to. That is kept for the next process. Of a device that was
 * adopted and not resumed yet.
 */
void virtio_device_give_up(struct virtio_device *dev);

static inline bool virtio_device_is_given_up(const struct virtio_device *dev)
{
	return dev->state->given_up;
}

/*
 * The configuration space has changed: it has another generation, section
 * 2.5.1, and the driver is to be told.
 */
void virtio_device_config_updated(struct virtio_device *dev);

static inline bool virtio_device_config_changed(const struct virtio_device *dev)
{
	return __atomic_load_n(&dev->config_changed, __ATOMIC_RELAXED);
}

/* Whether the driver is to be told of a change: to one caller only. */
bool virtio_device_take_config_change(struct virtio_device *dev);

/*
 * Nobody needs what is in flight to be finished: virtqueue_abandon() for all.
 */
void virtio_device_abandon(struct virtio_device *dev);

/*
 * Take the device away from its driver, whatever that does from now on: nothing
 * more is taken from the queues, no access has an effect, and what is read is
 * all ones, as where there is no device. Only who says that a queue is to end
 * (Status, QueueReady, QueueReset) still waits for what is in flight, because
 * it gives the memory to others then; virtio_device_settle() says when.
 */
void virtio_device_remove(struct virtio_device *dev);

/* Of a device that was removed: to wait while anything is in flight. */
enum virtio_answer virtio_device_end(const struct virtio_device *dev);

/* Stop all queues and unmap their rings; nothing may be in flight. */
void virtio_device_stop(struct virtio_device *dev);

#endif
