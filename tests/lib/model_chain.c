/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_chain.h"

static bool model_verdict_add(struct model_verdict *v,
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
static void model_walk(const struct model_rules *rules, struct model_verdict *v,
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

void model_judge_chain(const struct model_rules *rules, struct model_verdict *v,
		       const struct model_ring *ring, uint16_t head)
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
