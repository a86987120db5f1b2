/* SPDX-License-Identifier: MIT */
/*
 * Xenstore; see xen/store.h.
 */
#include "xen/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Which watch fired does not matter: the owner looks at everything anew. */
static void source_ready(struct loop_source *source, uint32_t events)
{
	struct store *store = container_of(source, struct store, source);
	bool any = false;
	char **event;

	(void)events;
	while ((event = xs_check_watch(store->xs))) {
		free(event);
		any = true;
	}
	if (any)
		store->changed(store);
}

int store_open(struct store *store, struct loop *loop)
{
	int r;

	store->xs = xs_open(0);
	if (!store->xs) {
		r = -errno;
		log_error("cannot connect to xenstore: %s; does xenstored run, "
			  "and are you root?", strerror(errno));
		return r;
	}
	store->source = (struct loop_source){
		.fd = xs_fileno(store->xs), .ready = source_ready,
	};
	r = loop_add(loop, &store->source, EPOLLIN);
	if (r == 0)
		store->loop = loop;
	return r;
}

void store_close(struct store *store)
{
	if (store->loop)
		loop_remove(store->loop, &store->source);
	if (store->xs)
		xs_close(store->xs);
	store->loop = NULL;
	store->xs = NULL;
}

int store_watch(struct store *store, const char *path)
{
	return xs_watch(store->xs, path, path) ? 0 : -errno;
}

/* Build a path; one that is too long becomes "", which no node has. */
static void path_of(char path[STORE_PATH_MAX], const char *format, va_list args)
{
	int n = vsnprintf(path, STORE_PATH_MAX, format, args);

	if (n < 0 || n >= STORE_PATH_MAX)
		path[0] = '\0';
}

static char *read_path(struct store *store, const char *path)
{
	return xs_read(store->xs, XBT_NULL, path, NULL);
}

char *store_read(struct store *store, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	return read_path(store, path);
}

bool store_read_number(struct store *store, uint64_t *number,
		       const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;
	char *value, *end;
	bool hex, ok;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	value = read_path(store, path);
	if (!value)
		return false;
	hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
	errno = 0;
	*number = strtoull(value, &end, hex ? 16 : 10);
	ok = errno == 0 && value[0] >= '0' && value[0] <= '9' && *end == '\0';
	free(value);
	return ok;
}

char **store_list(struct store *store, unsigned int *n, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;
	char **names;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	names = xs_directory(store->xs, XBT_NULL, path, n);
	if (!names)
		*n = 0;
	return names;
}

int store_write(struct store *store, const char *value, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	if (!xs_write(store->xs, XBT_NULL, path, value,
		      (unsigned int)strlen(value)))
		return -errno;
	return 0;
}

int store_remove(struct store *store, const char *format, ...)
{
	char path[STORE_PATH_MAX];
	va_list args;

	va_start(args, format);
	path_of(path, format, args);
	va_end(args);
	return xs_rm(store->xs, XBT_NULL, path) ? 0 : -errno;
}
