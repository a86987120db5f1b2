/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mmio device in a Xen guest; see xen/device.h.
 */
#include "xen/device.h"

#include <errno.h>
#include <string.h>

#include "base/probe.h"

/* ---- accesses ---- */

/* Requests need them: there are as many as of those. */
static bool is_of_requests(uint64_t offset)
{
	return offset == VIRTIO_MMIO_QUEUE_NOTIFY ||
	       offset == VIRTIO_MMIO_INTERRUPT_STATUS ||
	       offset == VIRTIO_MMIO_INTERRUPT_ACK;
}

static void note_access(const struct xen_device *device, enum trace_kind kind,
			uint64_t offset, uint64_t value)
{
	const char *name = virtio_mmio_name(offset);
	uint64_t within = name ? 0 : offset;

	if (offset >= VIRTIO_MMIO_CONFIG)
		within = offset - VIRTIO_MMIO_CONFIG;
	trace_access(device->trace, kind, name, within, value);
}

static bool is_noted(const struct xen_device *device, uint64_t offset)
{
	return !is_of_requests(offset) || trace_is_on(device->trace);
}

/* What probes call a device: its disk. */
static const char *name_of(const struct xen_device *device)
{
	return device->trace ? device->trace->disk : "";
}

static uint64_t window_read(struct ioreq_window *window, uint64_t offset,
			    unsigned int size)
{
	struct xen_device *device = container_of(window, struct xen_device,
						 window);
	uint64_t value = virtio_mmio_read(device->dev, offset, size);

	PROBE3(register_read, name_of(device), offset, value);
	if (is_noted(device, offset))
		note_access(device, TRACE_READ, offset, value);
	return value;
}

static enum virtio_answer window_write(struct ioreq_window *window,
				       uint64_t offset, unsigned int size,
				       uint64_t value)
{
	struct xen_device *device = container_of(window, struct xen_device,
						 window);

	enum virtio_answer answer;

	PROBE3(register_write, name_of(device), offset, value);
	if (!is_noted(device, offset))
		return virtio_mmio_write(device->dev, offset, size, value);
	/* First: it may be what this process ends on. */
	note_access(device, TRACE_WRITE, offset, value);
	answer = virtio_mmio_write(device->dev, offset, size, value);
	trace_look_reset(device->trace, virtio_device_wants_reset(device->dev));
	return answer;
}

/* ---- notifications ---- */

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
	struct xen_device *device = (struct xen_device *)transport;

	PROBE2(notification, name_of(device), (int)queue);
	if (trace_is_on(device->trace))
		trace_notified(device->trace, TRACE_NOTIFY, queue);
	interrupt(device, VIRTIO_MMIO_INT_USED);
}

static void notify_config(struct transport *transport)
{
	struct xen_device *device = (struct xen_device *)transport;

	/* Section 3.1.1: none before the driver is up; it will read it all. */
	if (!(device->dev->state->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	PROBE2(notification, name_of(device), -1);
	trace_notified(device->trace, TRACE_CONFIG, 0);
	interrupt(device, VIRTIO_MMIO_INT_CONFIG);
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
