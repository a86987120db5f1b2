/* SPDX-License-Identifier: MIT */
/*
 * The back-end directory of one disk, backend/virtio_disk/DOMID/DEVID: what
 * libxl says there, and what it is told. The directory is libxl's: it is never
 * removed here.
 *
 * One of a line virtio=[...], of which libxl knows no more than that it is some
 * virtio device, is backend/virtio/DOMID/N: «generic». It has neither name nor
 * image; those are said elsewhere, and what names it is "virtioN".
 */
#ifndef TOOLSTACK_BACKEND_H
#define TOOLSTACK_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "config/keys.h"
#include "toolstack/store.h"

/* States of the back end's node "state" (Xen public header io/xenbus.h). */
enum xenbus_state {
	XENBUS_UNKNOWN = 0,      /* one that no toolstack writes */
	XENBUS_INITIALISING = 1, /* asks for a new disk to be served */
	XENBUS_INIT_WAIT = 2,    /* ours: it is */
	XENBUS_CLOSING = 5,      /* asks for it to end */
	XENBUS_CLOSED = 6,       /* ours: it has */
};

enum { BACKEND_PATH_MAX = 64 }; /* bytes, with the NUL */

/* The N-th generic device has this and N for a devid; all others are below. */
#define BACKEND_GENERIC (UINT64_C(1) << 32)

/* What a directory says of its disk; a zeroed one may be finished. */
struct backend {
	struct disk_options options;
	bool generic;
	char *mode;         /* NULL: absent; owned */
	uint64_t base, irq; /* 0: absent, or no number */
	uint64_t grants;    /* 1 also for what is no number */
};

/* The directory of all disks of a domain, or of all its generic devices. */
void backend_parent(char path[BACKEND_PATH_MAX], int domid, bool generic);
void backend_path(char path[BACKEND_PATH_MAX], int domid, uint64_t devid);

/*
 * The devid of the disk, or generic device, whose directory below that one is
 * called so. False: it is not a device's.
 */
bool backend_devid(uint64_t *devid, const char *name, bool generic);

/* The devid of the generic device that an id names, as "virtio0"; or 0. */
uint64_t backend_generic_devid(const char *id);

/*
 * Whether the directory of a generic device is that of a disk, 1 or 0; or a
 * negative errno: it is not known now.
 */
int backend_is_disk(struct store *store, const char *path);

/*
 * The state that the directory is in. -ENOENT if it has none; another negative
 * errno: that is not known now.
 */
int backend_state(struct store *store, const char *path);

/* Whether the toolstack says that the disk goes; what is not known says no. */
bool backend_is_offline(struct store *store, const char *path);

/*
 * Read all of it: 0, or a negative errno if xenstore cannot be read now. To be
 * finished in any case.
 */
int backend_read(struct backend *backend, struct store *store,
		 const char *path);
void backend_finish(struct backend *backend);

/*
 * What makes it one that cannot be served, for the administrator to know and
 * mend; NULL: nothing.
 */
const char *backend_fault(const struct backend *backend);

/* Whether its mode is neither r nor w; then the disk is read-only. */
bool backend_mode_is_odd(const struct backend *backend);

/*
 * Tell libxl: that the disk is served (state 2); that it has ended (state 6);
 * that it will not come, in the quickest way that libxl has. Not to one that
 * was made anew meanwhile, nor to one that is gone. And that one which was
 * served is lost, whatever its state is. 0, or a negative errno: libxl does not
 * know.
 *
 * A disk is served as a directory has asked for it, and only one that says the
 * same is answered. -ESTALE: there is another one in its place by now.
 */
int backend_tell_served(struct store *store, const char *path,
			const struct backend *served);
int backend_tell_closed(struct store *store, const char *path);
int backend_tell_refused(struct store *store, const char *path,
			 const char *why);
int backend_tell_lost(struct store *store, const char *path, const char *why);

#endif
