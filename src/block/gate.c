/* SPDX-License-Identifier: MIT */
/*
 * Who may change which blocks of an image now.
 *
 * O_DIRECT moves whole blocks of the store. A driver may write a part of one:
 * the block is read, changed and written (bounce.c), and whoever writes the
 * rest of it in between would lose what he wrote. So on an image with such
 * blocks each change, of every queue, is listed here while it is under way: in
 * the order in which they came, those inside and those that wait. One has to
 * wait for an earlier one of the same blocks if one of the two rewrites what it
 * does not change.
 *
 * The page cache would be no way around: a page that is read for such a write,
 * and an O_DIRECT write of its neighbour, lose one of the two in the same way.
 *
 * Each knows for how many it waits, and who leaves tells those behind it. So a
 * change costs one walk of the list as it comes and one as it goes, if any in
 * the list is of a part or waits.
 *
 * Drivers that keep to blk_size never write a part: then a change costs a lock
 * and a link, and nothing is searched. Images whose blocks are 512 bytes have
 * no gate.
 *
 * Failure modes: none. Who is inside ends by himself, and each waits for
 * earlier ones only.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "gate.h"

struct block_gate {
	pthread_mutex_t lock; /* of all */
	struct block_gate_entry *first, *last;
	unsigned int nalone;
	unsigned int nwaiting;
};

int block_gate_open(struct block_image *image)
{
	struct block_gate *gate = calloc(1, sizeof(*gate));

	if (!gate)
		return -ENOMEM;
	pthread_mutex_init(&gate->lock, NULL);
	image->gate = gate;
	return 0;
}

void block_gate_close(struct block_image *image)
{
	struct block_gate *gate = image->gate;

	if (!gate)
		return;
	assert(!gate->first);
	image->gate = NULL;
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

/* Has the later of the two to wait for the earlier? */
static bool collide(const struct block_gate_entry *a,
		    const struct block_gate_entry *b)
{
	return (a->alone || b->alone) && a->begin < b->end && b->begin < a->end;
}

/* For how many of those before it has this one to wait? */
static unsigned int count_ahead(const struct block_gate *gate,
				const struct block_gate_entry *entry)
{
	const struct block_gate_entry *e;
	unsigned int n = 0;

	if (gate->nalone == 0)
		return 0;
	for (e = entry->prev; e; e = e->prev)
		n += collide(e, entry);
	return n;
}

bool block_gate_enter(struct block_gate *gate, struct block_gate_entry *entry)
{
	bool waits;

	assert(entry->begin < entry->end);
	pthread_mutex_lock(&gate->lock);
	entry->next = NULL;
	entry->prev = gate->last;
	if (gate->last)
		gate->last->next = entry;
	else
		gate->first = entry;
	gate->last = entry;
	gate->nalone += entry->alone;
	entry->ahead = count_ahead(gate, entry);
	waits = entry->ahead > 0;
	gate->nwaiting += waits;
	pthread_mutex_unlock(&gate->lock);
	return !waits;
}

static void remove_entry(struct block_gate *gate,
			 struct block_gate_entry *entry)
{
	if (entry->prev)
		entry->prev->next = entry->next;
	else
		gate->first = entry->next;
	if (entry->next)
		entry->next->prev = entry->prev;
	else
		gate->last = entry->prev;
	gate->nalone -= entry->alone;
}

void block_gate_leave(struct block_gate *gate, struct block_gate_entry *entry)
{
	struct block_gate_entry *e;

	pthread_mutex_lock(&gate->lock);
	assert(entry->ahead == 0);
	remove_entry(gate, entry);
	for (e = entry->next; e && gate->nwaiting; e = e->next) {
		if (!collide(entry, e) || --e->ahead > 0)
			continue;
		gate->nwaiting--;
		block_outbox_post(e->outbox, e->token);
	}
	pthread_mutex_unlock(&gate->lock);
}
