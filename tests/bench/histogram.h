/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times in ns, exact to 1.6 %: 64 buckets for each power of two.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_SHIFT = 6,
	HISTOGRAM_STEP = 1 << HISTOGRAM_SHIFT,
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SHIFT + 1) * HISTOGRAM_STEP,
};

struct histogram {
	uint64_t n;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	unsigned int shift;

	h->n++;
	if (ns < HISTOGRAM_STEP) {
		h->bucket[ns]++;
		return;
	}
	/* 63 - clz is the highest bit; HISTOGRAM_SHIFT bits after it count. */
	shift = 63u - (unsigned int)__builtin_clzll(ns) - HISTOGRAM_SHIFT;
	h->bucket[(shift + 1) * HISTOGRAM_STEP +
		  ((ns >> shift) & (HISTOGRAM_STEP - 1))]++;
}

/* The middle of a bucket, ns. */
static inline uint64_t histogram_value(unsigned int i)
{
	unsigned int shift = i / HISTOGRAM_STEP;
	uint64_t low;

	if (shift == 0)
		return i;
	shift--;
	low = (uint64_t)(HISTOGRAM_STEP + i % HISTOGRAM_STEP) << shift;
	return low + ((UINT64_C(1) << shift) >> 1);
}

/* The time that `share` (0 .. 1) of all were not above; 0 if there are none. */
static inline uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->n);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		sum += h->bucket[i];
		if (sum > wanted)
			return histogram_value(i);
	}
	return 0;
}

#endif
