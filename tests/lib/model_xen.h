/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor for tests: what the IOREQ server and the device call of Xen's
 * libraries, with a page of vCPU slots and event channels that behave like
 * Linux's. The program has to be linked with --wrap for each of them.
 *
 * It checks what Xen would crash the guest for: an answer is notified once, in
 * the state RESP_READY, on the vCPU's own port, and a slot never goes back. It
 * counts what was made and what was given back, can fail at any call, and can
 * kill the process before or after any: what Xen keeps of it stays.
 */
#ifndef MODEL_XEN_H
#define MODEL_XEN_H

#include "lib/model_memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

#include "xen/ioreq.h"

enum {
	XEN_DOMID = 5,
	XEN_SERVER = 3,
	XEN_REMOTE_PORT = 1000, /* of vCPU 0 */
	XEN_LOCAL_PORT = 200,
	XEN_RANGES_MAX = 32,
};

struct model_vcpu {
	bool bound;
	bool masked;        /* its event was read and not unmasked yet */
	bool pending;       /* an event that waits for the unmask */
	unsigned int state; /* of its slot, as last seen */
	unsigned int answers;
};

struct model_range {
	uint64_t first, last;
};

struct model_xen {
	unsigned int nvcpus;
	unsigned int nr_vcpus_says; /* if not 0: instead of nvcpus */
	ioreq_t *page;
	int fd[2]; /* [0] is the event channel device */
	struct model_vcpu vcpu[128];
	struct model_range range[XEN_RANGES_MAX];
	unsigned int nranges;
	unsigned int servers, pages, enabled;
	unsigned int calls;
	unsigned int fail_at; /* this call fails; 0: none */
	int fail_errno;
	unsigned int held; /* bindings that a dying process is in the way of */
	unsigned int server;  /* the id of the one there is */
	unsigned int orphans; /* never enabled, and known to nobody */
	unsigned int steps;   /* calls, of whatever kind */
	unsigned int die_at;  /* at this step death is jumped to; 0: never */
	bool die_after;       /* ... after it had its effect */
	bool died;
	jmp_buf death;
	unsigned int irq;
	unsigned int irqs; /* raised */
	/* What a vCPU that takes the interrupt at once reads here, if set. */
	const uint32_t *irq_status;
	uint32_t irq_status_seen;
};

extern struct model_xen xen;

extern const struct xen_handles xen_fake;

int __wrap_xendevicemodel_nr_vcpus(xendevicemodel_handle *h, domid_t domid,
				   unsigned int *vcpus);
int __wrap_xendevicemodel_create_ioreq_server(xendevicemodel_handle *h,
					      domid_t domid, int bufioreq,
					      ioservid_t *id);
int __wrap_xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *h,
					       domid_t domid, ioservid_t id);
int __wrap_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h,
						 domid_t domid, ioservid_t id,
						 int enabled);
int __wrap_xendevicemodel_map_io_range_to_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int is_mmio,
	uint64_t start, uint64_t end);
int __wrap_xendevicemodel_unmap_io_range_from_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int is_mmio,
	uint64_t start, uint64_t end);
int __wrap_xendevicemodel_set_irq_level(xendevicemodel_handle *h, domid_t domid,
					uint32_t irq, unsigned int level);
xenforeignmemory_resource_handle *__wrap_xenforeignmemory_map_resource(
	xenforeignmemory_handle *h, domid_t domid, unsigned int type,
	unsigned int id, unsigned long frame, unsigned long nr_frames,
	void **paddr, int prot, int flags);
int __wrap_xenforeignmemory_unmap_resource(
	xenforeignmemory_handle *h, xenforeignmemory_resource_handle *res);
int __wrap_xenevtchn_fd(xenevtchn_handle *h);
xenevtchn_port_or_error_t
__wrap_xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
				  evtchn_port_t remote);
int __wrap_xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port);
int __wrap_xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port);

void xen_start(unsigned int nvcpus);

/* Nothing may be left of what was made. */
void xen_check_clean(void);

void xen_stop(void);

/*
 * The process is gone, as after kill -9: its ports, its events and what it had
 * mapped are; server, ranges and slots are not. Its own memory is the caller's.
 */
void xen_process_dies(void);

/* Whether one of the server's ranges has the address, so that it is sent. */
bool xen_has_range(uint64_t addr);

/* No slot may have gone backwards since the last look. */
void xen_check_slots(void);

/* Take the ports that were unmasked: how many. */
unsigned int xen_take_unmasked(void);

/* A vCPU makes an access and stands still until it is answered. */
void xen_access(unsigned int vcpu, uint64_t addr, uint32_t size, bool read,
		uint64_t data);

struct model_log {
	int saved;
	int fd;
};

/* Standard error goes to a memory file from here ... */
void log_begin(struct model_log *log);

/* ... to here: the number of lines. */
unsigned int log_end(struct model_log *log);

#endif
