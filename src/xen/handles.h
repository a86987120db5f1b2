/* SPDX-License-Identifier: MIT */
/*
 * The handles of Xen's libraries that serving guests takes.
 */
#ifndef XEN_HANDLES_H
#define XEN_HANDLES_H

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

struct xen_handles {
	xendevicemodel_handle *model;
	xenforeignmemory_handle *memory;
	xenevtchn_handle *events;
};

/*
 * Open all handles; logs what is missing and what to do. 0 or a negative
 * errno.
 */
int xen_handles_open(struct xen_handles *xen);

/*
 * From now on all handles of Xen's libraries that this process has open serve
 * that guest alone, and so do their descriptors in whoever's hands. 0 or a
 * negative errno: then some may be restricted, and all can be used as before
 * for the guest. -ENOTTY: the kernel knows no such restriction.
 */
int xen_handles_restrict(unsigned int domid);

/* Half-open handles are allowed. */
void xen_handles_close(struct xen_handles *xen);

/* What an errno of a hypercall wrapper means to the administrator. */
const char *xen_error(int error);

#endif
