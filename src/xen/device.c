/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mmio device in a Xen guest; see xen/device.h.
 */
#include "xen/device.h"

#include <errno.h>
#include <string.h>

static uint64_t window_read(struct ioreq_window *window, uint64_t offset,
			    unsigned int size)
{
	struct xen_device *device = container_of(window, struct xen_device,
						 window);

	return virtio_mmio_read(device->dev, offset, size);
}

static enum virtio_answer window_write(struct ioreq_window *window,
				       uint64_t offset, unsigned int size,
				       uint64_t value)
{
	struct xen_device *device = container_of(window, struct xen_device,
						 window);

	return virtio_mmio_write(device->dev, offset, size, value);
}

/*
 * Raise the line. It is edge-triggered: each rise is one interrupt, and there
 * is nothing to lower.
 */
static void interrupt(struct xen_device *device,
		      enum virtio_mmio_interrupt event)
{
	const struct xen_handles *xen = device->server->xen;

	virtio_mmio_interrupt(device->dev, event);
	device->interrupts++;
	if (xendevicemodel_set_irq_level(xen->model, device->server->domid,
					 device->irq, 1))
		log_limited(&device->errors, LOG_LEVEL_ERROR,
			    "domain %u: cannot raise interrupt %u: %s",
			    device->server->domid, device->irq,
			    xen_error(errno));
}

static void notify_queue(struct transport *transport, unsigned int queue)
{
	(void)queue;
	interrupt((struct xen_device *)transport, VIRTIO_MMIO_INT_USED);
}

static void notify_config(struct transport *transport)
{
	const struct virtio_device *dev = ((struct xen_device *)transport)->dev;

	/* Section 3.1.1: none before the driver is up; it will read it all. */
	if (!(dev->state->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	interrupt((struct xen_device *)transport, VIRTIO_MMIO_INT_CONFIG);
}

static void stopped(struct transport *transport)
{
	struct xen_device *device = (struct xen_device *)transport;

	ioreq_server_release(device->server, &device->window);
}

static const struct transport_ops xen_device_ops = {
	.notify_queue = notify_queue,
	.notify_config = notify_config,
	.stopped = stopped,
};

int xen_device_open(struct xen_device *device, struct ioreq_server *server,
		    struct virtio_device *dev, uint64_t id, uint64_t base,
		    uint32_t irq)
{
	int r;

	memset(device, 0, sizeof(*device));
	device->transport.ops = &xen_device_ops;
	if (!virtio_mmio_is_at(dev, base, irq))
		return -EINVAL;
	device->window = (struct ioreq_window){
		.id = id,
		.base = base,
		.bytes = VIRTIO_MMIO_WINDOW_SIZE,
		.read = window_read,
		.write = window_write,
	};
	device->dev = dev;
	device->irq = irq;
	virtio_mmio_offer(dev, base, irq);
	r = ioreq_server_add(server, &device->window);
	if (r == 0)
		device->server = server;
	return r;
}

void xen_device_go_on(struct xen_device *device)
{
	ioreq_server_go_on(device->server, &device->window);
}

void xen_device_close(struct xen_device *device)
{
	if (device->server)
		ioreq_server_remove(device->server, &device->window);
	device->server = NULL;
}
