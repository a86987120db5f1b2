/* SPDX-License-Identifier: MIT */
/*
 * One disk of a Xen guest, as libxl sees it; see monitor/guest_disk.h.
 *
 * What libxl's directory says is looked at again and again, whatever the event
 * was; with the disk's state that decides what is done:
 *
 *	state	  libxl says		     what is done	      next
 *	FOUND	  1			     open, attach	      ATTACHING
 *		  5			     say 6		      SETTLED
 *		  6, no state		     -			      SETTLED
 *		  other			     log		      FOREIGN
 *	LEFT	  any, image in use	     try again later	      LEFT
 *		  any, no memory now	     the same		      LEFT
 *		  5, 6, no state, offline    disown, say 6	      SETTLED
 *		  other			     open, adopt	      ADOPTING
 *		  other, that fails	     disown, say it	      SETTLED
 *		  other, not awaited	     below		      SETTLED
 *	ATTACHING any			     -			      ATTACHING
 *	ADOPTING  any			     -			      ADOPTING
 *	UNTOLD	  any			     say 2		      SERVED
 *		  1, of another disk	     detach		      CLOSING
 *	SERVED	  5, 6, no state, offline    detach		      CLOSING
 *		  1: it was made anew	     detach		      CLOSING
 *	CLOSING	  any			     -			      CLOSING
 *	UNCLOSED  1			     open, attach	      ATTACHING
 *		  other			     say 6		      SETTLED
 *	SETTLED	  1			     open, attach	      ATTACHING
 *		  5			     say 6		      SETTLED
 *	FOREIGN	  1			     open, attach	      ATTACHING
 *
 *		  the worker says
 *	ATTACHING it is attached	     below		      UNTOLD
 *		  it is not		     close, say it	      SETTLED
 *	ADOPTING  it is attached	     below		      UNTOLD
 *		  not now		     close, try again later   LEFT
 *		  another image, and 1	     close, disown, say 6     SETTLED
 *		  another image		     close, try again later   LEFT
 *		  it was closing	     close, disown, say 6     SETTLED
 *		  it cannot be		     close, disown, say it    SETTLED
 *	CLOSING	  it has ended		     close, say 6	      SETTLED
 *	any	  it is gone		     -			      LEFT
 *
 * UNTOLD ends like SERVED, and goes on at once: who wanted it to end while the
 * worker was asked has it detached then, else 2 is said. Where open fails,
 * libxl is told so, and SETTLED is next. Where «say 6» fails UNCLOSED is next,
 * and where 2 fails the state stays: it is said again at the next look. What
 * cannot be known now leaves all as it is.
 *
 * LEFT, and not FOUND, is what the worker awaits: a disk of the process before
 * this one. The guest may access it all the time. The lock of its image tells
 * when the last request of that process has ended, which may write to image and
 * guest until then; so the image is opened also where the disk is to go. Which
 * image that is has been noted beside the state, for libxl may have removed the
 * directory, or have made another disk in its place. State and note are removed
 * when the disk has ended, before libxl is told.
 *
 * A disk whose worker is gone is LEFT as well, and its image stays open, so
 * that nobody else gets it: only whether requests of that worker are in flight
 * is asked again and again, of its part. What was said of it, it keeps. The
 * next worker awaits those that the guest could access: one that was ATTACHING,
 * and is not awaited, begins anew, unless workers die of it; one that was to
 * end has ended; any other is lost.
 *
 * Failure modes: a disk that cannot be served is logged and refused. One that
 * was left and whose image is in use is tried without end, and so is one for
 * which memory or descriptors are lacking: the guest waits, it loses nothing.
 */
#include "monitor/guest_disk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "monitor/disk_held.h"
#include "monitor/disk_image.h"
#include "monitor/noted_image.h"

void guest_disk_init(struct guest_disk *gd, const struct guest_disk_host *host,
		     uint64_t devid)
{
	memset(gd, 0, sizeof(*gd));
	gd->host = host;
	gd->devid = devid;
	gd->claim = BLOCK_CLAIM_NONE;
	gd->state_fd = -1;
	backend_path(gd->path, host->domid, devid);
	if (worker_awaits(host->worker, devid))
		gd->state = GUEST_DISK_LEFT;
}

bool guest_disk_is_asked(const struct guest_disk *gd)
{
	return gd->state == GUEST_DISK_ATTACHING ||
	       gd->state == GUEST_DISK_ADOPTING;
}

bool guest_disk_is_active(const struct guest_disk *gd)
{
	return gd->state == GUEST_DISK_LEFT || gd->state == GUEST_DISK_UNTOLD ||
	       gd->state == GUEST_DISK_SERVED ||
	       gd->state == GUEST_DISK_CLOSING || guest_disk_is_asked(gd);
}

bool guest_disk_is_left(const struct guest_disk *gd)
{
	return gd->state == GUEST_DISK_LEFT || gd->state == GUEST_DISK_ADOPTING;
}

/* ---- open and attach ---- */

static void refuse(struct guest_disk *gd, const char *why)
{
	log_error("%s: %s", gd->name, why);
	disk_held_remove_state(gd);
	gd->state = GUEST_DISK_SETTLED;
	backend_tell_refused(gd->host->store, gd->path, why);
}

static void serve(struct guest_disk *gd)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct disk_options o = { 0 };
	int r = disk_held_prepare(gd, &o, BLOCK_IN_USE_WAIT, error);

	if (r == 0)
		r = disk_held_attach(gd, &o, error);
	keys_finish(&o);
	if (r)
		refuse(gd, error);
}

/* What the directory says now: whether that could be read. */
static bool read_said(struct guest_disk *gd)
{
	backend_finish(&gd->said);
	return backend_read(&gd->said, gd->host->store, gd->path) == 0;
}

/* A directory that asks for a disk. */
static void open_disk(struct guest_disk *gd, bool full)
{
	if (full) {
		log_error("%s: more than %d disks; %s is not served",
			  gd->host->guest, DISKS_MAX, gd->path);
		gd->state = GUEST_DISK_SETTLED;
		backend_tell_refused(gd->host->store, gd->path,
				     "too many disks");
		return;
	}
	/* Where that fails it is tried again. */
	if (read_said(gd))
		serve(gd);
}

/* ---- the end ---- */

/* What is not known is no reason to end. */
static bool is_unwanted(const struct guest_disk *gd)
{
	struct store *store = gd->host->store;
	int state = backend_state(store, gd->path);

	if (state == -ENOENT || state == XENBUS_CLOSING ||
	    state == XENBUS_CLOSED)
		return true;
	/* We have written another one: libxl has begun anew. */
	if (state == XENBUS_INITIALISING && gd->state == GUEST_DISK_SERVED)
		return true;
	return backend_is_offline(store, gd->path);
}

void guest_disk_detach(struct guest_disk *gd)
{
	if (guest_disk_is_asked(gd) || gd->state == GUEST_DISK_LEFT)
		gd->unwanted = true;
	guest_disk_take_up(gd);
	if (gd->state != GUEST_DISK_UNTOLD && gd->state != GUEST_DISK_SERVED)
		return;
	size_watch_remove(&gd->size);
	gd->state = GUEST_DISK_CLOSING;
	worker_detach(gd->host->worker, gd->devid);
}

static void tell_served(struct guest_disk *gd)
{
	int r = backend_tell_served(gd->host->store, gd->path, &gd->said);

	if (r == 0)
		gd->state = GUEST_DISK_SERVED;
	/* It was removed and made anew while the worker was asked. */
	else if (r == -ESTALE)
		guest_disk_detach(gd);
}

static void tell_closed(struct guest_disk *gd)
{
	gd->state = backend_tell_closed(gd->host->store, gd->path) == 0 ?
			    GUEST_DISK_SETTLED :
			    GUEST_DISK_UNCLOSED;
}

void guest_disk_ended(struct guest_disk *gd)
{
	assert(gd->state == GUEST_DISK_CLOSING);
	/* Who is told may open it at once. */
	disk_held_close(gd);
	disk_held_remove_state(gd);
	log_info("%s: closed", gd->name);
	tell_closed(gd);
}

void guest_disk_finish(struct guest_disk *gd)
{
	disk_held_close(gd);
	backend_finish(&gd->said);
}

/* ---- one that was left ---- */

/* Nothing of the process before is in flight: the guest loses it. */
static void disown(struct guest_disk *gd)
{
	disk_held_close_claim(gd);
	worker_disown(gd->host->worker, gd->devid);
	disk_held_remove_state(gd);
}

/* It has ended, or does now. */
static void let_go(struct guest_disk *gd)
{
	disown(gd);
	log_info("%s: closed", gd->name);
	tell_closed(gd);
}

static void lose(struct guest_disk *gd, const char *why)
{
	disown(gd);
	log_error("%s: cannot be taken over from the process before; the guest "
		  "has lost it: %s",
		  gd->name, why);
	gd->state = GUEST_DISK_SETTLED;
	backend_tell_lost(gd->host->store, gd->path, why);
}

/* Whether libxl asks for a disk; with another image it is another one. */
static bool is_new(const struct guest_disk *gd)
{
	return backend_state(gd->host->store, gd->path) == XENBUS_INITIALISING;
}

/*
 * Whether what the process before has had in flight is on an image that is not
 * the one that is said now, or on one of which nothing is said any more.
 */
static bool is_in_flight(struct guest_disk *gd)
{
	const struct block_user user = {
		.in_use = gd->patience.how,
		.owner = disk_image_owner(gd->host->vm, gd->devid),
		.successor = true,
	};
	char error[BLOCK_ERROR_MAX] = "";
	int r = 0;

	if (gd->host->states)
		r = noted_image_try(gd->host->states, gd->devid, &gd->claim,
				    &user, error);
	if (!patience_helps(r))
		return false;
	disk_held_close_claim(gd);
	patience_say(&gd->patience, gd->name, error);
	return true;
}

static void not_adopted(struct guest_disk *gd, int error, const char *why)
{
	const bool ends = error == -ENODEV || (error == -ESTALE && is_new(gd));

	if (!ends && patience_helps(error))
		patience_say(&gd->patience, gd->name, why);
	else if (is_in_flight(gd))
		return;
	else if (ends)
		let_go(gd);
	else
		lose(gd, why);
}

/* The guest cannot have seen it, or cannot access it any more. */
static void not_awaited(struct guest_disk *gd)
{
	if (gd->kept != KEPT_NEW) {
		lose(gd, "the worker does not know it any more");
		return;
	}
	disk_held_close_claim(gd);
	if (gd->breaks) {
		gd->breaks = false;
		refuse(gd, "workers die of it, again and again");
		return;
	}
	disk_held_remove_state(gd);
	/* If libxl asks for it still, the next review attaches it. */
	gd->state = GUEST_DISK_SETTLED;
}

static void take_up(struct guest_disk *gd)
{
	const bool unwanted = gd->unwanted || is_unwanted(gd);
	char error[BLOCK_ERROR_MAX] = "";
	struct disk_options o = { 0 };
	int r;

	patience_try(&gd->patience);
	r = disk_held_prepare(gd, &o, gd->patience.how, error);
	if (!patience_helps(r) && unwanted)
		r = -ENODEV;
	else if (r == 0 && !worker_awaits(gd->host->worker, gd->devid))
		not_awaited(gd);
	else if (r == 0)
		r = disk_held_attach(gd, &o, error);
	if (gd->state == GUEST_DISK_LEFT)
		not_adopted(gd, r, error);
	keys_finish(&o);
}

void guest_disk_take_up(struct guest_disk *gd)
{
	int state;

	if (gd->state != GUEST_DISK_LEFT)
		return;
	state = backend_state(gd->host->store, gd->path);
	if (state < 0 && state != -ENOENT)
		return;
	if (gd->kept != KEPT_NOT || read_said(gd))
		take_up(gd);
}

void guest_disk_lost(struct guest_disk *gd)
{
	if (!guest_disk_is_active(gd) || gd->state == GUEST_DISK_LEFT)
		return;
	size_watch_remove(&gd->size);
	if (gd->state == GUEST_DISK_SERVED)
		gd->kept = KEPT_TOLD;
	else if (gd->kept == KEPT_NOT)
		gd->kept = gd->state == GUEST_DISK_ATTACHING ? KEPT_NEW :
							       KEPT_UNTOLD;
	gd->unwanted |= gd->state == GUEST_DISK_CLOSING;
	gd->state = GUEST_DISK_LEFT;
	gd->patience = (struct patience){ 0 };
}

void guest_disk_break(struct guest_disk *gd)
{
	if (gd->state == GUEST_DISK_LEFT)
		gd->breaks = true;
}

bool guest_disk_was_reset(struct guest_disk *gd)
{
	if (!gd->broken || worker_state_is_given_up(gd->state_fd))
		return false;
	gd->broken = false;
	return true;
}

/* ---- what the worker answers ---- */

static void attached(struct guest_disk *gd)
{
	const bool told = gd->kept == KEPT_TOLD;

	if (gd->state == GUEST_DISK_ADOPTING)
		disk_held_note_image(gd);
	/* Its state has it from now on. */
	gd->broken |= gd->breaks && gd->state == GUEST_DISK_ADOPTING;
	gd->breaks = false;
	gd->kept = KEPT_NOT;
	gd->state = told ? GUEST_DISK_SERVED : GUEST_DISK_UNTOLD;
	if (gd->unwanted || (told && is_unwanted(gd)))
		guest_disk_detach(gd);
	else if (!told)
		tell_served(gd);
}

static void not_attached(struct guest_disk *gd, int error, const char *why)
{
	const bool adopts = gd->state == GUEST_DISK_ADOPTING;

	disk_held_step_back(gd);
	if (!adopts) {
		refuse(gd, why);
		return;
	}
	gd->state = GUEST_DISK_LEFT;
	not_adopted(gd, error, why);
}

void guest_disk_attached(struct guest_disk *gd, int result, const char *error)
{
	assert(guest_disk_is_asked(gd));
	if (result)
		not_attached(gd, result, error);
	else
		attached(gd);
}

/* ---- the review ---- */

/* A directory that asks for nothing, seen for the first time. */
static void settle_found(struct guest_disk *gd, int state)
{
	if (state == -ENOENT || state == XENBUS_CLOSED) {
		gd->state = GUEST_DISK_SETTLED;
		return;
	}
	gd->state = GUEST_DISK_FOREIGN;
	log_error("%s: %s belongs to another or an earlier instance; the guest "
		  "has to be restarted",
		  gd->host->guest, gd->path);
}

static void review_served(struct guest_disk *gd)
{
	if (gd->state == GUEST_DISK_UNTOLD)
		tell_served(gd);
	if (is_unwanted(gd))
		guest_disk_detach(gd);
}

static void review_unserved(struct guest_disk *gd, bool full)
{
	int state = backend_state(gd->host->store, gd->path);

	if (state < 0 && state != -ENOENT)
		return;
	if (state == XENBUS_INITIALISING)
		open_disk(gd, full);
	else if (gd->state == GUEST_DISK_UNCLOSED ||
		 (state == XENBUS_CLOSING && gd->state != GUEST_DISK_FOREIGN))
		/* Also one that ends before it was looked at. */
		tell_closed(gd);
	else if (gd->state == GUEST_DISK_FOUND)
		settle_found(gd, state);
}

void guest_disk_review(struct guest_disk *gd, bool full)
{
	switch (gd->state) {
	case GUEST_DISK_UNTOLD:
	case GUEST_DISK_SERVED:
		review_served(gd);
		break;
	case GUEST_DISK_LEFT:
		guest_disk_take_up(gd);
		break;
	case GUEST_DISK_ATTACHING:
	case GUEST_DISK_ADOPTING:
	case GUEST_DISK_CLOSING:
		break;
	case GUEST_DISK_FOUND:
	case GUEST_DISK_UNCLOSED:
	case GUEST_DISK_SETTLED:
	case GUEST_DISK_FOREIGN:
		review_unserved(gd, full);
		break;
	}
}
