/* SPDX-License-Identifier: MIT */
/* See base/call_filter_checks.h. */
#include "base/call_filter_checks.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

static const uint32_t registered[] = {
	IORING_REGISTER_FILES,
	IORING_UNREGISTER_FILES,
	IORING_REGISTER_RESTRICTIONS,
	IORING_REGISTER_ENABLE_RINGS,
};
const struct call_filter_check call_filter_ring_of_engine = {
	1, UINT32_MAX, registered, sizeof(registered) / sizeof(registered[0])
};

static const uint32_t zero[] = { 0 };
const struct call_filter_check call_filter_not_executed = { 2, PROT_EXEC, zero,
							    1 };

static const uint32_t own[] = { CALL_FILTER_OWN_PID };
const struct call_filter_check call_filter_to_us = { 0, UINT32_MAX, own, 1 };
