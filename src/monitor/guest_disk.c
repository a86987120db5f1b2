/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest; see monitor/guest_disk.h.
 *
 * Happy path: libxl writes the directory with state 1 and waits for 2. We open
 * the image, make the device, register its window with the guest's IOREQ
 * server, and write 2: from then on the guest may touch it. At the end libxl
 * writes online 0 and state 5; we drain, give everything up and answer 6. The
 * directory is libxl's: it is never removed here.
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
#include "monitor/guest_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/layers.h"
#include "monitor/disk_image.h"
#include "monitor/serial.h"

/* Transactions that somebody else was faster than, one after the other. */
enum { TRIES_MAX = 8 };

int guest_disk_state(struct store *store, const char *path)
{
	uint64_t state;
	int r = store_read_number(store, &state, "%s/state", path);

	if (r && r != -EINVAL)
		return r;
	return r || state > XENBUS_CLOSED ? XENBUS_UNKNOWN : (int)state;
}

bool guest_disk_is_unwanted(const struct guest_disk *gd, struct store *store)
{
	uint64_t state, online;
	int r = store_read_number(store, &state, "%s/state", gd->path);

	if (r == -ENOENT)
		return true;
	if (r == 0 && (state == XENBUS_CLOSING || state == XENBUS_CLOSED))
		return true;
	/* We have written another one: libxl has begun anew. */
	if (r == 0 && state == XENBUS_INITIALISING && gd->told)
		return true;
	return store_read_number(store, &online, "%s/online", gd->path) == 0 &&
	       online == 0;
}

/* Answer a directory with this state: 0 or a negative errno. */
typedef int answer_fn(struct store *store, const char *path, uint64_t state,
		      const char *why);

static int write_state(struct store *store, const char *path,
		       enum xenbus_state state)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", state);
	return store_write(store, text, "%s/state", path);
}

static int answer_served(struct store *store, const char *path, uint64_t state,
			 const char *why)
{
	(void)why;
	return state == XENBUS_INITIALISING ?
		       write_state(store, path, XENBUS_INIT_WAIT) :
		       0;
}

static int answer_closed(struct store *store, const char *path, uint64_t state,
			 const char *why)
{
	(void)why;
	return state == XENBUS_INITIALISING ?
		       0 :
		       write_state(store, path, XENBUS_CLOSED);
}

/* libxl fails at once when the node goes; any value would time out. */
static int answer_refused(struct store *store, const char *path, uint64_t state,
			  const char *why)
{
	int r;

	if (state != XENBUS_INITIALISING)
		return 0;
	r = store_write(store, why, "%s/error", path);
	return r ? r : store_remove(store, "%s/state", path);
}

/* One look at the state with its answer: 0 or a negative errno. */
static int try_answer(struct store *store, const char *path, answer_fn *answer,
		      const char *why)
{
	uint64_t state;
	int r = store_begin(store);
	int end;

	if (r)
		return r;
	r = store_read_number(store, &state, "%s/state", path);
	if (r == 0 || r == -EINVAL)
		r = answer(store, path, r ? UINT64_MAX : state, why);
	end = store_end(store, r == 0);
	/* What is gone needs no answer. */
	return r == 0 || r == -ENOENT ? end : r;
}

static int answer_libxl(struct store *store, const char *path,
			answer_fn *answer, const char *why)
{
	static struct log_limit errors; /* it is tried again and again */
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < TRIES_MAX; i++)
		r = try_answer(store, path, answer, why);
	if (r == -EAGAIN)
		store->trouble = EAGAIN; /* to be looked at again */
	if (r)
		log_limited(&errors, LOG_LEVEL_ERROR,
			    "cannot write to %s in xenstore: %s", path,
			    strerror(-r));
	return r;
}

int guest_disk_refuse(struct store *store, const char *path, const char *why)
{
	return answer_libxl(store, path, answer_refused, why);
}

void guest_disk_tell(struct guest_disk *gd, struct store *store)
{
	if (!gd->told)
		gd->told = answer_libxl(store, gd->path, answer_served, NULL) ==
			   0;
}

int guest_disk_closed(struct store *store, const char *path)
{
	return answer_libxl(store, path, answer_closed, NULL);
}

/* What a directory says of its disk; a zeroed one may be finished. */
struct directory {
	struct disk_options options;
	char *mode;         /* NULL: absent; owned */
	uint64_t base, irq; /* 0: absent, or no number */
	uint64_t grants;    /* 1 also for what is no number */
};

static void directory_finish(struct directory *dir)
{
	keys_finish(&dir->options);
	free(dir->mode);
}

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
 * libxl says of each disk whether it is writable; that it may discard, it says
 * also where nobody has said anything.
 */
static uint32_t given_by_directory(const struct disk_options *o)
{
	return KEY_BIT(KEY_READONLY) |
	       (o->discard == DISK_DISCARD_OFF ? KEY_BIT(KEY_DISCARD) : 0) |
	       (o->file ? KEY_BIT(KEY_FILE) : 0) |
	       (o->id ? KEY_BIT(KEY_ID) : 0);
}

/* All of it, or a negative errno: it cannot be read now. */
static int read_directory(struct store *store, const char *path,
			  struct directory *dir)
{
	uint64_t discard = 0;
	int r = read_text(store, path, "mode", &dir->mode);

	if (r == 0)
		r = read_text(store, path, "params", &dir->options.file);
	if (r == 0)
		r = read_text(store, path, "dev", &dir->options.id);
	if (r == 0)
		r = read_number(store, path, "base", &dir->base, 0, 0);
	if (r == 0)
		r = read_number(store, path, "irq", &dir->irq, 0, 0);
	/* Xen before 4.19 does not write it: there are no grants. */
	if (r == 0)
		r = read_number(store, path, "grant_usage", &dir->grants, 0, 1);
	/* Absent means 1 in Xen's protocol. */
	if (r == 0)
		r = read_number(store, path, "discard-enable", &discard, 1, 0);
	dir->options.readonly = !dir->mode || strcmp(dir->mode, "w") != 0;
	if (discard == 0)
		dir->options.discard = DISK_DISCARD_OFF;
	dir->options.given = given_by_directory(&dir->options);
	return r;
}

/* Whether a --disk option is about this disk: by vdev or by devid. */
static bool is_about(const struct disk_options *o, const char *vdev,
		     uint64_t devid)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, devid);
	return !strcmp(o->id, text) || (vdev && !strcmp(o->id, vdev));
}

/* What makes a directory one that cannot be served: 0, or a sentence. */
static int check_directory(const struct directory *dir, const char *path,
			   unsigned int noverrides, char error[BLOCK_ERROR_MAX])
{
	if (dir->base == 0 || dir->irq == 0 || dir->irq > UINT32_MAX)
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s has no usable base and irq; does the disk line "
			 "say specification=virtio?",
			 path);
	else if (dir->grants)
		snprintf(error, BLOCK_ERROR_MAX,
			 "grants are not supported; write grant_usage=0 into "
			 "the disk line");
	else if (noverrides && !dir->options.id)
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s has no dev: which --disk is about it is not known",
			 path);
	else
		return 0;
	return -EINVAL;
}

/*
 * What --disk says of this disk lies over what the directory says; but not its
 * id, which only names the disk: 0, or a negative errno and a sentence.
 */
static int settle(struct disk_options *o, const struct guest_disk *gd,
		  const struct directory *dir,
		  const struct disk_options *overrides, unsigned int n,
		  char error[BLOCK_ERROR_MAX])
{
	const struct disk_options *layers[2] = { &dir->options };
	const struct disk_options *found = NULL;
	struct disk_options over;

	for (unsigned int i = 0; i < n; i++) {
		if (!is_about(&overrides[i], dir->options.id, gd->devid))
			continue;
		if (found) {
			snprintf(error, BLOCK_ERROR_MAX,
				 "two --disk are about it, id=%s and id=%s: "
				 "give its keys in one",
				 found->id, overrides[i].id);
			return -EINVAL;
		}
		found = &overrides[i];
		over = *found;
		over.given &= ~KEY_BIT(KEY_ID);
		layers[1] = &over;
	}
	return layers_settle(o, layers, found ? 2 : 1, DISK_FOR_XEN, error);
}

static void warn_of_mode(const struct directory *dir, const char *name,
			 const char *path)
{
	if (!dir->mode ||
	    (strcmp(dir->mode, "w") != 0 && strcmp(dir->mode, "r") != 0))
		log_warning("%s: %s/mode is %s%s, which is neither r nor w: "
			    "read-only",
			    name, path, dir->mode ? "" : "absent",
			    dir->mode ? dir->mode : "");
}

/* Answer for the device's window and serve its queues. */
static int connect_device(struct guest_disk *gd, const struct directory *dir,
			  struct loop *loop, struct ioreq_server *server,
			  char error[BLOCK_ERROR_MAX])
{
	int r = xen_device_open(&gd->device, server, &gd->disk.blk.dev,
				dir->base, (uint32_t)dir->irq);

	if (r == 0)
		r = disk_serve(&gd->disk, loop, &gd->device.transport);
	if (r == 0)
		size_watch_add(&gd->size, &gd->image, gd->disk.name, loop);
	if (r)
		snprintf(error, BLOCK_ERROR_MAX,
			 "cannot answer for guest address %#" PRIx64 ": %s",
			 dir->base, xen_error(-r));
	return r;
}

static void log_served(const struct guest_disk *gd,
		       const struct disk_options *o)
{
	const struct block_image *image = &gd->image;

	log_info("%s: serving %s (%" PRIu64 " MiB, %s, %s, engine %s)",
		 gd->disk.name, o->file ? o->file : "null", image->size >> 20,
		 image->readonly ? "read-only" : "writable",
		 image->direct ? "O_DIRECT" : "page cache",
		 gd->disk.queue[0].engine->ops->name);
	disk_log_keys(&gd->disk, o);
}

static void size_changed(struct size_watch *watch)
{
	struct guest_disk *gd = container_of(watch, struct guest_disk, size);

	disk_resize(&gd->disk, gd->image.size);
}

/* 0, or a negative errno and a sentence; guest_disk_close() then. */
static int serve(struct guest_disk *gd, const struct directory *dir,
		 const struct disk_options *o, const char *name,
		 struct loop *loop, struct ioreq_server *server,
		 struct guest_memory *mem, char error[BLOCK_ERROR_MAX])
{
	struct disk_options all = *o;
	char serial[SERIAL_MAX];
	int r = disk_image_open(&gd->image, o, error);

	if (r)
		return r;
	serial_of(serial, o, &gd->image);
	all.serial = serial;
	gd->size.changed = size_changed;
	r = disk_open(&gd->disk, name, &gd->image, &all, mem, error);
	return r ? r : connect_device(gd, dir, loop, server, error);
}

int guest_disk_open(struct guest_disk *gd, struct store *store,
		    const struct disk_options *overrides,
		    unsigned int noverrides, const char *guest,
		    struct loop *loop, struct ioreq_server *server,
		    struct guest_memory *mem)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct directory dir = { 0 };
	char name[DISK_NAME_MAX];
	struct disk_options o = { 0 };
	int r;

	gd->image.fd = -1;
	if (read_directory(store, gd->path, &dir)) {
		directory_finish(&dir);
		return -EAGAIN;
	}
	snprintf(name, sizeof(name), "%s/%s", guest,
		 dir.options.id ? dir.options.id : "disk");
	r = check_directory(&dir, gd->path, noverrides, error);
	if (r == 0)
		r = settle(&o, gd, &dir, overrides, noverrides, error);
	if (r == 0 && o.readonly)
		warn_of_mode(&dir, name, gd->path);
	if (r == 0)
		r = serve(gd, &dir, &o, name, loop, server, mem, error);
	if (r) {
		log_error("%s: %s", name, error);
		guest_disk_close(gd);
		guest_disk_refuse(store, gd->path, error);
		r = -EINVAL;
	} else {
		gd->phase = GUEST_DISK_SERVED;
		log_served(gd, &o);
		guest_disk_tell(gd, store);
	}
	keys_finish(&o);
	directory_finish(&dir);
	return r;
}

void guest_disk_begin_close(struct guest_disk *gd)
{
	gd->phase = GUEST_DISK_CLOSING;
	size_watch_remove(&gd->size);
	disk_begin_close(&gd->disk);
}

bool guest_disk_is_drained(const struct guest_disk *gd)
{
	return disk_in_flight(&gd->disk) == 0;
}

void guest_disk_close(struct guest_disk *gd)
{
	size_watch_remove(&gd->size);
	/* A vCPU that waits for a reset goes on after this, not before. */
	disk_drain(&gd->disk);
	xen_device_close(&gd->device);
	disk_close(&gd->disk);
	block_image_close(&gd->image);
	gd->phase = GUEST_DISK_NONE;
}
