/* SPDX-License-Identifier: MIT */
/*
 * What a monitor has asked of a worker, and what the worker may therefore
 * answer: each answer once, and about nothing that it was not asked for.
 */
#ifndef LINK_LEDGER_H
#define LINK_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/keys.h"
#include "link/message.h"

enum link_entry_state {
	LINK_ENTRY_FREE,
	LINK_ENTRY_ASKED, /* to be attached */
	LINK_ENTRY_ATTACHED,
	LINK_ENTRY_ENDING, /* to be detached */
};

struct link_entry {
	enum link_entry_state state;
	uint64_t id;
};

/* Zeroes: a worker that was asked for nothing. */
struct link_ledger {
	bool begins;
	bool begun;
	struct link_entry disk[DISKS_MAX];
	uint64_t awaited[DISKS_MAX]; /* of the worker before */
	unsigned int nawaited;
};

/* What is asked, in the order of worker/worker.h. */
void link_ledger_begin(struct link_ledger *ledger);
void link_ledger_attach(struct link_ledger *ledger, uint64_t id);
void link_ledger_detach(struct link_ledger *ledger, uint64_t id);
void link_ledger_disown(struct link_ledger *ledger, uint64_t id);

bool link_ledger_awaits(const struct link_ledger *ledger, uint64_t id);

/* All that are awaited: their number. */
unsigned int link_ledger_awaited(const struct link_ledger *ledger,
				 uint64_t id[DISKS_MAX]);

/* Whether there is anything that was asked and is not answered. */
bool link_ledger_waits(const struct link_ledger *ledger);

/*
 * What is answered by a message that is as it has to be: NULL, and it is taken
 * down; or what is wrong with it, and nothing is.
 */
const char *link_ledger_answer(struct link_ledger *ledger,
			       const struct link_message *message);

#endif
