/* SPDX-License-Identifier: MIT */
/*
 * What Xen itself knows of a domain: whether it lives, and why it shut down.
 *
 * Only libxenctrl tells, and its soname carries the Xen version. The library of
 * the running Xen is looked for at start-up, so that one program runs on all of
 * them; without it the answer is that nobody knows.
 */
#ifndef TOOLSTACK_DOMCTL_H
#define TOOLSTACK_DOMCTL_H

#include <stdint.h>
#include <xentoollog.h>

enum domain_life {
	DOMAIN_UNKNOWN, /* libxenctrl is missing */
	DOMAIN_GONE,    /* there is no such domain */
	DOMAIN_RUNS,
	DOMAIN_SHUT_DOWN, /* ended by itself; see the reason */
	DOMAIN_DYING,     /* being destroyed */
};

/* Xen public header sched.h, SHUTDOWN_*. */
enum domain_shutdown {
	DOMAIN_POWEROFF = 0,
	DOMAIN_REBOOT = 1,
	DOMAIN_SUSPEND = 2,
	DOMAIN_CRASH = 3,
	DOMAIN_WATCHDOG = 4,
	DOMAIN_SOFT_RESET = 5,
};

struct xen_domctl;

/*
 * Find the library, which says what it has to say to `logger`. Returns NULL,
 * with a line in the log, if there is none.
 */
struct xen_domctl *xen_domctl_open(xentoollog_logger *logger);
void xen_domctl_close(struct xen_domctl *ctl);

/* The state of `domid`; the reason is stored for DOMAIN_SHUT_DOWN. NULL ctl:
 * DOMAIN_UNKNOWN. */
enum domain_life xen_domctl_life(struct xen_domctl *ctl, uint32_t domid,
				 enum domain_shutdown *reason);

#endif
