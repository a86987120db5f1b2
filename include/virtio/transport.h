/* SPDX-License-Identifier: MIT */
/*
 * The seam between a device's owner and what carries the device to the driver.
 */
#ifndef VIRTIO_TRANSPORT_H
#define VIRTIO_TRANSPORT_H

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

#endif
