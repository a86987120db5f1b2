/* SPDX-License-Identifier: MIT */
/*
 * What a worker may answer; see link/ledger.h.
 *
 *	a disk is	asked	  answered				next
 *	FREE		attach						ASKED
 *	ASKED			  attached, 0				ATTACHED
 *				  attached, a failure			FREE
 *	ATTACHED	detach						ENDING
 *	ENDING			  ended					FREE
 *
 * What else is answered is a fault of the worker, and what else is asked is one
 * of ours.
 */
#include "link/ledger.h"

#include <assert.h>
#include <string.h>

static struct link_entry *find(struct link_ledger *l, uint64_t id)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (l->disk[i].state != LINK_ENTRY_FREE && l->disk[i].id == id)
			return &l->disk[i];
	return NULL;
}

void link_ledger_begin(struct link_ledger *l)
{
	memset(l, 0, sizeof(*l));
	l->begins = true;
}

void link_ledger_attach(struct link_ledger *l, uint64_t id)
{
	unsigned int i = 0;

	assert(l->begun && !find(l, id));
	while (i < DISKS_MAX && l->disk[i].state != LINK_ENTRY_FREE)
		i++;
	assert(i < DISKS_MAX);
	l->disk[i] = (struct link_entry){ LINK_ENTRY_ASKED, id };
}

void link_ledger_detach(struct link_ledger *l, uint64_t id)
{
	struct link_entry *entry = find(l, id);

	assert(entry && entry->state == LINK_ENTRY_ATTACHED);
	entry->state = LINK_ENTRY_ENDING;
}

bool link_ledger_awaits(const struct link_ledger *l, uint64_t id)
{
	for (unsigned int i = 0; i < l->nawaited; i++)
		if (l->awaited[i] == id)
			return true;
	return false;
}

unsigned int link_ledger_awaited(const struct link_ledger *l,
				 uint64_t id[DISKS_MAX])
{
	memcpy(id, l->awaited, sizeof(l->awaited));
	return l->nawaited;
}

void link_ledger_disown(struct link_ledger *l, uint64_t id)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < l->nawaited; i++)
		if (l->awaited[i] != id)
			l->awaited[n++] = l->awaited[i];
	l->nawaited = n;
}

bool link_ledger_waits(const struct link_ledger *l)
{
	bool any = l->begins;

	for (unsigned int i = 0; i < DISKS_MAX; i++)
		any |= l->disk[i].state == LINK_ENTRY_ASKED ||
		       l->disk[i].state == LINK_ENTRY_ENDING;
	return any;
}

/* ---- answers ---- */

static const char *begun(struct link_ledger *l, const struct link_begun *b)
{
	if (!l->begins)
		return "it begins, and was not asked to";
	l->begins = false;
	l->begun = b->result == 0;
	l->nawaited = b->nawaited;
	memcpy(l->awaited, b->awaited, sizeof(l->awaited));
	return NULL;
}

static const char *attached(struct link_ledger *l,
			    const struct link_attached *a)
{
	struct link_entry *entry = find(l, a->id);

	if (!entry || entry->state != LINK_ENTRY_ASKED)
		return "it attaches a disk that it was not asked for";
	entry->state = a->result ? LINK_ENTRY_FREE : LINK_ENTRY_ATTACHED;
	if (a->result == 0)
		link_ledger_disown(l, a->id);
	return NULL;
}

static const char *ended(struct link_ledger *l, const struct link_disk *disk)
{
	struct link_entry *entry = find(l, disk->id);

	if (!entry || entry->state != LINK_ENTRY_ENDING)
		return "it ends a disk that was not to end";
	entry->state = LINK_ENTRY_FREE;
	return NULL;
}

const char *link_ledger_answer(struct link_ledger *l,
			       const struct link_message *m)
{
	switch (m->type) {
	case LINK_BEGUN:
		return begun(l, &m->begun);
	case LINK_ATTACHED:
		return attached(l, &m->attached);
	case LINK_ENDED:
		return ended(l, &m->disk);
	case LINK_PONG:
		return NULL;
	default:
		return "it asks for something";
	}
}
