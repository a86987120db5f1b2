/* SPDX-License-Identifier: MIT */
/*
 * A device that is served to vhost-user front ends; see worker/vhost_worker.h.
 *
 * Happy path: make a device of the image, start the threads, take front ends,
 * one at a time, as the owner brings them. A queue is given to its thread when
 * it is first started, since many never are. At the end the requests in flight
 * are finished and told to the driver before the connection is closed, but for
 * long ones that whoever serves the driver next can take up.
 *
 * Failure: what a front end does wrong ends its session (src/vhost_user), never
 * this loop.
 */
#include "worker/vhost_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/thread_loop.h"
#include "base/trace_area.h"
#include "disk/disk.h"
#include "worker/vhost_lend.h"
#include "worker/vhost_state.h"
#include "vhost_user/bus_guard.h"
#include "vhost_user/connection.h"
#include "vhost_user/takeover.h"

enum {
	/*
	 * Descriptors: kick, call, err and an engine for each queue; the
	 * connection, its channel, and what a message brings.
	 */
	QUEUE_DESCRIPTORS = 3 + 3,
	SESSION_DESCRIPTORS = 2 + 16,
};

/* Between two looks whether the last requests are done. */
#define PAUSE_NS (20 * NS_PER_MS)

struct vhost_worker {
	struct vhost_owner owner; /* of the session */
	struct vhost_worker_owner *whose;
	struct vhost_worker_settings settings;
	struct loop *loop;
	struct loop_timer pause; /* between two looks, at the end */
	bool made;               /* there is a disk */
	bool serving;            /* there is a session */
	bool ending;
	unsigned int nthreads;
	struct thread_loop *thread_of[VIRTIO_QUEUES_MAX]; /* by queue */
	struct queue_memory memory; /* of the device, until a session's */
	struct disk disk;
	struct trace_ring *ring; /* mapped; or NULL */
	struct vhost_lend lend;  /* the image's lock */
	struct vhost_connection connection;
	struct thread_loop thread[VIRTIO_QUEUES_MAX];
};

/* One per process; too large for a stack, and touched where it is used. */
static struct vhost_worker the_worker;

/* ---- what the session asks for ---- */

static int may_start(struct vhost_owner *owner)
{
	return vhost_lend_want(
		&container_of(owner, struct vhost_worker, owner)->lend);
}

static int serve(struct vhost_owner *owner, unsigned int queue)
{
	struct vhost_worker *vh = container_of(owner, struct vhost_worker,
					       owner);
	struct thread_loop *thread = vh->thread_of[queue];

	return disk_serve_queue(&vh->disk, queue,
				thread ? &thread->loop : vh->loop,
				&vh->connection.session.transport);
}

static void resubmit(struct vhost_owner *owner, unsigned int queue)
{
	struct vhost_worker *vh = container_of(owner, struct vhost_worker,
					       owner);

	disk_resubmit(&vh->disk, queue);
}

/* ---- what outlives this process ---- */

static uint32_t state(struct vhost_owner *owner)
{
	return vhost_state_of(
		&container_of(owner, struct vhost_worker, owner)->disk);
}

static void begin_driver(struct vhost_owner *owner)
{
	vhost_state_begin(
		&container_of(owner, struct vhost_worker, owner)->disk);
}

static void taken_over(struct vhost_owner *owner, const uint32_t *state,
		       bool chosen)
{
	vhost_state_take_over(
		&container_of(owner, struct vhost_worker, owner)->disk, state,
		chosen);
}

static void lost(struct block_image *image)
{
	struct vhost_worker *vh = &the_worker;

	(void)image;
	vhost_takeover_keep(&vh->connection.session);
}

/* ---- the end of the driver ---- */

static void stopped(struct vhost_owner *owner)
{
	struct vhost_worker *vh = container_of(owner, struct vhost_worker,
					       owner);

	/* At our own end the image is closed. */
	if (!vh->ending)
		vhost_lend_release(&vh->lend);
}

static bool is_quiet(struct vhost_owner *owner)
{
	return vhost_lend_is_quiet(
		&container_of(owner, struct vhost_worker, owner)->lend);
}

static void closed(struct vhost_owner *owner)
{
	struct vhost_worker *vh = container_of(owner, struct vhost_worker,
					       owner);

	vhost_state_end(&vh->disk);
	if (vh->ending)
		return;
	/* Also where a queue could not start after all. */
	stopped(owner);
	vh->whose->ops->left(vh->whose);
}

static const struct vhost_owner_ops owner_ops = {
	.may_start = may_start,
	.serve = serve,
	.resubmit = resubmit,
	.state = state,
	.begin = begin_driver,
	.taken_over = taken_over,
	.stopped = stopped,
	.is_quiet = is_quiet,
	.closed = closed,
};

/* ---- threads ---- */

static int start_threads(struct vhost_worker *vh, unsigned int n)
{
	for (; vh->nthreads < n; vh->nthreads++) {
		int r = thread_loop_start(&vh->thread[vh->nthreads],
					  vh->loop->polling.max_ns);

		if (r)
			return r;
	}
	for (unsigned int i = 0; n && i < vh->disk.blk.dev.nqueues; i++)
		vh->thread_of[i] = &vh->thread[i % n];
	return 0;
}

static void stop_threads(struct vhost_worker *vh)
{
	while (vh->nthreads)
		thread_loop_stop(&vh->thread[--vh->nthreads]);
}

/* ---- the lock ---- */

static void take(struct vhost_lend *lend)
{
	struct vhost_worker *vh = container_of(lend, struct vhost_worker, lend);

	vh->whose->ops->take(vh->whose);
}

static void give(struct vhost_lend *lend)
{
	struct vhost_worker *vh = container_of(lend, struct vhost_worker, lend);

	vh->whose->ops->give(vh->whose);
}

static void news(struct vhost_lend *lend)
{
	struct vhost_worker *vh = container_of(lend, struct vhost_worker, lend);

	vhost_session_wake(&vh->connection.session);
}

void vhost_worker_taken(int result)
{
	vhost_lend_taken(&the_worker.lend, result);
}

void vhost_worker_given(void)
{
	vhost_lend_given(&the_worker.lend);
}

/* ---- the trace ---- */

struct trace_errand {
	struct disk *disk;
	unsigned int queue;
};

static void switch_queue(void *arg)
{
	struct trace_errand *e = arg;

	disk_switch_trace(e->disk, e->queue);
}

void vhost_worker_trace(bool on)
{
	struct vhost_worker *vh = &the_worker;

	disk_set_trace(&vh->disk, on);
	for (unsigned int i = 0; i < vh->disk.blk.dev.nqueues; i++) {
		struct trace_errand e = { .disk = &vh->disk, .queue = i };

		thread_loop_call(vh->thread_of[i], switch_queue, &e);
	}
}

/* ---- the beginning ---- */

static int open_disk(struct vhost_worker *vh, char error[BLOCK_ERROR_MAX])
{
	const struct vhost_worker_settings *settings = &vh->settings;
	int r;

	queue_memory_init(&vh->memory, &vh->connection.session.regions);
	r = disk_open(&vh->disk, settings->name, settings->image,
		      settings->options, &vh->memory.mem, error);
	if (r)
		return r;
	vh->ring = trace_area_map(settings->area_fd, 0, settings->name);
	vh->disk.trace.ring = vh->ring;
	disk_set_trace(&vh->disk, settings->traces);
	/* The others are, when they are served. */
	disk_switch_trace(&vh->disk, 0);
	trace_device(&vh->disk.trace, "is made");
	return 0;
}

static int cannot_serve(int r, char error[BLOCK_ERROR_MAX])
{
	if (r)
		snprintf(error, BLOCK_ERROR_MAX, "cannot serve: %s",
			 strerror(-r));
	return r;
}

static int open_lend(struct vhost_worker *vh)
{
	vh->lend.name = vh->settings.name;
	vh->lend.file = vh->settings.options->file;
	vh->lend.take = take;
	vh->lend.give = give;
	vh->lend.news = news;
	return vhost_lend_init(&vh->lend, vh->settings.image,
			       vh->settings.locked, vh->loop);
}

static int open_session(struct vhost_worker *vh, char error[BLOCK_ERROR_MAX])
{
	int r = bus_guard_install();

	if (r == 0)
		r = start_threads(vh, vh->settings.options->iothreads);
	if (r == 0)
		r = vhost_connection_init(&vh->connection, vh->disk.name,
					  &vh->disk.blk.dev, &vh->owner,
					  vh->loop, vh->thread_of);
	if (r == 0) {
		vh->serving = true;
		vh->settings.image->lost = lost;
		/* Its configuration may change before any queue is served. */
		vh->disk.transport = &vh->connection.session.transport;
		vh->connection.session.trace = &vh->disk.trace;
		r = open_lend(vh);
	}
	return cannot_serve(r, error);
}

int vhost_worker_open(const struct vhost_worker_settings *settings,
		      struct loop *loop, struct vhost_worker_owner *owner,
		      char error[BLOCK_ERROR_MAX])
{
	struct vhost_worker *vh = &the_worker;
	int r;

	vh->owner.ops = &owner_ops;
	vh->whose = owner;
	vh->settings = *settings;
	vh->loop = loop;
	r = open_disk(vh, error);
	vh->made = r == 0;
	return r ? r : open_session(vh, error);
}

static void log_start(const struct vhost_worker *vh, const char *where)
{
	const struct vhost_worker_settings *settings = &vh->settings;
	unsigned int nqueues = vh->disk.blk.dev.nqueues;
	unsigned int nthreads = vh->nthreads ? vh->nthreads : 1;

	log_info("%s: %" PRIu64 " MiB, %u queue%s, %u thread%s, on %s",
		 settings->options->file ? settings->options->file : "no file",
		 settings->image->size >> 20, nqueues, log_plural(nqueues),
		 nthreads, log_plural(nthreads), where);
	disk_log_keys(&vh->disk, settings->options);
}

/* Rather now than when a guest is there that uses all of it. */
static void check_descriptors(const struct vhost_worker *vh)
{
	unsigned int n = vh->disk.blk.dev.nqueues;
	unsigned int wanted = n * QUEUE_DESCRIPTORS + SESSION_DESCRIPTORS;
	unsigned int left = descriptors_left();

	if (left < wanted)
		log_warning("%s: a front end that uses all %u queue%s may need "
			    "%u more descriptors, and %u can be had: raise "
			    "LimitNOFILE= of the unit, or ulimit -n, or lower "
			    "queues=",
			    vh->disk.name, n, log_plural(n), wanted, left);
}

void vhost_worker_listen(const char *where)
{
	check_descriptors(&the_worker);
	log_start(&the_worker, where);
}

int vhost_worker_serve(int fd)
{
	return vhost_connection_open(&the_worker.connection, fd);
}

bool vhost_worker_serves(void)
{
	return vhost_connection_is_open(&the_worker.connection);
}

void vhost_worker_resize(uint64_t bytes)
{
	disk_resize(&the_worker.disk, bytes);
}

/* ---- the end ---- */

/* Not all requests are the session's. */
static bool is_busy(const struct vhost_worker *vh)
{
	return (vh->made && disk_in_flight(&vh->disk)) ||
	       (vh->serving && vhost_connection_is_open(&vh->connection)) ||
	       vhost_lend_is_busy(&vh->lend);
}

static void finish(struct vhost_worker *vh)
{
	stop_threads(vh);
	if (vh->made)
		disk_close(&vh->disk);
	trace_area_unmap(vh->ring);
	vh->ring = NULL;
	vhost_lend_finish(&vh->lend);
	if (vh->serving)
		vhost_connection_finish(&vh->connection);
	vh->whose->ops->ended(vh->whose);
}

static void look_again(struct loop_timer *timer)
{
	struct vhost_worker *vh = container_of(timer, struct vhost_worker,
					       pause);

	if (is_busy(vh))
		loop_arm(vh->loop, &vh->pause, PAUSE_NS);
	else
		finish(vh);
}

void vhost_worker_end(void)
{
	struct vhost_worker *vh = &the_worker;
	unsigned int n = vh->made ? disk_in_flight(&vh->disk) : 0;

	if (n)
		log_info("%s: waiting for %u request%s in flight; a second "
			 "signal gives them up",
			 vh->disk.name, n, log_plural(n));
	vh->ending = true;
	if (vh->serving)
		vhost_connection_close(&vh->connection);
	vh->pause.due = look_again;
	loop_arm(vh->loop, &vh->pause, 0);
}

void vhost_worker_log_stats(void)
{
	const struct vhost_worker *vh = &the_worker;

	for (unsigned int i = 0; i < vh->disk.blk.dev.nqueues; i++) {
		const struct virtio_blk_queue *bq = &vh->disk.blk.queue[i];
		uint64_t requests = virtio_blk_requests(bq);
		uint64_t notified = virtqueue_notifications(&bq->vq);

		if (requests)
			log_info("%s: queue %u: %" PRIu64 " request%s, %" PRIu64
				 " failed, %" PRIu64 " notification%s",
				 vh->disk.name, i, requests,
				 log_plural(requests), virtio_blk_failed(bq),
				 notified, log_plural(notified));
	}
}
