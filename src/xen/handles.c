/* SPDX-License-Identifier: MIT */
/*
 * Opening Xen's handles; see xen/handles.h.
 */
#include "xen/handles.h"

#include <errno.h>
#include <string.h>
#include <xentoolcore.h>

#include "base/log.h"
#include "xen/libraries.h"
#include "xen/logger.h"

static int missing(struct xen_handles *xen, const char *what)
{
	int error = errno ? errno : EIO;

	log_error("cannot open %s: %s; is this a Xen domain with the modules "
		  "xen-privcmd and xen-evtchn loaded, and are you root?",
		  what, strerror(error));
	xen_handles_close(xen);
	return -error;
}

int xen_handles_open(struct xen_handles *xen)
{
	int r = xen_libraries_load();

	memset(xen, 0, sizeof(*xen));
	if (r)
		return r;
	xen->model = xendevicemodel_open(xen_logger(), 0);
	if (!xen->model)
		return missing(xen, "Xen's device model interface");
	xen->memory = xenforeignmemory_open(xen_logger(), 0);
	if (!xen->memory)
		return missing(xen, "/dev/xen/privcmd");
	xen->events = xenevtchn_open(xen_logger(), 0);
	if (!xen->events)
		return missing(xen, "/dev/xen/evtchn");
	return 0;
}

int xen_handles_restrict(unsigned int domid)
{
	errno = 0;
	if (xentoolcore_restrict_all((domid_t)domid) == 0)
		return 0;
	return errno ? -errno : -EIO;
}

void xen_handles_close(struct xen_handles *xen)
{
	if (xen->events)
		xenevtchn_close(xen->events);
	if (xen->memory)
		xenforeignmemory_close(xen->memory);
	if (xen->model)
		xendevicemodel_close(xen->model);
	memset(xen, 0, sizeof(*xen));
}

const char *xen_error(int error)
{
	switch (error) {
	case EOPNOTSUPP:
	case ENOSYS:
		return "this hypervisor has no IOREQ servers (on Arm they need "
		       "CONFIG_IOREQ_SERVER)";
	case EPERM:
		return "not permitted: in a driver domain the guest has to be "
		       "this domain's target, and the kernel may want "
		       "xen_privcmd.unrestricted=1";
	case ESRCH:
		return "there is no such domain";
	default:
		return strerror(error);
	}
}
