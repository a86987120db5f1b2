/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what keeps a disk from being taken up and will pass, most likely:
 * asking often, and saying seldom what for.
 */
#ifndef MONITOR_PATIENCE_H
#define MONITOR_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/claim.h"

/* Zeroes: nothing was waited for yet. */
struct patience {
	enum block_in_use how; /* of the present try */
	uint64_t since_ns;     /* of the first one */
	uint64_t said_ns;      /* when that was last said */
};

/* Whether the next try may do better than one that has failed so. */
bool patience_helps(int error);

/* There is another try: how an image in use is asked for, in `how`. */
void patience_try(struct patience *patience);

/* It was in vain, for the disk `name`. */
void patience_say(const struct patience *patience, const char *name,
		  const char *why);

#endif
