/* SPDX-License-Identifier: MIT */
/*
 * The seam between a device's owner and what carries the device to the driver.
 *
 * Implementers fill in transport_ops; everybody else calls the functions of the
 * same names below, which assert what is owed.
 */
#ifndef VIRTIO_TRANSPORT_H
#define VIRTIO_TRANSPORT_H

#include <assert.h>

#include "virtio/device.h"

struct transport;

struct transport_ops {
	/* Send a used buffer notification for `queue`. */
	void (*notify_queue)(struct transport *transport, unsigned int queue);
	/* Send a configuration change notification. */
	void (*notify_config)(struct transport *transport);
	/*
	 * A reset or a stop that was answered with VIRTIO_WAIT has had its
	 * effect: let the driver go on.
	 */
	void (*stopped)(struct transport *transport);
};

struct transport {
	const struct transport_ops *ops;
};

static inline void transport_notify_queue(struct transport *transport,
					  unsigned int queue)
{
	assert(queue < VIRTIO_QUEUES_MAX);
	transport->ops->notify_queue(transport, queue);
}

static inline void transport_notify_config(struct transport *transport)
{
	transport->ops->notify_config(transport);
}

static inline void transport_stopped(struct transport *transport)
{
	transport->ops->stopped(transport);
}

#endif
