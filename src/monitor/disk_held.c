/* SPDX-License-Identifier: MIT */
/*
 * What is held open of a disk; see monitor/disk_held.h.
 *
 * Happy path: the claim of the image is made, or asked once more where it was
 * kept; state file and part are had last, and go to the worker.
 *
 * Failure: a sentence, and nothing is open then but what was kept.
 */
#include "monitor/disk_held.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "monitor/disk_image.h"
#include "monitor/disk_said.h"
#include "monitor/noted_image.h"
#include "monitor/serial.h"

/* 0, or a negative errno and a sentence. One that is open stays so. */
static int open_state(struct guest_disk *gd, char error[BLOCK_ERROR_MAX])
{
	const struct state_dir *states = gd->host->states;

	if (!states || gd->state_fd >= 0)
		return 0;
	gd->state_fd = state_dir_open_disk(states, gd->devid,
					   gd->state != GUEST_DISK_LEFT, error);
	return gd->state_fd < 0 ? gd->state_fd : 0;
}

static void close_state(struct guest_disk *gd)
{
	if (gd->state_fd >= 0)
		close(gd->state_fd);
	gd->state_fd = -1;
}

void disk_held_remove_state(struct guest_disk *gd)
{
	close_state(gd);
	if (gd->host->states)
		state_dir_remove_disk(gd->host->states, gd->devid);
}

static void warn_of_mode(const struct guest_disk *gd)
{
	const char *mode = gd->said.mode;

	if (backend_mode_is_odd(&gd->said))
		log_warning("%s: %s/mode is %s%s, which is neither r nor w: "
			    "read-only",
			    gd->name, gd->path, mode ? "" : "absent",
			    mode ? mode : "");
}

void disk_held_note_image(const struct guest_disk *gd)
{
	if (gd->state_fd >= 0)
		noted_image_note(gd->host->states, gd->devid, &gd->claim,
				 gd->name);
}

static void size_changed(struct size_watch *watch)
{
	struct guest_disk *gd = container_of(watch, struct guest_disk, size);

	worker_resize(gd->host->worker, gd->devid, gd->claim.facts.size);
}

void disk_held_close_claim(struct guest_disk *gd)
{
	block_claim_close(&gd->claim);
	gd->kept = KEPT_NOT;
}

void disk_held_close(struct guest_disk *gd)
{
	size_watch_remove(&gd->size);
	disk_held_close_claim(gd);
	close_state(gd);
}

void disk_held_step_back(struct guest_disk *gd)
{
	if (gd->kept == KEPT_NOT) {
		disk_held_close(gd);
		return;
	}
	size_watch_remove(&gd->size);
}

int disk_held_attach(struct guest_disk *gd, const struct disk_options *o,
		     char error[BLOCK_ERROR_MAX])
{
	const bool adopt = gd->state == GUEST_DISK_LEFT;
	struct disk_options all = *o;
	struct block_part part;
	struct worker_disk disk = {
		.id = gd->devid,
		.name = gd->name,
		.part = &part,
		.options = &all,
		.base = gd->said.base,
		.irq = (uint32_t)gd->said.irq,
		.adopt = adopt,
		.broken = adopt && gd->breaks,
	};
	char serial[SERIAL_MAX];
	int r = open_state(gd, error);

	/* The last: it is the worker's, or there is none. */
	if (r == 0)
		r = block_claim_part(&gd->claim, &part, error);
	if (r) {
		disk_held_step_back(gd);
		return r;
	}
	/* One that is adopted may be found to have another image. */
	if (!adopt)
		disk_held_note_image(gd);
	serial_of(serial, o, &gd->claim);
	all.serial = serial;
	disk.state_fd = gd->state_fd;
	gd->asked_ns = clock_ns();
	worker_attach(gd->host->worker, &disk);
	/* What is told of its size comes after that. */
	gd->size.changed = size_changed;
	size_watch_add(&gd->size, &gd->claim, gd->name, gd->host->loop);
	gd->unwanted &= adopt;
	gd->state = adopt ? GUEST_DISK_ADOPTING : GUEST_DISK_ATTACHING;
	return 0;
}

/* Whether nothing of the worker before is in flight; as block_claim_part(). */
static int ask_part(struct guest_disk *gd, char error[BLOCK_ERROR_MAX])
{
	struct block_part part;
	int r;

	block_claim_look(&gd->claim);
	r = block_claim_part(&gd->claim, &part, error);
	if (r == 0)
		block_part_close(&part);
	return r;
}

int disk_held_prepare(struct guest_disk *gd, struct disk_options *o,
		      enum block_in_use in_use, char error[BLOCK_ERROR_MAX])
{
	const bool left = gd->state == GUEST_DISK_LEFT;
	const struct block_user user = {
		.in_use = in_use,
		.owner = disk_image_owner(gd->host->vm, gd->devid),
		.successor = left,
	};
	const struct disk_said said = {
		.devid = gd->devid,
		.path = gd->path,
		.backend = &gd->said,
		.defaults = gd->host->defaults,
		.file = gd->host->file,
		.overrides = gd->host->overrides,
		.noverrides = gd->host->noverrides,
	};
	const char *vdev = gd->said.options.id;
	int r;

	snprintf(gd->name, sizeof(gd->name), "%s/%s", gd->host->guest,
		 vdev ? vdev : "disk");
	r = disk_said_settle(&said, o, error);
	if (r == 0 && o->readonly && !left) {
		warn_of_mode(gd);
		disk_said_warn(&said, gd->name);
	}
	if (r)
		return r;
	return gd->kept == KEPT_NOT ?
		       disk_image_claim(&gd->claim, o, &user, error) :
		       ask_part(gd, error);
}
