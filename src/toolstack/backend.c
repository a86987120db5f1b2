/* SPDX-License-Identifier: MIT */
/*
 * One disk's back-end directory; see toolstack/backend.h.
 *
 * Happy path: libxl writes the directory with state 1 and waits for 2. Whoever
 * serves the disk has 2 written: from then on the guest may touch it. At the
 * end libxl writes online 0 and state 5, and waits for 6.
 *
 * libxl may remove the directory, and make another one in its place, at any
 * time: between our look at it and our answer as well. So an answer is given in
 * one transaction with the look that it follows from.
 *
 * Failure modes: where a node is missing or makes no sense, what it would have
 * allowed is not allowed: only «w» is writable, only a number that is not 0 has
 * discard. Where xenstore cannot be read nothing is decided; the caller looks
 * again.
 *
 * The front end's directory is writable by the guest and is not read at all.
 */
#include "toolstack/backend.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Transactions that somebody else was faster than, one after the other. */
enum { TRIES_MAX = 8 };

static const char generic_parent[] = "backend/virtio";
static const char generic_name[] = "virtio";

/* As libxl has it, which has it of the device tree: the type in hexadecimal. */
static const char generic_type[] = "virtio,device2";

void backend_parent(char path[BACKEND_PATH_MAX], int domid, bool generic)
{
	snprintf(path, BACKEND_PATH_MAX, "%s/%d",
		 generic ? generic_parent : "backend/virtio_disk", domid);
}

void backend_path(char path[BACKEND_PATH_MAX], int domid, uint64_t devid)
{
	const bool generic = devid >= BACKEND_GENERIC;
	char parent[BACKEND_PATH_MAX];
	size_t n;

	backend_parent(parent, domid, generic);
	n = strlen(parent);
	memcpy(path, parent, n);
	snprintf(path + n, BACKEND_PATH_MAX - n, "/%" PRIu64,
		 generic ? devid - BACKEND_GENERIC : devid);
}

bool backend_devid(uint64_t *devid, const char *name, bool generic)
{
	char *end;

	*devid = strtoull(name, &end, 10);
	if (!isdigit((unsigned char)name[0]) || *end ||
	    *devid >= BACKEND_GENERIC)
		return false;
	if (generic)
		*devid += BACKEND_GENERIC;
	return true;
}

/* ---- generic devices ---- */

uint64_t backend_generic_devid(const char *id)
{
	const size_t n = sizeof(generic_name) - 1;
	const char *digits = id + n;
	uint64_t devid;

	if (strncmp(id, generic_name, n) != 0 ||
	    (*digits == '0' && digits[1]) ||
	    !backend_devid(&devid, digits, true))
		return 0;
	return devid;
}

int backend_is_disk(struct store *store, const char *path)
{
	char *type;
	int r = store_read(store, &type, "%s/type", path);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = !strcmp(type, generic_type);
	free(type);
	return r;
}

/* Its number, which is the last part of the path. */
static bool is_generic(const char *path)
{
	const size_t n = sizeof(generic_parent) - 1;

	return !strncmp(path, generic_parent, n) && path[n] == '/';
}

static int name_generic(struct backend *backend, const char *path)
{
	backend->generic = true;
	return asprintf(&backend->options.id, "%s%s", generic_name,
			strrchr(path, '/') + 1) < 0 ?
		       -ENOMEM :
		       0;
}

/* ---- the handshake ---- */

int backend_state(struct store *store, const char *path)
{
	uint64_t state;
	int r = store_read_number(store, &state, "%s/state", path);

	if (r && r != -EINVAL)
		return r;
	return r || state > XENBUS_CLOSED ? XENBUS_UNKNOWN : (int)state;
}

bool backend_is_offline(struct store *store, const char *path)
{
	uint64_t online;

	return store_read_number(store, &online, "%s/online", path) == 0 &&
	       online == 0;
}

/* What libxl is told. */
struct answer {
	/* To a directory with this state: 0 or a negative errno. */
	int (*give)(const struct answer *answer, struct store *store,
		    const char *path, uint64_t state);
	const char *why;              /* ... of one that tells so */
	const struct backend *served; /* as what */
};

static int write_state(struct store *store, const char *path,
		       enum xenbus_state state)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", state);
	return store_write(store, text, "%s/state", path);
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same(const struct backend *a, const struct backend *b)
{
	return is_same_text(a->options.file, b->options.file) &&
	       is_same_text(a->options.id, b->options.id) &&
	       is_same_text(a->mode, b->mode) && a->base == b->base &&
	       a->irq == b->irq && a->options.discard == b->options.discard;
}

/* One that asks for what is served: 0, or -ESTALE: for another disk. */
static int check_same(const struct backend *served, struct store *store,
		      const char *path)
{
	struct backend now = { 0 };
	int r = backend_read(&now, store, path);

	if (r == 0 && !is_same(served, &now))
		r = -ESTALE;
	backend_finish(&now);
	return r;
}

static int answer_served(const struct answer *answer, struct store *store,
			 const char *path, uint64_t state)
{
	int r;

	if (state != XENBUS_INITIALISING)
		return 0;
	r = check_same(answer->served, store, path);
	return r ? r : write_state(store, path, XENBUS_INIT_WAIT);
}

static int answer_closed(const struct answer *answer, struct store *store,
			 const char *path, uint64_t state)
{
	(void)answer;
	return state == XENBUS_INITIALISING ?
		       0 :
		       write_state(store, path, XENBUS_CLOSED);
}

/* libxl fails at once when the node goes; any value would time out. */
static int write_error(struct store *store, const char *path, const char *why)
{
	int r = store_write(store, why, "%s/error", path);

	return r ? r : store_remove(store, "%s/state", path);
}

static int answer_refused(const struct answer *answer, struct store *store,
			  const char *path, uint64_t state)
{
	return state == XENBUS_INITIALISING ?
		       write_error(store, path, answer->why) :
		       0;
}

static int answer_lost(const struct answer *answer, struct store *store,
		       const char *path, uint64_t state)
{
	return state == XENBUS_CLOSING ?
		       write_state(store, path, XENBUS_CLOSED) :
		       write_error(store, path, answer->why);
}

/* One look at the state with its answer: 0 or a negative errno. */
static int try_answer(struct store *store, const char *path,
		      const struct answer *answer)
{
	uint64_t state;
	int r = store_begin(store);
	int end;

	if (r)
		return r;
	r = store_read_number(store, &state, "%s/state", path);
	if (r == 0 || r == -EINVAL)
		r = answer->give(answer, store, path, r ? UINT64_MAX : state);
	end = store_end(store, r == 0);
	/* What is gone needs no answer. */
	return r == 0 || r == -ENOENT ? end : r;
}

static int answer_libxl(struct store *store, const char *path,
			const struct answer *answer)
{
	static struct log_limit errors; /* it is tried again and again */
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < TRIES_MAX; i++)
		r = try_answer(store, path, answer);
	if (r == -EAGAIN)
		store->trouble = EAGAIN; /* to be looked at again */
	if (r && r != -ESTALE)
		log_limited(&errors, LOG_LEVEL_ERROR,
			    "cannot write to %s in xenstore: %s", path,
			    strerror(-r));
	return r;
}

int backend_tell_served(struct store *store, const char *path,
			const struct backend *served)
{
	const struct answer answer = {
		.give = answer_served,
		.served = served,
	};

	return answer_libxl(store, path, &answer);
}

int backend_tell_closed(struct store *store, const char *path)
{
	const struct answer answer = { .give = answer_closed };

	return answer_libxl(store, path, &answer);
}

int backend_tell_refused(struct store *store, const char *path, const char *why)
{
	const struct answer answer = { .give = answer_refused, .why = why };

	return answer_libxl(store, path, &answer);
}

int backend_tell_lost(struct store *store, const char *path, const char *why)
{
	const struct answer answer = { .give = answer_lost, .why = why };

	return answer_libxl(store, path, &answer);
}

/* ---- what it says of the disk ---- */

/* 0, also where the node is absent (NULL); or a negative errno. */
static int read_text(struct store *store, const char *path, const char *name,
		     char **text)
{
	int r = store_read(store, text, "%s/%s", path, name);

	return r == -ENOENT ? 0 : r;
}

/* As read_text(), with what it means that the node is absent, or no number. */
static int read_number(struct store *store, const char *path, const char *name,
		       uint64_t *number, uint64_t absent, uint64_t bad)
{
	int r = store_read_number(store, number, "%s/%s", path, name);

	if (r == -ENOENT)
		*number = absent;
	else if (r == -EINVAL)
		*number = bad;
	else
		return r;
	return 0;
}

/*
 * libxl says of each disk whether it is writable, but of a generic one; that it
 * may discard, it says also where nobody has said anything.
 */
static uint32_t given_by(const struct disk_options *o)
{
	return (o->discard == DISK_DISCARD_OFF ? KEY_BIT(KEY_DISCARD) : 0) |
	       (o->file ? KEY_BIT(KEY_FILE) : 0) |
	       (o->id ? KEY_BIT(KEY_ID) : 0);
}

/* What is said of a disk, and not of a generic device. */
static int read_disk(struct backend *backend, struct store *store,
		     const char *path)
{
	uint64_t discard = 0;
	int r = read_text(store, path, "mode", &backend->mode);

	if (r == 0)
		r = read_text(store, path, "params", &backend->options.file);
	if (r == 0)
		r = read_text(store, path, "dev", &backend->options.id);
	/* Absent means 1 in Xen's protocol. */
	if (r == 0)
		r = read_number(store, path, "discard-enable", &discard, 1, 0);
	backend->options.readonly = !backend->mode ||
				    strcmp(backend->mode, "w") != 0;
	if (discard == 0)
		backend->options.discard = DISK_DISCARD_OFF;
	backend->options.given = KEY_BIT(KEY_READONLY);
	return r;
}

int backend_read(struct backend *backend, struct store *store, const char *path)
{
	int r = is_generic(path) ? name_generic(backend, path) :
				   read_disk(backend, store, path);

	if (r == 0)
		r = read_number(store, path, "base", &backend->base, 0, 0);
	if (r == 0)
		r = read_number(store, path, "irq", &backend->irq, 0, 0);
	/* Xen before 4.19 does not write it: there are no grants. */
	if (r == 0)
		r = read_number(store, path, "grant_usage", &backend->grants, 0,
				1);
	backend->options.given |= given_by(&backend->options);
	return r;
}

void backend_finish(struct backend *backend)
{
	keys_finish(&backend->options);
	free(backend->mode);
	memset(backend, 0, sizeof(*backend));
}

const char *backend_fault(const struct backend *backend)
{
	if (backend->base == 0 || backend->irq == 0 ||
	    backend->irq > UINT32_MAX)
		return "no usable base and irq; does the disk line say "
		       "specification=virtio, or the virtio line "
		       "transport=mmio?";
	if (backend->grants)
		return "grants are not supported; write grant_usage=0 into the "
		       "disk line";
	return NULL;
}

bool backend_mode_is_odd(const struct backend *backend)
{
	if (backend->generic)
		return false;
	return !backend->mode || (strcmp(backend->mode, "w") != 0 &&
				  strcmp(backend->mode, "r") != 0);
}
