/* SPDX-License-Identifier: MIT */
/* Monotonic time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

/* `ns`, or the nearest that lies between these. */
static inline uint64_t ns_within(uint64_t ns, uint64_t min_ns, uint64_t max_ns)
{
	return ns < min_ns ? min_ns : ns > max_ns ? max_ns : ns;
}

#endif
