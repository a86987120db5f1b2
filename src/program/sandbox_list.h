/* SPDX-License-Identifier: MIT */
/*
 * The list of system calls; what is made of it is in base/call_filter.h.
 */
#ifndef PROGRAM_SANDBOX_LIST_H
#define PROGRAM_SANDBOX_LIST_H

#include "base/call_filter.h"

/* What is served: each needs what the other does not. Bits of its calls. */
enum sandbox_for {
	SANDBOX_XEN = 1,
	SANDBOX_VHOST = 2,
	SANDBOX_MONITOR = 4,       /* of a guest whose workers are processes */
	SANDBOX_VHOST_MONITOR = 8, /* of front ends, the same */
};

extern const struct call_filter_list sandbox_list;

#endif
