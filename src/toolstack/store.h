/* SPDX-License-Identifier: MIT */
/*
 * Xenstore: reading and writing nodes by a formatted path, and one callback for
 * all watches.
 *
 * A path without a leading slash is relative to the home of this domain. What a
 * guest can write is never read here without being checked by the caller.
 *
 * «There is no such node» and «it cannot be known now» are two answers: the
 * first one is -ENOENT, the second one any other errno. Who takes the one for
 * the other takes a disk from a guest that runs.
 */
#ifndef TOOLSTACK_STORE_H
#define TOOLSTACK_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#include "base/log.h"
#include "base/loop.h"

enum {
	STORE_PATH_MAX = 256, /* bytes, with the NUL */
	STORE_WATCHES_MAX = 4,
};

struct store {
	struct xs_handle *xs; /* NULL while there is no connection */
	struct loop *loop;
	struct loop_source source;
	struct loop_timer reconnect;
	xs_transaction_t transaction; /* of the next calls, or XBT_NULL */
	const char *watch[STORE_WATCHES_MAX]; /* not owned */
	unsigned int nwatches;
	unsigned int connections; /* so far: whether there was another one */
	int trouble;              /* errno of a call that failed; see below */
	struct log_limit lines;   /* of connections that come and go */
	/* Something that is watched has changed; called once per wake-up. */
	void (*changed)(struct store *store);
};

/*
 * Connect. 0 or a negative errno, logged. `changed` must be set before. If the
 * connection breaks, that is logged, every call fails with -ENOTCONN, and a new
 * one is looked for; `changed` is called then and when there is one.
 */
int store_open(struct store *store, struct loop *loop);
void store_close(struct store *store);

/*
 * Watch `path` and what is below it, also over a new connection; the string
 * must live as long as the store. 0 or a negative errno.
 */
int store_watch(struct store *store, const char *path);

/*
 * The errno of the last call that failed other than by -ENOENT, and 0 the next
 * time: whether something was looked at in vain.
 */
int store_take_trouble(struct store *store);

/* 0 and the value, to be freed; -ENOENT: no such node; else it is not known. */
int store_read(struct store *store, char **value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * 0 and a number, decimal or hexadecimal with 0x; -EINVAL: the value is none;
 * else as store_read().
 */
int store_read_number(struct store *store, uint64_t *number, const char *format,
		      ...) __attribute__((format(printf, 3, 4)));

/*
 * 0 and the names below a node, to be freed at once, and their number; else as
 * store_read().
 */
int store_list(struct store *store, char ***names, unsigned int *n,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* 1 if xenstored knows the domain, 0 if not; else a negative errno. */
int store_has_domain(struct store *store, unsigned int domid);

/* 0 or a negative errno. */
int store_write(struct store *store, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int store_remove(struct store *store, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * All calls between the two see one state of the store, and what they write is
 * there at once or, if `commit` is false, not at all. 0 or a negative errno;
 * -EAGAIN of the end: somebody else has changed what was looked at, and nothing
 * was written.
 */
int store_begin(struct store *store);
int store_end(struct store *store, bool commit);

#endif
