/* SPDX-License-Identifier: MIT */
/*
 * Xenstore; see toolstack/store.h.
 *
 * Failure modes: a call that fails says so and is noted as trouble, for the
 * caller to look again later. When xenstored goes away, the descriptor hangs
 * up, and would do so at every turn of the loop: the connection is closed then,
 * and a new one looked for once a second.
 */
#include "toolstack/store.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "toolstack/library.h"

#define RECONNECT_NS NS_PER_SECOND

/* What errno says of a call that has failed; noted unless it is an answer. */
static int failed(struct store *store)
{
	int error = !store->xs ? ENOTCONN : errno ? errno : EIO;

	if (error != ENOENT)
		store->trouble = error;
	return -error;
}

int store_take_trouble(struct store *store)
{
	int error = store->trouble;

	store->trouble = 0;
	return error;
}

static void disconnect(struct store *store)
{
	if (store->xs) {
		loop_remove(store->loop, &store->source);
		xs_close(store->xs);
	}
	store->xs = NULL;
}

/* Which watch fired does not matter: the owner looks at everything anew. */
static void source_ready(struct loop_source *source, uint32_t events)
{
	struct store *store = container_of(source, struct store, source);
	bool any = false;
	char **event;

	while ((event = xs_check_watch(store->xs))) {
		free(event);
		any = true;
	}
	if (!any && (events & (EPOLLHUP | EPOLLERR))) {
		log_limited(&store->lines, LOG_LEVEL_ERROR,
			    "the connection to xenstore is lost; what is "
			    "served is served on, changes are not seen");
		disconnect(store);
		loop_arm(store->loop, &store->reconnect, RECONNECT_NS);
		any = true;
	}
	if (any)
		store->changed(store);
}

static int watch(struct store *store, const char *path)
{
	return xs_watch(store->xs, path, path) ? 0 : failed(store);
}

/* 0 or a negative errno; all is undone then. */
static int reconnect(struct store *store)
{
	int r;

	store->xs = xs_open(0);
	if (!store->xs)
		return errno ? -errno : -EIO;
	store->source = (struct loop_source){
		.fd = xs_fileno(store->xs),
		.ready = source_ready,
	};
	r = loop_add(store->loop, &store->source, EPOLLIN);
	for (unsigned int i = 0; r == 0 && i < store->nwatches; i++)
		r = watch(store, store->watch[i]);
	if (r)
		disconnect(store);
	else
		store->connections++;
	return r;
}

static void reconnect_due(struct loop_timer *timer)
{
	struct store *store = container_of(timer, struct store, reconnect);

	if (reconnect(store)) {
		loop_arm(store->loop, timer, RECONNECT_NS);
		return;
	}
	log_limited(&store->lines, LOG_LEVEL_WARNING,
		    "connected to xenstore again");
	store->changed(store);
}

int store_open(struct store *store, struct loop *loop)
{
	int r = toolstack_library_load();

	if (r)
		return r;
	store->loop = loop;
	store->reconnect.due = reconnect_due;
	r = reconnect(store);
	if (r)
		log_error("cannot connect to xenstore: %s; does xenstored run, "
			  "and are you root?",
			  strerror(-r));
	return r;
}

void store_close(struct store *store)
{
	disconnect(store);
	if (store->loop)
		loop_disarm(store->loop, &store->reconnect);
	store->loop = NULL;
}

int store_watch(struct store *store, const char *path)
{
	assert(store->nwatches < STORE_WATCHES_MAX);
	store->watch[store->nwatches++] = path;
	return watch(store, path);
}

/* Build a path; one that is too long becomes "", which no node has. */
static void path_of(char path[STORE_PATH_MAX], const char *format, va_list args)
{
	int n = vsnprintf(path, STORE_PATH_MAX, format, args);

	if (n < 0 || n >= STORE_PATH_MAX)
		path[0] = '\0';
}

static int read_path(struct store *store, char **value, const char *path)
{
	errno = 0;
	*value = store->xs ?
			 xs_read(store->xs, store->transaction, path, NULL) :
			 NULL;
	return *value ? 0 : failed(store);
}

int store_read(struct store *store, char **value, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	return read_path(store, value, path);
}

static int parse(const char *value, uint64_t *number)
{
	bool hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
	char *end;

	errno = 0;
	*number = strtoull(value, &end, hex ? 16 : 10);
	return errno == 0 && value[0] >= '0' && value[0] <= '9' &&
			       *end == '\0' ?
		       0 :
		       -EINVAL;
}

int store_read_number(struct store *store, uint64_t *number, const char *format,
		      ...)
{
	char path[STORE_PATH_MAX];
	va_list args;
	char *value;
	int r;

	*number = 0;
	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	r = read_path(store, &value, path);
	if (r == 0)
		r = parse(value, number);
	free(value);
	return r;
}

int store_list(struct store *store, char ***names, unsigned int *n,
	       const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	errno = 0;
	*names = store->xs ?
			 xs_directory(store->xs, store->transaction, path, n) :
			 NULL;
	if (*names)
		return 0;
	*n = 0;
	return failed(store);
}

int store_has_domain(struct store *store, unsigned int domid)
{
	/* The library's answer does not tell «no» from «failed»; errno does. */
	errno = 0;
	if (store->xs && xs_is_domain_introduced(store->xs, domid))
		return 1;
	return store->xs && errno == 0 ? 0 : failed(store);
}

int store_write(struct store *store, const char *value, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	errno = 0;
	if (store->xs && xs_write(store->xs, store->transaction, path, value,
				  (unsigned int)strlen(value)))
		return 0;
	return failed(store);
}

int store_remove(struct store *store, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	errno = 0;
	if (store->xs && xs_rm(store->xs, store->transaction, path))
		return 0;
	return failed(store);
}

int store_begin(struct store *store)
{
	assert(store->transaction == XBT_NULL);
	errno = 0;
	if (store->xs)
		store->transaction = xs_transaction_start(store->xs);
	return store->transaction == XBT_NULL ? failed(store) : 0;
}

int store_end(struct store *store, bool commit)
{
	xs_transaction_t transaction = store->transaction;

	assert(transaction != XBT_NULL);
	store->transaction = XBT_NULL;
	errno = 0;
	if (store->xs && xs_transaction_end(store->xs, transaction, !commit))
		return 0;
	/* That somebody was faster is no trouble. */
	return store->xs && errno == EAGAIN ? -EAGAIN : failed(store);
}
