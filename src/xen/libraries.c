/* SPDX-License-Identifier: MIT */
/*
 * Xen's libraries for devices, memory and events; see xen/libraries.h. Their
 * interfaces are stable, so a name with its number says all.
 *
 * Failure: one that is not there, or too old, is named in the log.
 */
#include "xen/libraries.h"

#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

#include "base/library.h"

LIBRARY_CALL(xendevicemodel_handle *, xendevicemodel_open,
	     (struct xentoollog_logger * logger, unsigned int flags),
	     (logger, flags))
LIBRARY_CALL(int, xendevicemodel_close, (xendevicemodel_handle * model),
	     (model))
LIBRARY_CALL(int, xendevicemodel_create_ioreq_server,
	     (xendevicemodel_handle * model, domid_t domain, int bufioreq,
	      ioservid_t *id),
	     (model, domain, bufioreq, id))
LIBRARY_CALL(int, xendevicemodel_destroy_ioreq_server,
	     (xendevicemodel_handle * model, domid_t domain, ioservid_t id),
	     (model, domain, id))
LIBRARY_CALL(int, xendevicemodel_set_ioreq_server_state,
	     (xendevicemodel_handle * model, domid_t domain, ioservid_t id,
	      int enabled),
	     (model, domain, id, enabled))
LIBRARY_CALL(int, xendevicemodel_map_io_range_to_ioreq_server,
	     (xendevicemodel_handle * model, domid_t domain, ioservid_t id,
	      int is_mmio, uint64_t start, uint64_t end),
	     (model, domain, id, is_mmio, start, end))
LIBRARY_CALL(int, xendevicemodel_unmap_io_range_from_ioreq_server,
	     (xendevicemodel_handle * model, domid_t domain, ioservid_t id,
	      int is_mmio, uint64_t start, uint64_t end),
	     (model, domain, id, is_mmio, start, end))
LIBRARY_CALL(int, xendevicemodel_nr_vcpus,
	     (xendevicemodel_handle * model, domid_t domain,
	      unsigned int *vcpus),
	     (model, domain, vcpus))
LIBRARY_CALL(int, xendevicemodel_set_irq_level,
	     (xendevicemodel_handle * model, domid_t domain, unsigned int irq,
	      unsigned int level),
	     (model, domain, irq, level))

LIBRARY_CALL(xenforeignmemory_handle *, xenforeignmemory_open,
	     (struct xentoollog_logger * logger, unsigned int flags),
	     (logger, flags))
LIBRARY_CALL(int, xenforeignmemory_close, (xenforeignmemory_handle * memory),
	     (memory))
LIBRARY_CALL(void *, xenforeignmemory_map,
	     (xenforeignmemory_handle * memory, uint32_t domain, int prot,
	      size_t pages, const xen_pfn_t frames[], int errors[]),
	     (memory, domain, prot, pages, frames, errors))
LIBRARY_CALL(void *, xenforeignmemory_map2,
	     (xenforeignmemory_handle * memory, uint32_t domain, void *at,
	      int prot, int flags, size_t pages, const xen_pfn_t frames[],
	      int errors[]),
	     (memory, domain, at, prot, flags, pages, frames, errors))
LIBRARY_CALL(int, xenforeignmemory_unmap,
	     (xenforeignmemory_handle * memory, void *at, size_t pages),
	     (memory, at, pages))
LIBRARY_CALL(xenforeignmemory_resource_handle *, xenforeignmemory_map_resource,
	     (xenforeignmemory_handle * memory, domid_t domain,
	      unsigned int type, unsigned int id, unsigned long frame,
	      unsigned long frames, void **at, int prot, int flags),
	     (memory, domain, type, id, frame, frames, at, prot, flags))
LIBRARY_CALL(int, xenforeignmemory_unmap_resource,
	     (xenforeignmemory_handle * memory,
	      xenforeignmemory_resource_handle *resource),
	     (memory, resource))

LIBRARY_CALL(xenevtchn_handle *, xenevtchn_open,
	     (struct xentoollog_logger * logger, unsigned int flags),
	     (logger, flags))
LIBRARY_CALL(int, xenevtchn_close, (xenevtchn_handle * events), (events))
LIBRARY_CALL(int, xenevtchn_fd, (xenevtchn_handle * events), (events))
LIBRARY_CALL(xenevtchn_port_or_error_t, xenevtchn_bind_interdomain,
	     (xenevtchn_handle * events, uint32_t domain, evtchn_port_t port),
	     (events, domain, port))
LIBRARY_CALL(int, xenevtchn_unbind,
	     (xenevtchn_handle * events, evtchn_port_t port), (events, port))
LIBRARY_CALL(int, xenevtchn_notify,
	     (xenevtchn_handle * events, evtchn_port_t port), (events, port))

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
	return r;
}
