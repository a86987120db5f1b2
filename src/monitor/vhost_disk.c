/* SPDX-License-Identifier: MIT */
/*
 * A disk that is served over vhost-user; see monitor/vhost_disk.h.
 *
 * Happy path: claim the image, make a part of it and have a worker open that;
 * then make the socket, for who finds it finds the disk, and give the worker
 * one front end after the other. Follow the size of the image, take its lock
 * and give it away as the worker says. At the end the worker finishes the
 * requests in flight and gives the device up, then the image is closed, and
 * only then the socket is gone: who finds the path free finds the image free.
 *
 * A worker that is gone is followed by the next one, at once or after a pause
 * (worker_lives.h), as soon as nothing of it is in flight any more, which the
 * lock of its part tells. The claim and the socket are kept: front ends connect
 * to it again, and nobody else has served the disk meanwhile.
 *
 * Failure: what keeps the first worker from being there ends the program, but
 * one that dies then has a few more, at once. An
 * image that another process has is waited for (handover.c). Who was connected
 * on a socket that we were given does not come again: so that is the end.
 */
#include "monitor/vhost_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/notify.h"
#include "monitor/disk_image.h"
#include "monitor/front_ends.h"
#include "monitor/handover.h"
#include "monitor/serial.h"
#include "monitor/size_watch.h"
#include "monitor/vhost_socket.h"
#include "monitor/worker_lives.h"
#include "worker/vhost.h"

/* Between two looks whether the dead worker's requests have ended. */
#define RETRY_MIN_NS (2 * NS_PER_MS)
#define RETRY_MAX_NS (250 * NS_PER_MS)

struct vhost_disk {
	struct vhost_monitor monitor;
	struct loop *loop;
	const struct options *given;
	struct disk_options options; /* with nothing left to decide */
	char serial[SERIAL_MAX];
	const char *name;
	struct block_claim claim;
	struct size_watch size; /* of it */
	struct handover handover;
	struct vhost_socket socket;
	struct front_ends front_ends; /* on it */
	struct vhost *worker;
	struct worker_lives lives;
	struct loop_timer again; /* armed: another worker is to be started */
	uint64_t retry_ns;       /* ... after what pause, the last time */
	bool listens;            /* a worker was there once */
	bool ends;
	int status;
};

/* One per process, for a signal may end it at any time. */
static struct vhost_disk the_disk;

static void fail(struct vhost_disk *vd)
{
	vd->status = 1;
	loop_quit(vd->loop);
}

static void fail_with(struct vhost_disk *vd, int r, const char *error)
{
	log_error("%s%s", error, descriptors_advice(-r));
	fail(vd);
}

static void cannot_serve(struct vhost_disk *vd, int r)
{
	log_error("cannot serve: %s%s", strerror(-r), descriptors_advice(-r));
	fail(vd);
}

/* ---- workers ---- */

/* Of a part that was made for it. */
static int open_with(struct vhost_disk *vd, struct block_part *part,
		     char error[BLOCK_ERROR_MAX])
{
	const struct vhost_wanted wanted = {
		.name = vd->name,
		.part = part,
		.options = &vd->options,
		.locked = vd->claim.locked,
	};
	int r = vhost_open(vd->worker, &wanted);

	if (r)
		snprintf(error, BLOCK_ERROR_MAX, "no worker can be started: %s",
			 strerror(-r));
	return r;
}

static int open_worker(struct vhost_disk *vd, char error[BLOCK_ERROR_MAX])
{
	struct block_part part;
	int r = block_claim_part(&vd->claim, &part, error);

	return r ? r : open_with(vd, &part, error);
}

/* One has ended, or could not be started. */
static void died(struct vhost_disk *vd)
{
	uint64_t pause_ns;

	if (vd->ends)
		return;
	front_ends_stop(&vd->front_ends);
	handover_forget(&vd->handover);
	if (vd->socket.connected) {
		fail(vd);
		return;
	}
	/* No disk can be given up: a front end knows of no such thing. */
	if (worker_lives_died(&vd->lives, clock_ns(), &pause_ns) !=
	    WORKER_LIVES_GO_ON) {
		log_error("%s: its workers have died too often: giving up",
			  vd->name);
		fail(vd);
		return;
	}
	/* Whoever starts us waits, and is better told. */
	if (pause_ns && !vd->listens) {
		log_error("%s: no worker lives until it can serve: giving up",
			  vd->name);
		fail(vd);
		return;
	}
	if (pause_ns)
		log_warning("%s: its workers die often: the next one is "
			    "started in %" PRIu64 " s",
			    vd->name, pause_ns / NS_PER_SECOND);
	vd->retry_ns = 0;
	loop_arm(vd->loop, &vd->again, pause_ns);
}

static void ask_again(struct vhost_disk *vd)
{
	vd->retry_ns = ns_within(2 * vd->retry_ns, RETRY_MIN_NS, RETRY_MAX_NS);
	loop_arm(vd->loop, &vd->again, vd->retry_ns);
}

static void start_again(struct loop_timer *timer)
{
	struct vhost_disk *vd = container_of(timer, struct vhost_disk, again);
	char error[BLOCK_ERROR_MAX] = "";
	struct block_part part;
	int r = block_claim_part(&vd->claim, &part, error);

	if (r == -EBUSY) {
		log_debug("%s", error);
		ask_again(vd);
	} else if (r) {
		log_error("%s: %s", vd->name, error);
		died(vd);
	} else if (open_with(vd, &part, error)) {
		/* Who starts them is gone, or there is but one. */
		log_error("%s: %s; ending", vd->name, error);
		fail(vd);
	}
}

static void listen_with(struct vhost_disk *vd)
{
	const char *path = vd->given->vhost_socket;

	vhost_listen(vd->worker, path ? path : "an inherited socket");
	if (!vd->socket.connected) {
		front_ends_want(&vd->front_ends, vd->socket.fd);
		return;
	}
	vhost_front_end(vd->worker, vd->socket.fd);
	vhost_socket_close(&vd->socket);
}

/* Ours no more: the worker may die, and its peer is to see that. */
static void came(struct front_ends *front_ends, int fd)
{
	struct vhost_disk *vd = container_of(front_ends, struct vhost_disk,
					     front_ends);

	vhost_front_end(vd->worker, fd);
	close(fd);
}

/* ---- what the worker says ---- */

static struct vhost_disk *of(struct vhost_monitor *monitor)
{
	return container_of(monitor, struct vhost_disk, monitor);
}

/* Who finds the socket finds the disk. */
static void opened_first(struct vhost_disk *vd)
{
	char error[BLOCK_ERROR_MAX];
	int r = vhost_socket_open(&vd->socket, vd->given->vhost_socket,
				  vd->given->vhost_fd, error);

	if (r) {
		fail_with(vd, r, error);
		return;
	}
	vd->listens = true;
	size_watch_add(&vd->size, &vd->claim, vd->name, vd->loop);
	listen_with(vd);
	notify_ready();
}

static void opened(struct vhost_monitor *monitor, int result, const char *error)
{
	struct vhost_disk *vd = of(monitor);

	if (!vd->listens) {
		if (result)
			fail_with(vd, result, error);
		else
			opened_first(vd);
	} else if (result) {
		log_error("%s: %s", vd->name, error);
		vhost_leave(vd->worker);
	} else {
		/* It may have changed since the part was made. */
		vhost_resize(vd->worker, vd->claim.facts.size);
		listen_with(vd);
	}
}

static void take(struct vhost_monitor *monitor)
{
	handover_take(&of(monitor)->handover);
}

static void taken(struct handover *handover, int result)
{
	vhost_taken(container_of(handover, struct vhost_disk, handover)->worker,
		    result);
}

static void give(struct vhost_monitor *monitor)
{
	struct vhost_disk *vd = of(monitor);

	handover_give(&vd->handover);
	vhost_given(vd->worker);
}

static void front_end_left(struct vhost_monitor *monitor)
{
	struct vhost_disk *vd = of(monitor);

	if (vd->given->once || vd->socket.connected)
		loop_quit(vd->loop);
	else
		front_ends_want(&vd->front_ends, vd->socket.fd);
}

static void gone(struct vhost_monitor *monitor, bool left)
{
	struct vhost_disk *vd = of(monitor);

	(void)left;
	if (vd->ends)
		loop_quit(vd->loop);
	else
		died(vd);
}

static const struct vhost_monitor_ops monitor_ops = {
	.opened = opened,
	.take = take,
	.give = give,
	.front_end_left = front_end_left,
	.gone = gone,
};

/* ---- what it is told ---- */

static void size_changed(struct size_watch *watch)
{
	struct vhost_disk *vd = container_of(watch, struct vhost_disk, size);

	vhost_resize(vd->worker, vd->claim.facts.size);
}

void vhost_disk_log_stats(void)
{
	if (the_disk.worker)
		vhost_log_stats(the_disk.worker);
}

void vhost_disk_log_events(void)
{
	if (the_disk.worker)
		vhost_log_events(the_disk.worker);
}

void vhost_disk_trace(bool on)
{
	if (the_disk.worker)
		vhost_trace(the_disk.worker, on);
}

/* ---- from the first to the last ---- */

static int claim_image(struct vhost_disk *vd, char error[BLOCK_ERROR_MAX])
{
	int r;

	vd->options = vd->given->disk[0];
	vd->options.lends = true;
	vd->name = vd->options.id ? vd->options.id : "vhost-user";
	r = disk_image_claim(&vd->claim, &vd->options, NULL, error);
	if (r)
		return r;
	if (vd->claim.facts.lends && !vd->claim.locked)
		log_warning("%s: waits for a live migration, until which no "
			    "queue can start: %s",
			    vd->name, error);
	serial_of(vd->serial, &vd->options, &vd->claim);
	vd->options.serial = vd->serial;
	vd->size.changed = size_changed;
	vd->handover.claim = &vd->claim;
	vd->handover.file = vd->options.file;
	vd->handover.name = vd->name;
	vd->handover.size = &vd->size;
	vd->handover.waited = !vd->claim.locked;
	vd->handover.loop = vd->loop;
	vd->handover.taken = taken;
	handover_init(&vd->handover);
	vd->front_ends.name = vd->name;
	vd->front_ends.came = came;
	front_ends_init(&vd->front_ends, vd->loop);
	return 0;
}

static int begin(struct vhost_disk *vd, struct worker_starter *starter)
{
	char error[BLOCK_ERROR_MAX] = "";
	int r = claim_image(vd, error);

	if (r == 0) {
		r = vhost_create(&vd->worker, vd->loop, &vd->monitor, starter);
		if (r) {
			cannot_serve(vd, r);
			return r;
		}
		vhost_trace(vd->worker, vd->given->trace);
		r = open_worker(vd, error);
	}
	if (r)
		fail_with(vd, r, error);
	return r;
}

/* In the loop: it sees a second signal, which ends that. */
static void finish_worker(struct vhost_disk *vd)
{
	int r = 0;

	vd->ends = true;
	loop_disarm(vd->loop, &vd->again);
	if (!vd->worker)
		return;
	/* Nobody shall come while what is left is done. */
	front_ends_stop(&vd->front_ends);
	handover_forget(&vd->handover);
	vhost_leave(vd->worker);
	while (r == 0 && vhost_runs(vd->worker))
		r = loop_run(vd->loop);
	if (r == 0)
		vhost_free(&vd->worker);
}

int vhost_disk_serve(struct loop *loop, const struct options *options,
		     struct worker_starter *starter)
{
	struct vhost_disk *vd = &the_disk;

	*vd = (struct vhost_disk){ .loop = loop,
				   .given = options,
				   .monitor.ops = &monitor_ops,
				   .claim = BLOCK_CLAIM_NONE,
				   .again.due = start_again };
	vhost_socket_init(&vd->socket);
	if (begin(vd, starter) == 0 && loop_run(loop))
		vd->status = 1;
	size_watch_remove(&vd->size);
	finish_worker(vd);
	block_claim_close(&vd->claim);
	vhost_socket_close(&vd->socket);
	return vd->status;
}

void vhost_disk_abandon(void)
{
	/*
	 * No more than that: the store may still read and write the memory of
	 * what is in flight, and wherever it hangs, we would hang as well.
	 */
	vhost_socket_abandon(&the_disk.socket);
	if (the_disk.worker)
		vhost_abandon(the_disk.worker);
	_exit(1);
}
