/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest, by the back-end directory that the toolstack made:
 * backend/virtio_disk/DOMID/DEVID. Follows the handshake that libxl expects.
 */
#ifndef MONITOR_GUEST_DISK_H
#define MONITOR_GUEST_DISK_H

#include "disk/disk.h"
#include "monitor/size_watch.h"
#include "xen/device.h"
#include "xen/mapcache.h"
#include "toolstack/store.h"

/* States of the back end's node "state" (Xen public header io/xenbus.h). */
enum xenbus_state {
	XENBUS_UNKNOWN = 0,
	XENBUS_INITIALISING = 1,
	XENBUS_INIT_WAIT = 2,
	XENBUS_CLOSING = 5,
	XENBUS_CLOSED = 6,
};

enum guest_disk_phase {
	GUEST_DISK_NONE, /* this entry is free */
	GUEST_DISK_SERVED,
	GUEST_DISK_CLOSING, /* waits for its requests in flight */
};

enum { GUEST_DISK_PATH_MAX = 64 }; /* bytes, with the NUL */

struct guest_disk {
	enum guest_disk_phase phase;
	uint64_t devid;
	char path[GUEST_DISK_PATH_MAX]; /* its back-end directory */
	bool told;                      /* libxl: that it is served (state 2) */
	struct block_image image;
	struct size_watch size; /* of it */
	struct disk disk;
	struct xen_device device;
};

/*
 * The state that the directory is in: XENBUS_INITIALISING asks for a new disk
 * to be served, XENBUS_CLOSING for one to end; XENBUS_UNKNOWN is one that no
 * toolstack writes. -ENOENT if it has none; another negative errno: that is not
 * known now.
 */
int guest_disk_state(struct store *store, const char *path);

/*
 * Whether a served disk has to end: the toolstack says so, its directory is
 * gone, or one was made anew in its place. What is not known is no reason to.
 */
bool guest_disk_is_unwanted(const struct guest_disk *gd, struct store *store);

/*
 * Serve the disk whose directory is gd->path: open its image, answer for its
 * window, and only then tell libxl (state 2). `overrides` are the --disk
 * options. 0; -EAGAIN: xenstore cannot be read now, and nothing was done;
 * another negative errno: logged in one line, and told to libxl.
 */
int guest_disk_open(struct guest_disk *gd, struct store *store,
		    const struct disk_options *overrides,
		    unsigned int noverrides, const char *guest,
		    struct loop *loop, struct ioreq_server *server,
		    struct guest_memory *mem);

/* Tell libxl that the disk is served, if that has failed before. */
void guest_disk_tell(struct guest_disk *gd, struct store *store);

/*
 * Begin to end the disk: whatever the guest does, it is dead from now on. The
 * loop goes on with what is in flight and answers the vCPUs meanwhile.
 */
void guest_disk_begin_close(struct guest_disk *gd);

/* Whether a closing disk has nothing in flight any more. */
bool guest_disk_is_drained(const struct guest_disk *gd);

/*
 * Free what guest_disk_open() made, after waiting for what is in flight if
 * there is anything. Then guest_disk_closed() tells libxl.
 */
void guest_disk_close(struct guest_disk *gd);

/*
 * Tell libxl that the disk of this directory is closed; not if it is gone, or
 * if one was made anew in its place. 0, or a negative errno: to be said again.
 */
int guest_disk_closed(struct store *store, const char *path);

/*
 * Tell libxl that this disk will not come, in the quickest way that it has. 0,
 * or a negative errno: libxl does not know.
 */
int guest_disk_refuse(struct store *store, const char *path, const char *why);

#endif
