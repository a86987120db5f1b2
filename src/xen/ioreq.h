/* SPDX-License-Identifier: MIT */
/*
 * The IOREQ server of one guest: Xen hands it every access of the guest to an
 * MMIO range that was registered, and stops the vCPU until it is answered.
 *
 * Xen keeps a server whose process has died. With a state that outlives the
 * process (xen/ioreq_state.h) the next one adopts it. The windows of the dead
 * are awaited then: a vCPU that accesses one stands still until the window is
 * added and goes on (ioreq_server_go_on()), or is disowned.
 *
 * Source: Xen public headers hvm/dm_op.h and hvm/ioreq.h.
 */
#ifndef XEN_IOREQ_H
#define XEN_IOREQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "virtio/device.h"
#include "xen/handles.h"
#include "xen/ioreq_state.h"

/* A range of guest addresses and who answers for it. Embedded by its owner. */
struct ioreq_window {
	uint64_t id; /* no other window of the server has it */
	uint64_t base;
	uint64_t bytes; /* 1 .. IOREQ_WINDOW_BYTES_MAX */
	uint64_t (*read)(struct ioreq_window *window, uint64_t offset,
			 unsigned int size);
	/* VIRTIO_WAIT: answer after ioreq_server_release(). */
	enum virtio_answer (*write)(struct ioreq_window *window,
				    uint64_t offset, unsigned int size,
				    uint64_t value);
	/* The server's: */
	struct ioreq_state_window *row;
	struct ioreq_window *next;
};

struct ioreq_vcpu {
	evtchn_port_t port; /* local */
	bool bound;
	bool left; /* the process before had begun with its access */
	struct ioreq_window *waiting; /* whose answer the vCPU waits for */
};

struct ioreq_slot;

struct ioreq_server {
	const struct xen_handles *xen;
	struct loop *loop;
	domid_t domid;
	struct ioreq_state *state; /* `own`, or what outlives the process */
	struct ioreq_state own;
	uint32_t awaited; /* bits of the state's rows */
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
	struct log_limit errors; /* of unmasking them */
	/* The guest's memory map lost pages: drop cached mappings. */
	void (*invalidate)(struct ioreq_server *server);
	uint64_t requests; /* answered, in all */
};

/*
 * Make and enable the server of `domid` and serve it in `loop`. `state` is to
 * tell of it, and is the caller's until the server is closed or left; NULL:
 * nothing outlives the process. `invalidate` must be set before. 0 or a
 * negative errno, logged; the caller closes.
 */
int ioreq_server_open(struct ioreq_server *server,
		      const struct xen_handles *xen, struct loop *loop,
		      domid_t domid, struct ioreq_state *state);

/*
 * Go on with the server that a state tells of which is not empty; else as
 * ioreq_server_open(). Accesses that no window awaits are answered at once.
 * 0; -ENOENT if the server is gone, or another negative errno, and a sentence
 * in `why`: then Xen, state and server are as they were.
 */
int ioreq_server_adopt(struct ioreq_server *server,
		       const struct xen_handles *xen, struct loop *loop,
		       domid_t domid, struct ioreq_state *state,
		       const char **why);

/*
 * The process ends, the next one goes on: no access is taken or answered any
 * more, nothing is undone. The server is as before it was opened.
 */
void ioreq_server_leave(struct ioreq_server *server);

/*
 * No access comes any more: the ranges are unmapped, also those that are
 * awaited, Xen is told, and what came
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

/*
 * Route a range to `window`. One that is awaited must have the same range; it
 * stays awaited until ioreq_server_go_on(). 0 or a negative errno: -EEXIST if
 * it meets that of another window, -EINVAL if it is not the awaited one's.
 */
int ioreq_server_add(struct ioreq_server *server, struct ioreq_window *window);

/*
 * Unmap the window's range and let go who waits for it: nothing may be in
 * flight for it. An access that Xen has sent before is answered later, as where
 * there is no device. One that is awaited still is as before it was added.
 */
void ioreq_server_remove(struct ioreq_server *server,
			 struct ioreq_window *window);

/* Whether a window of the process before is awaited; and any. */
bool ioreq_server_awaits(const struct ioreq_server *server, uint64_t id);

static inline bool ioreq_server_awaits_any(const struct ioreq_server *server)
{
	return server->awaited;
}

/* The ids of those that are: how many. */
unsigned int ioreq_server_awaited(const struct ioreq_server *server,
				  uint64_t id[IOREQ_WINDOWS_MAX]);

/* An awaited window that was added is ready: accesses that waited happen. */
void ioreq_server_go_on(struct ioreq_server *server,
			struct ioreq_window *window);

/* A window that is awaited will not be added: as ioreq_server_remove(). */
void ioreq_server_disown(struct ioreq_server *server, uint64_t id);

/* Answer the vCPUs that wait for `window`. */
void ioreq_server_release(struct ioreq_server *server,
			  struct ioreq_window *window);

#endif
