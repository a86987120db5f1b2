/* SPDX-License-Identifier: MIT */
/*
 * The filter of system calls; see program/sandbox.h.
 *
 * Not refused is what a ring of io_uring does in our name: it asks no filter.
 * The engine's rings are restricted each (block/engine_uring.c); a process that
 * was taken over could make another one.
 *
 * Failures: those of base/call_filter.h. The log says so.
 */
#include "program/sandbox.h"

#include <string.h>

#include "base/log.h"
#include "program/hardening.h"

int sandbox_install(enum sandbox_for what)
{
	return call_filter_install(&sandbox_list, what);
}

void sandbox_enter(enum sandbox_for what)
{
	int r;

	if (HARDENING_SANITIZED)
		return;
	r = sandbox_install(what);
	if (r)
		log_warning("no filter of system calls: %s", strerror(-r));
	else
		log_debug("sandbox: %u system calls are allowed",
			  call_filter_size(&sandbox_list, what));
}
