/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mmio device in a Xen guest: a window of the guest's addresses and an
 * interrupt line. The transport of a disk on Xen.
 */
#ifndef XEN_DEVICE_H
#define XEN_DEVICE_H

#include <stdint.h>

#include "base/log.h"
#include "base/trace.h"
#include "virtio/mmio.h"
#include "virtio/transport.h"
#include "xen/ioreq.h"

struct xen_device {
	struct transport transport; /* first: the seam */
	struct ioreq_window window;
	struct ioreq_server *server;
	struct virtio_device *dev;
	uint32_t irq;        /* GIC interrupt id, an edge-triggered SPI */
	uint64_t interrupts; /* raised, in all */
	/* What happens is noted there; NULL after xen_device_open(). */
	struct trace *trace;
	struct log_limit errors;
};

/*
 * Answer for `dev` at guest address `base`, as window `id` of the server. From
 * then on the guest may access it; where the window is awaited, with
 * xen_device_go_on(). 0 or a negative errno: -EINVAL for a device that was
 * adopted and has another place.
 */
int xen_device_open(struct xen_device *device, struct ioreq_server *server,
		    struct virtio_device *dev, uint64_t id, uint64_t base,
		    uint32_t irq);

/* The device has been resumed: what the guest has accessed is answered. */
void xen_device_go_on(struct xen_device *device);

/*
 * Give the window up and let go the vCPUs that wait: the device must be drained
 * and have given its rings up, for they may use its memory for something else.
 */
void xen_device_close(struct xen_device *device);

#endif
