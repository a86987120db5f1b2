/* SPDX-License-Identifier: MIT */
/*
 * Xen's libraries for devices, memory, events and handles; see xen/libraries.h.
 * Their interfaces are stable, so a name with its number says all.
 *
 * Failure: one that is not there, or too old, is named in the log.
 */
#include "xen/libraries.h"

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xentoolcore.h>

#include "base/library.h"

LIBRARY_CALL(xendevicemodel_handle *, xendevicemodel_open,
	     (struct xentoollog_logger * logger, unsigned int flags),
	     (logger, flags))
LIBRARY_CALL(int, xendevicemodel_close, (xendevicemodel_handle * dmod), (dmod))
LIBRARY_CALL(int, xendevicemodel_create_ioreq_server,
	     (xendevicemodel_handle * dmod, domid_t domid, int bufioreq,
	      ioservid_t *id),
	     (dmod, domid, bufioreq, id))
LIBRARY_CALL(int, xendevicemodel_destroy_ioreq_server,
	     (xendevicemodel_handle * dmod, domid_t domid, ioservid_t id),
	     (dmod, domid, id))
LIBRARY_CALL(int, xendevicemodel_set_ioreq_server_state,
	     (xendevicemodel_handle * dmod, domid_t domid, ioservid_t id,
	      int enabled),
	     (dmod, domid, id, enabled))
LIBRARY_CALL(int, xendevicemodel_map_io_range_to_ioreq_server,
	     (xendevicemodel_handle * dmod, domid_t domid, ioservid_t id,
	      int is_mmio, uint64_t start, uint64_t end),
	     (dmod, domid, id, is_mmio, start, end))
LIBRARY_CALL(int, xendevicemodel_unmap_io_range_from_ioreq_server,
	     (xendevicemodel_handle * dmod, domid_t domid, ioservid_t id,
	      int is_mmio, uint64_t start, uint64_t end),
	     (dmod, domid, id, is_mmio, start, end))
LIBRARY_CALL(int, xendevicemodel_nr_vcpus,
	     (xendevicemodel_handle * dmod, domid_t domid, unsigned int *vcpus),
	     (dmod, domid, vcpus))
LIBRARY_CALL(int, xendevicemodel_set_irq_level,
	     (xendevicemodel_handle * dmod, domid_t domid, unsigned int irq,
	      unsigned int level),
	     (dmod, domid, irq, level))

LIBRARY_CALL(xenforeignmemory_handle *, xenforeignmemory_open,
	     (struct xentoollog_logger * logger, unsigned int flags),
	     (logger, flags))
LIBRARY_CALL(int, xenforeignmemory_close, (xenforeignmemory_handle * fmem),
	     (fmem))
LIBRARY_CALL(void *, xenforeignmemory_map,
	     (xenforeignmemory_handle * fmem, uint32_t domain, int prot,
	      size_t pages, const xen_pfn_t arr[], int errors[]),
	     (fmem, domain, prot, pages, arr, errors))
LIBRARY_CALL(void *, xenforeignmemory_map2,
	     (xenforeignmemory_handle * fmem, uint32_t domain, void *addr,
	      int prot, int flags, size_t pages, const xen_pfn_t arr[],
	      int errors[]),
	     (fmem, domain, addr, prot, flags, pages, arr, errors))
LIBRARY_CALL(int, xenforeignmemory_unmap,
	     (xenforeignmemory_handle * fmem, void *addr, size_t pages),
	     (fmem, addr, pages))
LIBRARY_CALL(xenforeignmemory_resource_handle *, xenforeignmemory_map_resource,
	     (xenforeignmemory_handle * fmem, domid_t domid, unsigned int type,
	      unsigned int id, unsigned long frame, unsigned long frames,
	      void **paddr, int prot, int flags),
	     (fmem, domid, type, id, frame, frames, paddr, prot, flags))
LIBRARY_CALL(int, xenforeignmemory_unmap_resource,
	     (xenforeignmemory_handle * fmem,
	      xenforeignmemory_resource_handle *fres),
	     (fmem, fres))

LIBRARY_CALL(xenevtchn_handle *, xenevtchn_open,
	     (struct xentoollog_logger * logger, unsigned int flags),
	     (logger, flags))
LIBRARY_CALL(int, xenevtchn_close, (xenevtchn_handle * xce), (xce))
LIBRARY_CALL(int, xenevtchn_fd, (xenevtchn_handle * xce), (xce))
LIBRARY_CALL(xenevtchn_port_or_error_t, xenevtchn_bind_interdomain,
	     (xenevtchn_handle * xce, uint32_t domid, evtchn_port_t port),
	     (xce, domid, port))
LIBRARY_CALL(int, xenevtchn_unbind,
	     (xenevtchn_handle * xce, evtchn_port_t port), (xce, port))
LIBRARY_CALL(int, xenevtchn_notify,
	     (xenevtchn_handle * xce, evtchn_port_t port), (xce, port))

LIBRARY_CALL(int, xentoolcore_restrict_all, (domid_t domid), (domid))

static const struct library_function model_functions[] = {
	LIBRARY_FUNCTION(xendevicemodel_open),
	LIBRARY_FUNCTION(xendevicemodel_close),
	LIBRARY_FUNCTION(xendevicemodel_create_ioreq_server),
	LIBRARY_FUNCTION(xendevicemodel_destroy_ioreq_server),
	LIBRARY_FUNCTION(xendevicemodel_set_ioreq_server_state),
	LIBRARY_FUNCTION(xendevicemodel_map_io_range_to_ioreq_server),
	LIBRARY_FUNCTION(xendevicemodel_unmap_io_range_from_ioreq_server),
	LIBRARY_FUNCTION(xendevicemodel_nr_vcpus),
	LIBRARY_FUNCTION(xendevicemodel_set_irq_level),
};

static const struct library_function memory_functions[] = {
	LIBRARY_FUNCTION(xenforeignmemory_open),
	LIBRARY_FUNCTION(xenforeignmemory_close),
	LIBRARY_FUNCTION(xenforeignmemory_map),
	LIBRARY_FUNCTION(xenforeignmemory_map2),
	LIBRARY_FUNCTION(xenforeignmemory_unmap),
	LIBRARY_FUNCTION(xenforeignmemory_map_resource),
	LIBRARY_FUNCTION(xenforeignmemory_unmap_resource),
};

static const struct library_function event_functions[] = {
	LIBRARY_FUNCTION(xenevtchn_open),
	LIBRARY_FUNCTION(xenevtchn_close),
	LIBRARY_FUNCTION(xenevtchn_fd),
	LIBRARY_FUNCTION(xenevtchn_bind_interdomain),
	LIBRARY_FUNCTION(xenevtchn_unbind),
	LIBRARY_FUNCTION(xenevtchn_notify),
};

/* The others register their handles with this one. */
static const struct library_function core_functions[] = {
	LIBRARY_FUNCTION(xentoolcore_restrict_all),
};

#define LOAD(soname, functions)         \
	library_load(soname, functions, \
		     sizeof(functions) / sizeof((functions)[0]))

int xen_libraries_load(void)
{
	int r = LOAD("libxendevicemodel.so.1", model_functions);

	if (r == 0)
		r = LOAD("libxenforeignmemory.so.1", memory_functions);
	if (r == 0)
		r = LOAD("libxenevtchn.so.1", event_functions);
	if (r == 0)
		r = LOAD("libxentoolcore.so.1", core_functions);
	return r;
}
