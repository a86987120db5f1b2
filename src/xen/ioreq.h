/* SPDX-License-Identifier: MIT */
/*
 * The IOREQ server of one guest: Xen hands it every access of the guest to an
 * MMIO range that was registered, and stops the vCPU until it is answered.
 *
 * Source: Xen public headers hvm/dm_op.h and hvm/ioreq.h.
 */
#ifndef XEN_IOREQ_H
#define XEN_IOREQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "virtio/device.h"
#include "xen/handles.h"

enum { IOREQ_VCPUS_MAX = 128 }; /* slots of the one page that Xen shares */

/* A range of guest addresses and who answers for it. Embedded by its owner. */
struct ioreq_window {
	uint64_t base;
	uint64_t bytes;
	uint64_t (*read)(struct ioreq_window *window, uint64_t offset,
			 unsigned int size);
	/* VIRTIO_WAIT: answer after ioreq_server_release(). */
	enum virtio_answer (*write)(struct ioreq_window *window,
				    uint64_t offset, unsigned int size,
				    uint64_t value);
	struct ioreq_window *next;
};

struct ioreq_vcpu {
	evtchn_port_t port; /* local */
	bool bound;
	struct ioreq_window *waiting; /* whose answer the vCPU waits for */
};

struct ioreq_slot;

struct ioreq_server {
	const struct xen_handles *xen;
	struct loop *loop;
	domid_t domid;
	bool created;
	bool enabled;
	bool in_flight; /* who ends it leaves requests behind */
	ioservid_t id;
	unsigned int nvcpus;
	struct ioreq_slot *slots; /* the page shared with Xen */
	xenforeignmemory_resource_handle *page;
	struct ioreq_vcpu vcpu[IOREQ_VCPUS_MAX];
	struct ioreq_window *windows;
	struct loop_source source; /* the event channel descriptor */
	struct loop_poller poller;
	/* Ports that were read and are masked until the loop rests. */
	evtchn_port_t masked[IOREQ_VCPUS_MAX];
	unsigned int nmasked;
	/* The guest's memory map lost pages: drop cached mappings. */
	void (*invalidate)(struct ioreq_server *server);
	uint64_t requests; /* answered, in all */
};

/*
 * Make and enable the server of `domid` and serve it in `loop`. `invalidate`
 * must be set before. 0 or a negative errno, logged; the caller closes.
 */
int ioreq_server_open(struct ioreq_server *server,
		      const struct xen_handles *xen, struct loop *loop,
		      domid_t domid);

/*
 * No access comes any more: the ranges are unmapped, Xen is told, and what came
 * before that is answered as where there is no device. A vCPU that waits for a
 * window stands still, for its owner has not said that it may go on; where
 * requests are left in flight a vCPU that writes does so as well, for that may
 * be a reset.
 */
void ioreq_server_end(struct ioreq_server *server);

/*
 * End and destroy the server. Nothing may be in flight for its windows: a vCPU
 * that waits is let go.
 */
void ioreq_server_close(struct ioreq_server *server);

/* Route a range to `window`. 0 or a negative errno. */
int ioreq_server_add(struct ioreq_server *server, struct ioreq_window *window);

/*
 * Unmap the window's range and let go who waits for it: nothing may be in
 * flight for it. An access that Xen has sent before is answered later, as where
 * there is no device.
 */
void ioreq_server_remove(struct ioreq_server *server,
			 struct ioreq_window *window);

/* Answer the vCPUs that wait for `window`. */
void ioreq_server_release(struct ioreq_server *server,
			  struct ioreq_window *window);

#endif
