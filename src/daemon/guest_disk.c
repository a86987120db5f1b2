/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest; see daemon/guest_disk.h.
 *
 * Happy path: libxl writes the directory with state 1 and waits for 2. We open
 * the image, make the device, register its window with the guest's IOREQ
 * server, and write 2: from then on the guest may touch it. At the end libxl
 * writes online 0 and state 5; we drain, give everything up and answer 6. The
 * directory is libxl's: it is never removed here.
 *
 * The front end's directory is writable by the guest and is not read at all.
 */
#include "daemon/guest_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/size_watch.h"

bool guest_disk_is_new(struct store *store, const char *path)
{
	uint64_t state;

	return store_read_number(store, &state, "%s/state", path) &&
	       state == XENBUS_INITIALISING;
}

bool guest_disk_is_unwanted(struct store *store, const char *path)
{
	uint64_t state, online;

	if (!store_read_number(store, &state, "%s/state", path))
		return true;
	if (state == XENBUS_CLOSING || state == XENBUS_CLOSED)
		return true;
	return store_read_number(store, &online, "%s/online", path) &&
	       online == 0;
}

static void write_state(struct store *store, const char *path,
			enum xenbus_state state)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%d", state);
	r = store_write(store, text, "%s/state", path);
	if (r)
		log_error("cannot write %s/state: %s", path, strerror(-r));
}

void guest_disk_refuse(struct guest_disk *gd, struct store *store,
		       const char *why)
{
	store_write(store, why, "%s/error", gd->path);
	/* libxl fails at once when the node goes; any value would time out. */
	store_remove(store, "%s/state", gd->path);
}

/* Whether a --disk option is about this disk: by vdev or by devid. */
static bool is_about(const struct disk_options *o, const char *vdev,
		     uint64_t devid)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, devid);
	return !strcmp(o->id, text) || (vdev && !strcmp(o->id, vdev));
}

/* What the directory says of the image. */
static void read_options(struct store *store, const char *path,
			 struct disk_options *o)
{
	char *mode = store_read(store, "%s/mode", path);
	uint64_t discard;

	o->file = store_read(store, "%s/params", path);
	o->id = store_read(store, "%s/dev", path);
	o->readonly = mode && !strcmp(mode, "r");
	/* libxl writes 1 for a writable disk where nobody has said anything. */
	if (store_read_number(store, &discard, "%s/discard-enable", path) &&
	    discard == 0)
		o->discard = DISK_DISCARD_OFF;
	free(mode);
}

/* Options of the command line first, then those of the directory. */
static void merge_options(struct disk_options *o, const struct guest_disk *gd,
			  struct store *store,
			  const struct disk_options *overrides, unsigned int n)
{
	struct disk_options stored = { 0 };

	memset(o, 0, sizeof(*o));
	read_options(store, gd->path, &stored);
	for (unsigned int i = 0; i < n; i++)
		if (is_about(&overrides[i], stored.id, gd->devid))
			disk_options_fill(o, &overrides[i]);
	disk_options_fill(o, &stored);
	disk_options_finish(&stored);
}

struct place {
	uint64_t base;
	uint64_t irq;
};

/* Where the device is in the guest: 0, or -EINVAL and a sentence. */
static int read_place(struct store *store, const char *path,
		      struct place *place, char error[BLOCK_ERROR_MAX])
{
	uint64_t grants = 0;

	if (!store_read_number(store, &place->base, "%s/base", path) ||
	    !store_read_number(store, &place->irq, "%s/irq", path) ||
	    place->base == 0 || place->irq == 0 || place->irq > UINT32_MAX) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s has no usable base and irq; does the disk line "
			 "say specification=virtio?", path);
		return -EINVAL;
	}
	store_read_number(store, &grants, "%s/grant_usage", path);
	if (grants) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "grants are not supported; write grant_usage=0 into "
			 "the disk line");
		return -EINVAL;
	}
	return 0;
}

/* Answer for the device's window and serve its queues. */
static int connect_device(struct guest_disk *gd, const struct place *place,
			  struct loop *loop, struct ioreq_server *server,
			  char error[BLOCK_ERROR_MAX])
{
	int r = xen_device_open(&gd->device, server, &gd->disk.blk.dev,
				place->base, (uint32_t)place->irq);

	if (r == 0)
		r = disk_serve(&gd->disk, loop, &gd->device.transport);
	if (r == 0)
		size_watch_add(&gd->disk, loop);
	if (r)
		snprintf(error, BLOCK_ERROR_MAX,
			 "cannot answer for guest address %#" PRIx64 ": %s",
			 place->base, xen_error(-r));
	return r;
}

static void log_served(const struct guest_disk *gd,
		       const struct disk_options *o)
{
	const struct block_image *image = &gd->disk.image;

	log_info("%s: serving %s (%" PRIu64 " MiB, %s, %s, engine %s)",
		 gd->disk.name, o->file ? o->file : "null", image->size >> 20,
		 image->readonly ? "read-only" : "writable",
		 image->direct ? "O_DIRECT" : "page cache",
		 gd->disk.queue[0].engine->ops->name);
}

int guest_disk_open(struct guest_disk *gd, struct store *store,
		    const struct disk_options *overrides,
		    unsigned int noverrides, const char *guest,
		    struct loop *loop, struct ioreq_server *server,
		    struct guest_memory *mem)
{
	char error[BLOCK_ERROR_MAX] = "";
	char name[DISK_NAME_MAX];
	struct disk_options o;
	struct place place;
	int r;

	merge_options(&o, gd, store, overrides, noverrides);
	snprintf(name, sizeof(name), "%s/%s", guest, o.id ? o.id : "disk");
	gd->disk.image.fd = -1;
	r = read_place(store, gd->path, &place, error);
	if (r == 0)
		r = disk_open(&gd->disk, name, &o, mem, error);
	if (r == 0)
		r = connect_device(gd, &place, loop, server, error);
	if (r) {
		log_error("%s: %s", name, error);
		guest_disk_close(gd);
		guest_disk_refuse(gd, store, error);
	} else {
		gd->phase = GUEST_DISK_SERVED;
		log_served(gd, &o);
		write_state(store, gd->path, XENBUS_INIT_WAIT);
	}
	disk_options_finish(&o);
	return r;
}

void guest_disk_begin_close(struct guest_disk *gd)
{
	gd->phase = GUEST_DISK_CLOSING;
	size_watch_remove(&gd->disk);
	disk_begin_close(&gd->disk);
}

bool guest_disk_is_drained(const struct guest_disk *gd)
{
	return disk_in_flight(&gd->disk) == 0;
}

void guest_disk_close(struct guest_disk *gd)
{
	size_watch_remove(&gd->disk);
	/* A vCPU that waits for a reset goes on after this, not before. */
	disk_drain(&gd->disk);
	xen_device_close(&gd->device);
	disk_close(&gd->disk);
	gd->phase = GUEST_DISK_DONE;
}

void guest_disk_closed(struct guest_disk *gd, struct store *store)
{
	uint64_t state;

	/* Never bring back a directory that libxl has removed. */
	if (store_read_number(store, &state, "%s/state", gd->path))
		write_state(store, gd->path, XENBUS_CLOSED);
}
