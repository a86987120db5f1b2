/* SPDX-License-Identifier: MIT */
/*
 * Asking libxenctrl about a domain; see toolstack/domctl.h.
 *
 * xc_domain_getinfolist() has had the same parameters in every release that we
 * support (4.17 to 4.20), and its result begins with domain id and flags in all
 * of them; what follows differs and is not looked at.
 */
#include "toolstack/domctl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* The beginning of struct xen_domctl_getdomaininfo, with room to spare. */
struct domain_info {
	uint16_t domid;
	uint16_t pad;
	uint32_t flags;
	uint8_t rest[1016];
};

/* XEN_DOMINF_* of Xen's domctl.h. */
enum {
	INFO_DYING = 1 << 0,
	INFO_SHUTDOWN = 1 << 2,
	INFO_REASON_SHIFT = 16,
	INFO_REASON_MASK = 255,
};

/* Minor versions of Xen 4 whose library is looked for. */
enum { MINOR_OLDEST = 17, MINOR_NEWEST = 30 };

struct xen_domctl {
	void *library;
	void *handle; /* xc_interface */
	int (*close)(void *handle);
	int (*get)(void *handle, uint32_t first, unsigned int max,
		   struct domain_info *info);
};

/* The running Xen's minor version, or -1. */
static int running_minor(void)
{
	FILE *f = fopen("/sys/hypervisor/version/minor", "re");
	char line[16] = "";
	char *end;
	long minor;

	if (!f)
		return -1;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	minor = strtol(line, &end, 10);
	return end == line || minor > MINOR_NEWEST ? -1 : (int)minor;
}

static void *open_library(void)
{
	int running = running_minor();
	void *library = NULL;
	char name[32];

	/* Its calls are refused by any hypervisor but that of its version. */
	for (int minor = MINOR_OLDEST; !library && minor <= MINOR_NEWEST;
	     minor++) {
		if (running >= 0 && minor != running)
			continue;
		snprintf(name, sizeof(name), "libxenctrl.so.4.%d", minor);
		library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	}
	return library;
}

struct xen_domctl *xen_domctl_open(xentoollog_logger *logger)
{
	void *(*open)(void *, void *, unsigned int);
	struct xen_domctl *ctl = calloc(1, sizeof(*ctl));

	if (!ctl)
		return NULL;
	ctl->library = open_library();
	if (!ctl->library)
		goto err;
	/* POSIX defines this conversion for what dlsym() returns. */
	*(void **)&open = dlsym(ctl->library, "xc_interface_open");
	*(void **)&ctl->close = dlsym(ctl->library, "xc_interface_close");
	*(void **)&ctl->get = dlsym(ctl->library, "xc_domain_getinfolist");
	if (!open || !ctl->close || !ctl->get)
		goto err;
	ctl->handle = open(logger, logger, 0);
	if (!ctl->handle)
		goto err;
	return ctl;

err:
	log_warning("libxenctrl of the running Xen was not found: the reason "
		    "of a guest's shutdown stays unknown");
	xen_domctl_close(ctl);
	return NULL;
}

void xen_domctl_close(struct xen_domctl *ctl)
{
	if (!ctl)
		return;
	if (ctl->handle)
		ctl->close(ctl->handle);
	if (ctl->library)
		dlclose(ctl->library);
	free(ctl);
}

enum domain_life xen_domctl_life(struct xen_domctl *ctl, uint32_t domid,
				 enum domain_shutdown *reason)
{
	struct domain_info info;
	int n;

	if (!ctl)
		return DOMAIN_UNKNOWN;
	n = ctl->get(ctl->handle, domid, 1, &info);
	if (n < 0)
		return DOMAIN_UNKNOWN;
	if (n == 0 || info.domid != domid)
		return DOMAIN_GONE;
	if (info.flags & INFO_DYING)
		return DOMAIN_DYING;
	if (!(info.flags & INFO_SHUTDOWN))
		return DOMAIN_RUNS;
	*reason = (info.flags >> INFO_REASON_SHIFT) & INFO_REASON_MASK;
	return DOMAIN_SHUT_DOWN;
}
