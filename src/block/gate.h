/* SPDX-License-Identifier: MIT */
/*
 * Who may change which blocks of an image now, where a change of a part of a
 * block is made by reading and writing the whole block.
 */
#ifndef BLOCK_GATE_H
#define BLOCK_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/image.h"
#include "outbox.h"

/* A change on its way; the caller's, from enter() to leave(). */
struct block_gate_entry {
	/* Set before enter(). */
	uint64_t begin, end;         /* whole blocks of dio_align */
	bool alone;                  /* it rewrites what it does not change */
	struct block_outbox *outbox; /* by which ... */
	struct block_request *token; /* ... this comes when its turn is later */

	/* The gate's own. */
	struct block_gate_entry *prev, *next;
	unsigned int ahead; /* for how many it waits */
};

/* Make image->gate. Returns 0 or a negative errno. */
int block_gate_open(struct block_image *image);
/* Also where there is none. Nothing is inside. */
void block_gate_close(struct block_image *image);

/*
 * True if the change may begin; else its token is posted when it may. Changes
 * of the same blocks go one after the other, in the order in which they came,
 * if one of them goes alone.
 */
bool block_gate_enter(struct block_gate *gate, struct block_gate_entry *entry);
/* It is done. */
void block_gate_leave(struct block_gate *gate, struct block_gate_entry *entry);

#endif
