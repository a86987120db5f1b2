/* SPDX-License-Identifier: MIT */
/*
 * A disk that is served over vhost-user; see monitor/vhost_disk.h.
 *
 * Happy path: claim the image, make the one part of it and hand that to the
 * worker, which is in this process; follow its size, and give its locks away
 * when no queue is served. At the end the worker finishes the requests in
 * flight and gives the device up, then the image is closed, and only then the
 * socket is gone: who finds the path free finds the image free.
 *
 * Failure: an image that another process has is waited for (handover.c).
 */
#include "monitor/vhost_disk.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "monitor/disk_image.h"
#include "monitor/handover.h"
#include "monitor/serial.h"
#include "monitor/size_watch.h"
#include "worker/vhost.h"

/* Between two looks whether the image's last flush is done. */
#define PAUSE_NS (20 * NS_PER_MS)

struct vhost_disk {
	struct vhost_image_owner owner;
	struct loop *loop;
	struct disk_options options; /* with nothing left to decide */
	char serial[SERIAL_MAX];
	const char *name;
	struct block_claim claim;
	struct block_image image; /* of its part: we serve it ourselves */
	struct size_watch size;   /* of it */
	struct handover handover;
	struct loop_timer pause;
};

/* ---- what the worker asks for ---- */

static int take(struct vhost_image_owner *owner)
{
	return handover_take(
		&container_of(owner, struct vhost_disk, owner)->handover);
}

static bool give(struct vhost_image_owner *owner)
{
	struct handover *handover =
		&container_of(owner, struct vhost_disk, owner)->handover;

	handover_give(handover);
	return handover_is_giving(handover);
}

static const struct vhost_image_owner_ops owner_ops = {
	.take = take,
	.give = give,
};

/* ---- what it is told ---- */

static void lock_given(struct handover *handover)
{
	(void)handover;
	vhost_given();
}

static void size_changed(struct size_watch *watch)
{
	vhost_resize(watch->claim->facts.size);
}

/* ---- life ---- */

static int open_image(struct vhost_disk *vd, const struct disk_options *given,
		      char error[BLOCK_ERROR_MAX])
{
	int r;

	vd->options = *given;
	vd->options.lends = true;
	vd->name = given->id ? given->id : "vhost-user";
	r = disk_image_claim(&vd->claim, &vd->options, NULL, error);
	if (r)
		return r;
	if (vd->claim.facts.lends && !vd->claim.locked)
		log_warning("%s: waits for a live migration, until which no "
			    "queue can start: %s",
			    vd->name, error);
	r = disk_image_open(&vd->image, &vd->claim, error);
	if (r)
		return r;
	serial_of(vd->serial, &vd->options, &vd->claim);
	vd->options.serial = vd->serial;
	vd->size.changed = size_changed;
	vd->handover.file = vd->options.file;
	vd->handover.name = vd->name;
	vd->handover.size = &vd->size;
	r = handover_init(&vd->handover, &vd->claim, &vd->image, vd->loop,
			  lock_given);
	if (r)
		snprintf(error, BLOCK_ERROR_MAX, "cannot serve: %s",
			 strerror(-r));
	return r;
}

static int open_worker(struct vhost_disk *vd, const struct options *options,
		       char error[BLOCK_ERROR_MAX])
{
	const struct vhost_settings settings = {
		.name = vd->name,
		.image = &vd->image,
		.options = &vd->options,
		.socket = options->vhost_socket,
		.fd = options->vhost_fd,
		.once = options->once,
	};
	int r;

	r = vhost_open(&settings, vd->loop, &vd->owner, error);
	if (r == 0)
		size_watch_add(&vd->size, &vd->claim, vd->name, vd->loop);
	return r;
}

static void look_again(struct loop_timer *timer)
{
	loop_quit(container_of(timer, struct vhost_disk, pause)->loop);
}

/* In the loop: it sees a second signal, which gives the flush up. */
static void finish_flush(struct vhost_disk *vd)
{
	int r = 0;

	vd->pause.due = look_again;
	while (r == 0 && handover_is_busy(&vd->handover)) {
		loop_arm(vd->loop, &vd->pause, PAUSE_NS);
		r = loop_run(vd->loop);
	}
	loop_disarm(vd->loop, &vd->pause);
}

int vhost_disk_serve(struct loop *loop, const struct options *options)
{
	struct vhost_disk vd = { .loop = loop,
				 .owner.ops = &owner_ops,
				 .claim = BLOCK_CLAIM_NONE,
				 .image.fd = -1 };
	char error[BLOCK_ERROR_MAX];
	int r;

	r = open_image(&vd, &options->disk[0], error);
	if (r == 0)
		r = open_worker(&vd, options, error);
	if (r == 0)
		r = vhost_begin(error);
	if (r)
		log_error("%s%s", error, descriptors_advice(-r));
	else
		r = loop_run(loop);
	size_watch_remove(&vd.size);
	vhost_drain();
	finish_flush(&vd);
	handover_finish(&vd.handover);
	block_image_close(&vd.image);
	block_claim_close(&vd.claim);
	vhost_close();
	return r ? 1 : 0;
}
