/* SPDX-License-Identifier: MIT */
/*
 * The system calls of a confined worker; what is made of them is in
 * base/call_filter.h.
 */
#ifndef WORKER_CONFINE_LIST_H
#define WORKER_CONFINE_LIST_H

#include "base/call_filter.h"

/*
 * When they are made. A worker may do all of them at any time, for disks come
 * and go while others are served.
 */
enum confine_when {
	/* While disks are served, flushed and discarded by io_uring. */
	CONFINE_STEADY = 1,
	/* Besides: a disk is attached, adopted, resized or ends; threads, which
	 * the first flush and the first discard start too; the process ends. */
	CONFINE_CHANGE = 2,
	/* Besides, for an engine that a user chose, or got where the kernel has
	 * no io_uring. */
	CONFINE_ENGINES = 4,
	/* Besides, of a Xen guest; of front ends of vhost-user. */
	CONFINE_XEN = 8,
	CONFINE_VHOST = 16,
};

#define CONFINE_ANY (CONFINE_STEADY | CONFINE_CHANGE | CONFINE_ENGINES)
#define CONFINE_ALL_OF_XEN (CONFINE_ANY | CONFINE_XEN)
#define CONFINE_ALL_OF_VHOST (CONFINE_ANY | CONFINE_VHOST)

extern const struct call_filter_list confine_list;

#endif
