/* SPDX-License-Identifier: MIT */
/*
 * In place of guest.c where Xen's libraries were missing at build time.
 */
#include "monitor/guest.h"

#include <unistd.h>

#include "base/log.h"

int guest_serve(struct loop *loop, const struct options *options,
		struct worker_starter *starter)
{
	(void)loop;
	(void)starter;
	log_error(
		"cannot serve domain %s: built without Xen; install libxen-dev "
		"and build again",
		options->domain);
	return 1;
}

void guest_abandon(void)
{
	_exit(1);
}

void guest_log_stats(void)
{
}

void guest_log_events(void)
{
}

void guest_trace(bool on)
{
	(void)on;
}
