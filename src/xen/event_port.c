/* SPDX-License-Identifier: MIT */
/*
 * Binding an event channel; see xen/event_port.h.
 *
 * Failure modes: a port that another process is bound to is refused as one that
 * makes no sense. A process that ends gives back what it has one after the
 * other: the lock of the state that says that it has ended may be free while it
 * is bound still. The guest stands still until we go on, and has nobody else;
 * so whoever adopts waits for the rest of it.
 */
#include "xen/event_port.h"

#include <errno.h>
#include <unistd.h>

enum { TRY_US = 1000 };

int event_port_bind(xenevtchn_handle *events, uint32_t domid,
		    evtchn_port_t remote, unsigned int *tries)
{
	int port;

	while ((port = xenevtchn_bind_interdomain(events, domid, remote)) < 0) {
		if (errno != EINVAL || *tries == 0)
			return -errno;
		if (--*tries == 0) {
			errno = EBUSY;
			return -errno;
		}
		usleep(TRY_US);
	}
	return port;
}
