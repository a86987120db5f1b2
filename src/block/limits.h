/* SPDX-License-Identifier: MIT */
/*
 * What sizes a store may have. A claim takes no others (geometry.c, ability.c,
 * dio.c), and so facts that have others are of none (facts.c).
 */
#ifndef BLOCK_LIMITS_H
#define BLOCK_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of a logical block. */
#define BLOCK_LOGICAL_MIN 512u
#define BLOCK_LOGICAL_MAX 4096u
/* A device's physical blocks: RAID and flash report larger ones. */
#define BLOCK_PHYSICAL_MAX 65536u
/* Of offset, length and memory, for O_DIRECT. */
#define BLOCK_ALIGN_MAX 4096u
/* A unit to discard that means anything for a driver's requests. */
#define BLOCK_GRANULARITY_MAX (1u << 30)

/* The largest errno that the kernel has. */
#define BLOCK_ERRNO_MAX 4095u

/* Whether it is a power of two from `min` to `max`. */
static inline bool block_is_power(uint64_t bytes, uint32_t min, uint32_t max)
{
	return bytes >= min && bytes <= max && (bytes & (bytes - 1)) == 0;
}

/* Whether it can be told to a driver as what a store transfers well; or 0. */
static inline bool block_is_hint(uint32_t bytes)
{
	return bytes <= INT32_MAX && bytes % BLOCK_LOGICAL_MIN == 0;
}

#endif
