/* SPDX-License-Identifier: MIT */
/*
 * A xenstore for tests that run the whole program: libxenstore's functions by
 * their own names, over a list of nodes, and the toolstack's hands on the other
 * side. Thread-safe: the program runs in a thread of its own.
 *
 * It can fail: any call about a path of some ending, some times, with any
 * errno; or the connection as a whole, as when xenstored goes away.
 */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include "lib/model_memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <xenstore.h>

enum {
	XS_PATH_MAX = 160,
	XS_VALUE_MAX = 128,
	XS_WATCHES_MAX = 8,
	XS_DOMAINS_MAX = 64,
};

struct xs_node {
	struct xs_node *next;
	char path[XS_PATH_MAX];
	char value[XS_VALUE_MAX];
	bool remove; /* of what a transaction will do */
};

struct xs_event {
	struct xs_event *next;
	char path[XS_PATH_MAX];
	char token[XS_PATH_MAX];
};

struct xs_watched {
	char path[XS_PATH_MAX]; /* as it was asked for */
	char absolute[XS_PATH_MAX];
	char token[XS_PATH_MAX];
};

struct xs_handle {
	int fd[2]; /* a byte in it for each event */
	bool dead;
	struct xs_event *events;
	struct xs_watched watch[XS_WATCHES_MAX];
	unsigned int nwatches;
};

struct xs {
	pthread_mutex_t lock; /* recursive: the toolstack may batch */
	struct xs_node *nodes;
	struct xs_handle *client; /* of the program; or NULL */
	unsigned int opened;      /* connections, in all */
	bool down;                /* no new connections */
	bool introduced[XS_DOMAINS_MAX];
	unsigned int version; /* counts changes */
	unsigned int transaction_version;
	bool transaction;
	struct xs_node *todo;     /* when the transaction ends, newest first */
	void (*before_end)(void); /* once, before a transaction ends */
	const char *fail_ending;
	unsigned int fail_after; /* such calls that do not fail yet */
	int fail_errno;
	unsigned int fail_times;
	unsigned int failures;
};

extern struct xs xs;

void xs_lock(void);

void xs_unlock(void);

void xs_fire(const char *path);

void xs_put(const char *path, const char *value);

bool xs_take(const char *path);

void tool_write(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void tool_remove(const char *path);

bool tool_is(const char *path, const char *value);

/* The next `times` calls about a path that ends so fail with `error`. */
void tool_fail(const char *ending, int error, unsigned int times);

/* As tool_fail(), whatever the calls are about, after `k` that do not fail. */
void tool_fail_later(unsigned int k, int error, unsigned int times);

unsigned int tool_failures(void);

/* xenstored goes away: nothing works on this connection any more. */
void tool_cut(void);

void tool_start(void);

void tool_stop(void);

#endif
