/* SPDX-License-Identifier: MIT */
/* An event channel of a guest, which one process at a time is bound to. */
#ifndef XEN_EVENT_PORT_H
#define XEN_EVENT_PORT_H

#include <xenevtchn.h>

enum { EVENT_PORT_TRIES = 5000 }; /* that are worth it: some seconds */

/*
 * Bind `remote` of domain `domid`: the local port, or a negative errno, and
 * errno is set. While another process has it, which may be about to end, it is
 * tried again, `tries` times in all calls; then -EBUSY. 0: it has to be free.
 */
int event_port_bind(xenevtchn_handle *events, uint32_t domid,
		    evtchn_port_t remote, unsigned int *tries);

#endif
