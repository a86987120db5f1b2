/* SPDX-License-Identifier: MIT */
/*
 * Xenstore: reading and writing nodes by a formatted path, and one callback for
 * all watches.
 *
 * A path without a leading slash is relative to the home of this domain. What a
 * guest can write is never read here without being checked by the caller.
 */
#ifndef XEN_STORE_H
#define XEN_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#include "base/loop.h"

enum { STORE_PATH_MAX = 256 };	/* bytes, with the NUL */

struct store {
	struct xs_handle *xs;
	struct loop *loop;
	struct loop_source source;
	/* Something that is watched has changed; called once per wake-up. */
	void (*changed)(struct store *store);
};

/* Connect. 0 or a negative errno, logged. `changed` must be set before. */
int store_open(struct store *store, struct loop *loop);
void store_close(struct store *store);

/* Watch `path` and what is below it. 0 or a negative errno. */
int store_watch(struct store *store, const char *path);

/* The value, to be freed, or NULL: no such node. */
__attribute__((format(printf, 2, 3))) char *store_read(struct store *store,
						       const char *format, ...);

/* A number, decimal or hexadecimal with 0x. False: absent or no number. */
__attribute__((format(printf, 3, 4))) bool
store_read_number(struct store *store, uint64_t *number, const char *format,
		  ...);

/* Names below a node, to be freed at once, and their number; NULL: none. */
__attribute__((format(printf, 3, 4))) char **
store_list(struct store *store, unsigned int *n, const char *format, ...);

/* 0 or a negative errno. */
__attribute__((format(printf, 3, 4))) int
store_write(struct store *store, const char *value, const char *format, ...);
__attribute__((format(printf, 2, 3))) int store_remove(struct store *store,
						       const char *format, ...);

#endif
