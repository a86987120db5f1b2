/* SPDX-License-Identifier: MIT */
/*
 * The xenstore of the double, and the toolstack's hands in it; see host.h.
 *
 * What a transaction writes is done at its end, if nobody else has changed
 * anything meanwhile.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "host.h"

static void absolute_of(char out[HOST_PATH_MAX], const char *path)
{
	snprintf(out, HOST_PATH_MAX, "%s%s",
		 path[0] == '/' || path[0] == '@' ? "" : "/local/domain/0/",
		 path);
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) && (path[n] == '\0' || path[n] == '/');
}

static struct store_node *find(const char *path)
{
	for (struct store_node *node = host.nodes; node; node = node->next)
		if (!strcmp(node->path, path))
			return node;
	return NULL;
}

/* ---- watches ------------------------------------------------------------- */

static void post(struct peer *p, const struct store_watch *w, const char *path)
{
	struct store_event *event = calloc(1, sizeof(*event));
	struct store_event **link = &p->events;
	size_t n = strlen(path) + 1, m = strlen(w->token) + 1;

	if (!event)
		die("no memory");
	memcpy(event->text, path, n);
	memcpy(event->text + n, w->token, m);
	event->bytes = n + m;
	/* A byte while there are any. */
	if (!p->events)
		(void)!send(p->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (*link)
		link = &(*link)->next;
	*link = event;
}

static void fire(const char *path, bool removed)
{
	char top[HOST_PATH_MAX];

	for (struct peer *p = host.peers; p; p = p->next)
		for (unsigned int i = 0; i < p->nwatches; i++) {
			absolute_of(top, p->watch[i].path);
			if (is_below(path, top) ||
			    (removed && is_below(top, path)))
				post(p, &p->watch[i], path);
		}
}

void store_fire(const char *path)
{
	fire(path, false);
}

static int watch(struct peer *p, const struct wire_request *request)
{
	struct store_watch *w = &p->watch[p->nwatches];

	if (p->nwatches == HOST_WATCHES_MAX)
		return E2BIG;
	memcpy(w->path, request->path, sizeof(w->path));
	snprintf(w->token, sizeof(w->token), "%.*s", WIRE_PATH_MAX - 1,
		 request->text);
	p->nwatches++;
	/* A new watch fires once. */
	post(p, w, w->path);
	return 0;
}

static int check_watch(struct peer *p, struct wire_reply *reply)
{
	struct store_event *event = p->events;

	if (!event)
		return EAGAIN;
	memcpy(reply->text, event->text, event->bytes);
	reply->bytes = (uint32_t)event->bytes;
	p->events = event->next;
	reply->value[0] = p->events != NULL;
	free(event);
	return 0;
}

/* ---- nodes --------------------------------------------------------------- */

static void put(const char *path, const char *value)
{
	struct store_node *node = find(path);
	char parent[HOST_PATH_MAX];
	char *slash;

	if (!node) {
		snprintf(parent, sizeof(parent), "%s", path);
		slash = strrchr(parent, '/');
		if (slash && slash != parent) {
			*slash = '\0';
			if (!find(parent))
				put(parent, "");
		}
		node = calloc(1, sizeof(*node));
		if (!node)
			die("no memory");
		snprintf(node->path, sizeof(node->path), "%s", path);
		node->next = host.nodes;
		host.nodes = node;
	}
	snprintf(node->value, sizeof(node->value), "%s", value);
	host.version++;
	fire(path, false);
	host_notice();
}

static bool take(const char *path)
{
	struct store_node **link = &host.nodes;
	bool any = false;

	while (*link) {
		struct store_node *node = *link;

		if (!is_below(node->path, path)) {
			link = &node->next;
			continue;
		}
		*link = node->next;
		free(node);
		any = true;
	}
	if (!any)
		return false;
	host.version++;
	fire(path, true);
	host_notice();
	return true;
}

static int directory_of(const char *path, struct wire_reply *reply)
{
	if (!find(path))
		return ENOENT;
	for (struct store_node *node = host.nodes; node; node = node->next) {
		const char *name = node->path + strlen(path) + 1;

		if (!strcmp(node->path, path) || !is_below(node->path, path) ||
		    strchr(name, '/'))
			continue;
		if (reply->bytes + strlen(name) + 1 > WIRE_TEXT_MAX)
			die("%s: too many nodes", path);
		strcpy(reply->text + reply->bytes, name);
		reply->bytes += (uint32_t)strlen(name) + 1;
		reply->n++;
	}
	return 0;
}

static int read_node(const char *path, struct wire_reply *reply)
{
	const struct store_node *node = find(path);

	if (!node)
		return ENOENT;
	reply->bytes = (uint32_t)strlen(node->value);
	memcpy(reply->text, node->value, reply->bytes);
	return 0;
}

/* ---- transactions -------------------------------------------------------- */

static void do_later(struct peer *p, const char *path, const char *value,
		     bool remove)
{
	struct store_node *node = calloc(1, sizeof(*node));

	if (!node)
		die("no memory");
	snprintf(node->path, sizeof(node->path), "%s", path);
	snprintf(node->value, sizeof(node->value), "%s", value);
	node->remove = remove;
	node->next = p->todo;
	p->todo = node;
}

/* What it wrote, in any order: it is about different nodes. */
static void do_all(struct peer *p, bool really)
{
	while (p->todo) {
		struct store_node *node = p->todo;

		p->todo = node->next;
		if (really && node->remove)
			take(node->path);
		else if (really)
			put(node->path, node->value);
		free(node);
	}
}

/* One whose end has failed is forgotten. */
static int begin(struct peer *p)
{
	do_all(p, false);
	p->transaction = true;
	p->version = host.version;
	return 0;
}

static int end(struct peer *p, bool cancel)
{
	bool late = p->version != host.version;

	if (!p->transaction)
		return ENOENT;
	p->transaction = false;
	do_all(p, !cancel && !late);
	return !cancel && late ? EAGAIN : 0;
}

static int change(struct peer *p, const struct wire_request *request,
		  const char *path)
{
	bool remove = request->call == WIRE_RM;

	if (request->in_transaction)
		do_later(p, path, request->text, remove);
	else if (remove)
		take(path);
	else
		put(path, request->text);
	return 0;
}

int store_answer(struct peer *p, const struct wire_request *request,
		 struct wire_reply *reply)
{
	char path[HOST_PATH_MAX];

	absolute_of(path, request->path);
	switch (request->call) {
	case WIRE_WATCH:
		return watch(p, request);
	case WIRE_CHECK_WATCH:
		return check_watch(p, reply);
	case WIRE_READ:
		return read_node(path, reply);
	case WIRE_DIRECTORY_OF:
		return directory_of(path, reply);
	case WIRE_WRITE:
	case WIRE_RM:
		return change(p, request, path);
	case WIRE_BEGIN:
		return begin(p);
	case WIRE_END:
		return end(p, request->arg[0]);
	case WIRE_INTRODUCED:
		reply->value[0] = host.introduced &&
				  request->domid == host.domid;
		return 0;
	default:
		return EINVAL;
	}
}

void store_lost(struct peer *p)
{
	do_all(p, false);
	while (p->events) {
		struct store_event *event = p->events;

		p->events = event->next;
		free(event);
	}
}

void store_finish(void)
{
	while (host.nodes) {
		struct store_node *node = host.nodes;

		host.nodes = node->next;
		free(node);
	}
}

/* ---- the toolstack ------------------------------------------------------- */

void tool_write(const char *path, const char *format, ...)
{
	char absolute[HOST_PATH_MAX], value[WIRE_VALUE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	absolute_of(absolute, path);
	host_lock();
	put(absolute, value);
	host_unlock();
}

void tool_remove(const char *path)
{
	char absolute[HOST_PATH_MAX];

	absolute_of(absolute, path);
	host_lock();
	take(absolute);
	host_unlock();
}

bool tool_is(const char *path, const char *value)
{
	char absolute[HOST_PATH_MAX];
	const struct store_node *node;
	bool is;

	absolute_of(absolute, path);
	host_lock();
	node = find(absolute);
	is = node ? value && !strcmp(node->value, value) : !value;
	host_unlock();
	return is;
}
