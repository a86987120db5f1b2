/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_store.h"

struct xs xs;

void xs_lock(void)
{
	pthread_mutex_lock(&xs.lock);
}

void xs_unlock(void)
{
	pthread_mutex_unlock(&xs.lock);
}

static void xs_absolute(char out[XS_PATH_MAX], const char *path)
{
	snprintf(out, XS_PATH_MAX, "%s%s",
		 path[0] == '/' || path[0] == '@' ? "" : "/local/domain/0/",
		 path);
}

static bool xs_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) && (path[n] == '\0' || path[n] == '/');
}

static struct xs_node *xs_find(const char *path)
{
	for (struct xs_node *node = xs.nodes; node; node = node->next)
		if (!strcmp(node->path, path))
			return node;
	return NULL;
}

/* ---- watches ------------------------------------------------------------- */

static void xs_post(struct xs_handle *h, const struct xs_watched *w,
		    const char *path)
{
	struct xs_event *event = calloc(1, sizeof(*event));
	struct xs_event **link = &h->events;

	snprintf(event->path, sizeof(event->path), "%s", path);
	snprintf(event->token, sizeof(event->token), "%s", w->token);
	while (*link)
		link = &(*link)->next;
	*link = event;
	if (write(h->fd[1], "", 1) != 1)
		abort();
}

void xs_fire(const char *path)
{
	struct xs_handle *h = xs.client;

	for (unsigned int i = 0; h && !h->dead && i < h->nwatches; i++)
		if (xs_below(path, h->watch[i].absolute))
			xs_post(h, &h->watch[i], path);
}

/* ---- nodes --------------------------------------------------------------- */

void xs_put(const char *path, const char *value)
{
	struct xs_node *node = xs_find(path);
	char parent[XS_PATH_MAX];
	char *slash;

	if (!node) {
		snprintf(parent, sizeof(parent), "%s", path);
		slash = strrchr(parent, '/');
		if (slash && slash != parent) {
			*slash = '\0';
			if (!xs_find(parent))
				xs_put(parent, "");
		}
		node = calloc(1, sizeof(*node));
		snprintf(node->path, sizeof(node->path), "%s", path);
		node->next = xs.nodes;
		xs.nodes = node;
	}
	snprintf(node->value, sizeof(node->value), "%s", value);
	xs.version++;
}

bool xs_take(const char *path)
{
	struct xs_node **link = &xs.nodes;
	bool any = false;

	while (*link) {
		struct xs_node *node = *link;

		if (!xs_below(node->path, path)) {
			link = &node->next;
			continue;
		}
		*link = node->next;
		free(node);
		any = true;
	}
	xs.version += any;
	return any;
}

/* ---- the toolstack ------------------------------------------------------- */

void tool_write(const char *path, const char *format, ...)
{
	char absolute[XS_PATH_MAX], value[XS_VALUE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	xs_absolute(absolute, path);
	xs_lock();
	xs_put(absolute, value);
	xs_fire(absolute);
	xs_unlock();
}

void tool_remove(const char *path)
{
	char absolute[XS_PATH_MAX];

	xs_absolute(absolute, path);
	xs_lock();
	xs_take(absolute);
	xs_fire(absolute);
	xs_unlock();
}

bool tool_is(const char *path, const char *value)
{
	char absolute[XS_PATH_MAX];
	const struct xs_node *node;
	bool is;

	xs_absolute(absolute, path);
	xs_lock();
	node = xs_find(absolute);
	is = node ? value && !strcmp(node->value, value) : !value;
	xs_unlock();
	return is;
}

void tool_fail(const char *ending, int error, unsigned int times)
{
	xs_lock();
	xs.fail_ending = ending;
	xs.fail_after = 0;
	xs.fail_errno = error;
	xs.fail_times = times;
	xs.failures = 0;
	xs_unlock();
}

void tool_fail_later(unsigned int k, int error, unsigned int times)
{
	xs_lock();
	tool_fail("", error, times);
	xs.fail_after = k;
	xs_unlock();
}

unsigned int tool_failures(void)
{
	unsigned int n;

	xs_lock();
	n = xs.failures;
	xs_unlock();
	return n;
}

void tool_cut(void)
{
	xs_lock();
	if (xs.client && !xs.client->dead) {
		xs.client->dead = true;
		close(xs.client->fd[1]);
	}
	xs_unlock();
}

void tool_start(void)
{
	pthread_mutexattr_t attr;

	memset(&xs, 0, sizeof(xs));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&xs.lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

void tool_stop(void)
{
	while (xs.nodes) {
		struct xs_node *node = xs.nodes;

		xs.nodes = node->next;
		free(node);
	}
	pthread_mutex_destroy(&xs.lock);
}

/* ---- libxenstore --------------------------------------------------------- */

/* Whether a call fails; with the lock. */
static bool xs_call_fails(const struct xs_handle *h, const char *path)
{
	size_t n = strlen(path), m;

	if (h->dead) {
		errno = EBADF;
		return true;
	}
	if (!xs.fail_times)
		return false;
	m = strlen(xs.fail_ending);
	if (n < m || strcmp(path + n - m, xs.fail_ending))
		return false;
	if (xs.fail_after) {
		xs.fail_after--;
		return false;
	}
	xs.fail_times--;
	xs.failures++;
	errno = xs.fail_errno;
	return true;
}

struct xs_handle *xs_open(unsigned long flags)
{
	struct xs_handle *h = NULL;

	(void)flags;
	xs_lock();
	if (xs.down) {
		errno = ECONNREFUSED;
	} else {
		h = calloc(1, sizeof(*h));
		if (pipe2(h->fd, O_CLOEXEC | O_NONBLOCK))
			abort();
		xs.client = h;
		xs.opened++;
	}
	xs_unlock();
	return h;
}

void xs_close(struct xs_handle *h)
{
	if (!h)
		return;
	xs_lock();
	while (h->events) {
		struct xs_event *event = h->events;

		h->events = event->next;
		free(event);
	}
	close(h->fd[0]);
	if (!h->dead)
		close(h->fd[1]);
	if (xs.client == h)
		xs.client = NULL;
	free(h);
	xs_unlock();
}

int xs_fileno(struct xs_handle *h)
{
	return h->fd[0];
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	struct xs_watched *w;

	xs_lock();
	if (xs_call_fails(h, path)) {
		xs_unlock();
		return false;
	}
	if (h->nwatches == XS_WATCHES_MAX)
		abort();
	w = &h->watch[h->nwatches++];
	snprintf(w->path, sizeof(w->path), "%s", path);
	snprintf(w->token, sizeof(w->token), "%s", token);
	xs_absolute(w->absolute, path);
	/* A new watch fires once. */
	xs_post(h, w, path);
	xs_unlock();
	return true;
}

char **xs_check_watch(struct xs_handle *h)
{
	struct xs_event *event;
	char **strings = NULL;
	char byte;

	xs_lock();
	event = h->events;
	if (h->dead || !event) {
		errno = h->dead ? EINVAL : EAGAIN;
	} else {
		size_t n = 2 * sizeof(char *);
		size_t path = strlen(event->path) + 1;
		size_t token = strlen(event->token) + 1;

		if (read(h->fd[0], &byte, 1) != 1)
			abort();
		strings = malloc(n + path + token);
		strings[0] = (char *)strings + n;
		strings[1] = strings[0] + path;
		memcpy(strings[0], event->path, path);
		memcpy(strings[1], event->token, token);
		h->events = event->next;
		free(event);
	}
	xs_unlock();
	return strings;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
	      unsigned int *len)
{
	char absolute[XS_PATH_MAX];
	const struct xs_node *node;
	char *value = NULL;

	(void)t;
	(void)len;
	xs_absolute(absolute, path);
	xs_lock();
	if (!xs_call_fails(h, absolute)) {
		node = xs_find(absolute);
		value = node ? strdup(node->value) : NULL;
		if (!node)
			errno = ENOENT;
	}
	xs_unlock();
	return value;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
		    unsigned int *num)
{
	char absolute[XS_PATH_MAX];
	char **names = NULL;
	size_t bytes = 0, n = 0;
	char *text;

	(void)t;
	xs_absolute(absolute, path);
	xs_lock();
	if (xs_call_fails(h, absolute)) {
		xs_unlock();
		return NULL;
	}
	if (!xs_find(absolute)) {
		xs_unlock();
		errno = ENOENT;
		return NULL;
	}
	for (struct xs_node *node = xs.nodes; node; node = node->next)
		bytes += sizeof(char *) + strlen(node->path) + 1;
	names = malloc(bytes + sizeof(char *));
	for (struct xs_node *node = xs.nodes; node; node = node->next)
		n += strcmp(node->path, absolute) &&
		     xs_below(node->path, absolute) &&
		     !strchr(node->path + strlen(absolute) + 1, '/');
	text = (char *)(names + n);
	*num = (unsigned int)n;
	for (struct xs_node *node = xs.nodes; node; node = node->next) {
		const char *name = node->path + strlen(absolute) + 1;

		if (!strcmp(node->path, absolute) ||
		    !xs_below(node->path, absolute) || strchr(name, '/'))
			continue;
		names[--n] = strcpy(text, name);
		text += strlen(name) + 1;
	}
	xs_unlock();
	return names;
}

static void xs_later(const char *path, const char *value, bool remove)
{
	struct xs_node *node = calloc(1, sizeof(*node));

	strcpy(node->path, path);
	strcpy(node->value, value);
	node->remove = remove;
	node->next = xs.todo;
	xs.todo = node;
}

/* What a transaction wrote, in any order: it is about different nodes. */
static void xs_do_all(bool really)
{
	while (xs.todo) {
		struct xs_node *node = xs.todo;

		xs.todo = node->next;
		if (really && node->remove)
			xs_take(node->path);
		else if (really)
			xs_put(node->path, node->value);
		if (really)
			xs_fire(node->path);
		free(node);
	}
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
	      const void *data, unsigned int len)
{
	char absolute[XS_PATH_MAX], value[XS_VALUE_MAX];
	bool ok;

	xs_absolute(absolute, path);
	snprintf(value, sizeof(value), "%.*s", (int)len, (const char *)data);
	xs_lock();
	ok = !xs_call_fails(h, absolute);
	if (ok && t) {
		xs_later(absolute, value, false);
	} else if (ok) {
		xs_put(absolute, value);
		xs_fire(absolute);
	}
	xs_unlock();
	return ok;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char absolute[XS_PATH_MAX];
	bool ok;

	xs_absolute(absolute, path);
	xs_lock();
	ok = !xs_call_fails(h, absolute);
	if (ok && t)
		xs_later(absolute, "", true);
	else if (ok && xs_take(absolute))
		xs_fire(absolute);
	xs_unlock();
	return ok;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	bool ok;

	xs_lock();
	ok = !xs_call_fails(h, "transaction") && !xs.transaction;
	if (ok) {
		xs.transaction = true;
		xs.transaction_version = xs.version;
	}
	xs_unlock();
	return ok ? 1 : XBT_NULL;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool cancel)
{
	void (*before_end)(void);
	bool ok;

	(void)t;
	xs_lock();
	before_end = xs.before_end;
	xs.before_end = NULL;
	if (before_end)
		before_end();
	xs.transaction = false;
	ok = !xs_call_fails(h, "transaction");
	if (ok && !cancel && xs.version != xs.transaction_version) {
		errno = EAGAIN;
		ok = false;
	}
	xs_do_all(ok && !cancel);
	xs_unlock();
	return ok;
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
	bool is;

	xs_lock();
	is = !xs_call_fails(h, "introduced") && domid < XS_DOMAINS_MAX &&
	     xs.introduced[domid];
	xs_unlock();
	return is;
}
