/* SPDX-License-Identifier: MIT */
/*
 * The back-end directories of a guest that are not served: closed, refused, or
 * of another instance. What was said of one need not be said again. There are
 * as many as the toolstack leaves in xenstore, and none of them takes the place
 * of a disk.
 */
#ifndef MONITOR_SETTLED_H
#define MONITOR_SETTLED_H

#include <stdbool.h>
#include <stdint.h>

struct settled {
	struct settled *next;
	uint64_t devid;
	bool untold; /* the toolstack does not know yet that it is closed */
	bool others; /* of another instance: its end is not ours to tell */
	bool seen;   /* it is still there; for who forgets the others */
};

/* The list's entry, or NULL. */
struct settled *settled_find(struct settled *list, uint64_t devid);

/* As settled_find(), and adds one that is not there; NULL: no memory. */
struct settled *settled_add(struct settled **list, uint64_t devid);

/* Before looking which are still there; settled_add() counts as having seen. */
void settled_unsee(struct settled *list);

/* Forget those that were not seen. */
void settled_forget_unseen(struct settled **list);

void settled_forget_all(struct settled **list);

#endif
