/* SPDX-License-Identifier: MIT */
/*
 * A second opinion about the chains of a split ring: what a list of descriptors
 * means, written down once more, slowly, from section 2.7 of the specification.
 */
#ifndef MODEL_CHAIN_H
#define MODEL_CHAIN_H

#include "lib/model_driver.h"

enum { MODEL_RANGES_MAX = 2 * MODEL_RING_MAX };

/* What counts beside the descriptors. */
struct model_rules {
	const struct model_memory *mem;
	bool indirect;         /* tables were negotiated */
	unsigned int size_max; /* entries of the longest table */
};

/* What has to become of a chain. */
struct model_verdict {
	int result;            /* of virtqueue_pop() */
	unsigned int n;        /* ranges that are not empty */
	unsigned int readable; /* of them */
	uint64_t bytes[2];     /* readable, writable */
	struct guest_range ranges[MODEL_RANGES_MAX];
};

/* What has to become of the chain at `head` of a ring. */
void model_judge_chain(const struct model_rules *rules, struct model_verdict *v,
		       const struct model_ring *ring, uint16_t head);

#endif
