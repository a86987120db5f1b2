/* SPDX-License-Identifier: MIT */
/*
 * A second, slow opinion about block requests: what a chain of buffers has to
 * do to guest memory, to the disk and to the used ring. Tests let it work on a
 * shadow of guest memory and then compare all of it, so that a byte written
 * where none belongs is seen wherever it is.
 */
#ifndef MODEL_REQUEST_H
#define MODEL_REQUEST_H

#include "lib/model_blk.h"

/* Remember guest memory and disk as they are now. */
void model_shadow(struct model_blk *m);

void model_compare(const struct model_blk *m);

struct model_chain {
	const struct model_buf *bufs;
	unsigned int n;
};

/* Apply the chain, and its used element, to the shadow. */
void model_expect(struct model_blk *m, unsigned int queue, uint16_t head,
		  const struct model_chain *c);

/* Offer a chain, serve it, and compare everything. */
void model_try(struct model_blk *m, const struct model_chain *c,
	       unsigned int direct);

#endif
