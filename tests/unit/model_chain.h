/* SPDX-License-Identifier: MIT */
/*
 * A second opinion about the chains of a split ring: what a list of descriptors
 * means, written down once more, slowly, from section 2.7 of the specification.
 */
#ifndef MODEL_CHAIN_H
#define MODEL_CHAIN_H

#include "model_driver.h"

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

static inline bool model_verdict_add(struct model_verdict *v,
				     const struct vring_desc *d)
{
	bool w = d->flags & VRING_DESC_WRITE;

	if (!w && v->bytes[1])
		v->result = -EPROTO;
	v->bytes[w] += d->len;
	if (d->len) {
		v->ranges[v->n].addr = d->addr;
		v->ranges[v->n].len = d->len;
		v->n++;
		v->readable += !w;
	}
	return v->result == 1;
}

/* Walk a list of `size` descriptors from entry `i`. */
static inline void model_walk(const struct model_rules *rules,
			      struct model_verdict *v,
			      const struct vring_desc *list, unsigned int size,
			      unsigned int i, bool nested)
{
	for (unsigned int steps = 0; steps < size; steps++) {
		const struct vring_desc *d = &list[i];

		if (d->flags & VRING_DESC_INDIRECT) {
			const struct vring_desc *table =
				model_at(rules->mem, d->addr, d->len);

			if (nested || !rules->indirect ||
			    (d->flags & VRING_DESC_NEXT) || d->len == 0 ||
			    d->len % 16)
				v->result = -EPROTO;
			else if (d->len / 16 > rules->size_max)
				v->result = -E2BIG;
			else if (!table)
				v->result = -EFAULT;
			else
				model_walk(rules, v, table, d->len / 16, 0,
					   true);
			return;
		}
		if (!model_verdict_add(v, d) || !(d->flags & VRING_DESC_NEXT))
			return;
		i = d->next;
		if (i >= size) {
			v->result = -ERANGE;
			return;
		}
	}
	v->result = -ELOOP;
}

/* What has to become of the chain at `head` of a ring. */
static inline void model_judge_chain(const struct model_rules *rules,
				     struct model_verdict *v,
				     const struct model_ring *ring,
				     uint16_t head)
{
	v->result = 1;
	v->n = 0;
	v->readable = 0;
	v->bytes[0] = 0;
	v->bytes[1] = 0;
	model_walk(rules, v, ring->desc, ring->size, head, false);
	/* How long it is in all is looked at last. */
	if (v->result == 1 && v->bytes[0] + v->bytes[1] > UINT32_MAX)
		v->result = -E2BIG;
}

#endif
