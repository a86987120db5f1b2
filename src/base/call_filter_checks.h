/* SPDX-License-Identifier: MIT */
/* What arguments each of our lists of system calls asks for. */
#ifndef BASE_CALL_FILTER_CHECKS_H
#define BASE_CALL_FILTER_CHECKS_H

#include "base/call_filter.h"

/* Of what can be registered with a ring, what its engine does. */
extern const struct call_filter_check call_filter_ring_of_engine;

/* mmap, mprotect: memory that is not executed. */
extern const struct call_filter_check call_filter_not_executed;

/* tgkill: a signal to ourselves. */
extern const struct call_filter_check call_filter_to_us;

#endif
