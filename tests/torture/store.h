/* SPDX-License-Identifier: MIT */
/*
 * What a test and its slow store say to each other: a file that both map.
 */
#ifndef TORTURE_STORE_H
#define TORTURE_STORE_H

#include <stdint.h>

/* All atomic. */
struct store_control {
	uint32_t hold;   /* by the test: hold back writes that begin now */
	uint32_t min_ms; /* ... for so long, by chance */
	uint32_t max_ms;
	uint32_t fail;   /* flushes that begin now fail */
	uint32_t held;   /* by the store: held back now; flushes as well */
	uint32_t ready;  /* it is mounted */
	uint32_t writes; /* since it began */
};

static inline uint32_t store_read(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void store_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

#endif
