/* SPDX-License-Identifier: MIT */
/*
 * Serving one disk to vhost-user front ends; see worker/vhost.h.
 *
 * Happy path: make a device of the image, start the threads, listen. A queue is
 * given to its thread when it is first started, since many never are. While a
 * front end is connected the next one waits its turn. At the end, on a signal
 * as well, the requests in flight are finished and told to the driver before
 * the connection is closed, but for long ones that whoever serves the driver
 * next can take up.
 *
 * Failure: what a front end does wrong ends its session (src/vhost_user), never
 * this loop. Without a descriptor for the next front end it is asked for again
 * every second.
 */
#include "worker/vhost.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/thread_loop.h"
#include "disk/disk.h"
#include "worker/vhost_socket.h"
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

/* Between two attempts to accept, when there is no descriptor for it. */
#define RETRY_NS NS_PER_SECOND

/* Between two looks whether the last requests are done. */
#define PAUSE_NS (20 * NS_PER_MS)

struct vhost {
	struct vhost_owner owner;
	struct vhost_image_owner *image_owner;
	struct vhost_settings settings;
	struct loop *loop;
	struct vhost_socket listener;
	struct loop_source source; /* the listener */
	struct loop_timer retry;   /* armed instead, while accept() fails */
	bool failing;              /* it does, and that was said */
	struct log_limit waiting, failures, connections;
	struct loop_timer pause; /* between two looks, at the end */
	bool once;
	bool serving; /* there is a session */
	bool ending;
	unsigned int nthreads;
	struct thread_loop *thread_of[VIRTIO_QUEUES_MAX]; /* by queue */
	struct queue_memory memory; /* of the device, until a session's */
	struct disk disk;
	bool giving; /* the image's lock is being given away */
	struct vhost_connection connection;
	struct thread_loop thread[VIRTIO_QUEUES_MAX];
};

/* One per process; too large for a stack, and touched where it is used. */
static struct vhost the_vhost;

/* ---- the listener ---- */

/*
 * An edge for each front end that comes, also while one is served; to watch
 * anew is an edge for who has come before.
 */
static int watch_listener(struct vhost *vh)
{
	return loop_add(vh->loop, &vh->source, EPOLLIN | EPOLLET);
}

static int accept_next(struct vhost *vh)
{
	loop_remove(vh->loop, &vh->source);
	return watch_listener(vh);
}

/* They wait in the backlog, and it would be an event without end. */
static void accept_failed(struct vhost *vh, int r)
{
	if (!vh->failing)
		log_limited(&vh->failures, LOG_LEVEL_ERROR,
			    "%s: a front end cannot be accepted: %s%s",
			    vh->disk.name, strerror(-r),
			    descriptors_advice(-r));
	vh->failing = true;
	loop_remove(vh->loop, &vh->source);
	loop_arm(vh->loop, &vh->retry, RETRY_NS);
}

static void accept_again(struct loop_timer *timer)
{
	struct vhost *vh = container_of(timer, struct vhost, retry);
	int r = watch_listener(vh);

	if (r)
		accept_failed(vh, r);
}

static void accept_one(struct vhost *vh)
{
	int fd = vhost_socket_accept(&vh->listener);
	int r;

	if (fd == -EAGAIN)
		return;
	r = fd < 0 ? fd : vhost_connection_open(&vh->connection, fd);
	if (r) {
		accept_failed(vh, r);
		return;
	}
	vh->failing = false;
	log_limited(&vh->connections, LOG_LEVEL_INFO,
		    "%s: a front end has connected", vh->disk.name);
}

static void somebody_came(struct loop_source *source, uint32_t events)
{
	struct vhost *vh = container_of(source, struct vhost, source);

	(void)events;
	if (!vhost_connection_is_open(&vh->connection))
		accept_one(vh);
	else
		log_limited(&vh->waiting, LOG_LEVEL_WARNING,
			    "%s: another front end waits until the present "
			    "one has gone",
			    vh->disk.name);
}

/* ---- what the session asks for ---- */

static int may_start(struct vhost_owner *owner)
{
	struct vhost *vh = container_of(owner, struct vhost, owner);

	/* Still ours, if it was about to be given away. */
	vh->giving = false;
	return vh->image_owner->ops->take(vh->image_owner);
}

static int serve(struct vhost_owner *owner, unsigned int queue)
{
	struct vhost *vh = container_of(owner, struct vhost, owner);
	struct thread_loop *thread = vh->thread_of[queue];

	return disk_serve_queue(&vh->disk, queue,
				thread ? &thread->loop : vh->loop,
				&vh->connection.session.transport);
}

static void resubmit(struct vhost_owner *owner, unsigned int queue)
{
	struct vhost *vh = container_of(owner, struct vhost, owner);

	disk_resubmit(&vh->disk, queue);
}

/* ---- what outlives this process ---- */

static uint32_t state(struct vhost_owner *owner)
{
	return vhost_state_of(&container_of(owner, struct vhost, owner)->disk);
}

static void begin_driver(struct vhost_owner *owner)
{
	vhost_state_begin(&container_of(owner, struct vhost, owner)->disk);
}

static void taken_over(struct vhost_owner *owner, const uint32_t *state,
		       bool chosen)
{
	vhost_state_take_over(&container_of(owner, struct vhost, owner)->disk,
			      state, chosen);
}

static void lost(struct block_image *image)
{
	struct vhost *vh = &the_vhost;

	(void)image;
	vhost_takeover_keep(&vh->connection.session);
}

/* ---- the end of the driver ---- */

static void stopped(struct vhost_owner *owner)
{
	struct vhost *vh = container_of(owner, struct vhost, owner);

	/* At our own end the image is closed. */
	if (!vh->ending)
		vh->giving = vh->image_owner->ops->give(vh->image_owner);
}

static bool is_quiet(struct vhost_owner *owner)
{
	return !container_of(owner, struct vhost, owner)->giving;
}

void vhost_given(void)
{
	struct vhost *vh = &the_vhost;

	vh->giving = false;
	vhost_session_wake(&vh->connection.session);
}

static void closed(struct vhost_owner *owner)
{
	struct vhost *vh = container_of(owner, struct vhost, owner);
	int r;

	vhost_state_end(&vh->disk);
	/* Where the start of a queue took the lock and failed. */
	if (is_quiet(owner))
		stopped(owner);
	if (vh->once) {
		loop_quit(vh->loop);
		return;
	}
	r = accept_next(vh);
	if (r)
		accept_failed(vh, r);
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

static int start_threads(struct vhost *vh, unsigned int n)
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

static void stop_threads(struct vhost *vh)
{
	while (vh->nthreads)
		thread_loop_stop(&vh->thread[--vh->nthreads]);
}

/* ---- life ---- */

static int open_disk(struct vhost *vh, char error[BLOCK_ERROR_MAX])
{
	const struct vhost_settings *settings = &vh->settings;

	queue_memory_init(&vh->memory, &vh->connection.session.regions);
	return disk_open(&vh->disk, settings->name, settings->image,
			 settings->options, &vh->memory.mem, error);
}

/* Listen, or talk to who is connected already. */
static int begin(struct vhost *vh)
{
	if (!vh->listener.connected) {
		vh->source = (struct loop_source){ .fd = vh->listener.fd,
						   .ready = somebody_came };
		vh->retry.due = accept_again;
		return watch_listener(vh);
	}
	vh->once = true;
	return vhost_connection_open(&vh->connection, vh->listener.fd);
}

static int cannot_serve(int r, char error[BLOCK_ERROR_MAX])
{
	if (r)
		snprintf(error, BLOCK_ERROR_MAX, "cannot serve: %s",
			 strerror(-r));
	return r;
}

static int open_session(struct vhost *vh, char error[BLOCK_ERROR_MAX])
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
	}
	return cannot_serve(r, error);
}

static void look_again(struct loop_timer *timer)
{
	loop_quit(container_of(timer, struct vhost, pause)->loop);
}

/*
 * Let the requests in flight finish, in the loop: it sees a second signal,
 * which ends that by vhost_abandon(). Nothing after this waits for the store.
 */
static void finish_requests(struct vhost *vh)
{
	unsigned int n = disk_in_flight(&vh->disk);
	int r = 0;

	if (n)
		log_info("%s: waiting for %u request%s in flight; a second "
			 "signal gives them up",
			 vh->disk.name, n, log_plural(n));
	vh->once = true;
	vh->ending = true;
	if (vh->serving)
		vhost_connection_close(&vh->connection);
	vh->pause.due = look_again;
	/* Not all of them are the session's. */
	while (r == 0 &&
	       (disk_in_flight(&vh->disk) ||
		(vh->serving && vhost_connection_is_open(&vh->connection)))) {
		loop_arm(vh->loop, &vh->pause, PAUSE_NS);
		r = loop_run(vh->loop);
	}
	loop_disarm(vh->loop, &vh->pause);
}

/* The loop goes on while what is left is done: nobody else shall come then. */
static void stop_listening(struct vhost *vh)
{
	loop_disarm(vh->loop, &vh->retry);
	if (vh->source.ready)
		loop_remove(vh->loop, &vh->source);
}

void vhost_drain(void)
{
	struct vhost *vh = &the_vhost;

	if (!vh->loop)
		return;
	stop_listening(vh);
	finish_requests(vh);
	stop_threads(vh);
	disk_close(&vh->disk);
}

void vhost_close(void)
{
	struct vhost *vh = &the_vhost;

	if (!vh->loop)
		return;
	if (vh->serving && !vhost_connection_is_open(&vh->connection))
		vhost_connection_finish(&vh->connection);
	/* A connected socket is the session's. */
	if (vh->listener.connected && vh->serving)
		vh->listener.fd = -1;
	vhost_socket_close(&vh->listener);
}

static void log_start(const struct vhost *vh)
{
	const struct vhost_settings *settings = &vh->settings;
	unsigned int nqueues = vh->disk.blk.dev.nqueues;
	unsigned int nthreads = vh->nthreads ? vh->nthreads : 1;

	log_info("%s: %" PRIu64 " MiB, %u queue%s, %u thread%s, on %s",
		 settings->options->file ? settings->options->file : "no file",
		 settings->image->size >> 20, nqueues, log_plural(nqueues),
		 nthreads, log_plural(nthreads),
		 settings->socket ? settings->socket : "an inherited socket");
	disk_log_keys(&vh->disk, settings->options);
}

/* Rather now than when a guest is there that uses all of it. */
static void check_descriptors(const struct vhost *vh)
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

int vhost_open(const struct vhost_settings *settings, struct loop *loop,
	       struct vhost_image_owner *owner, char error[BLOCK_ERROR_MAX])
{
	struct vhost *vh = &the_vhost;
	int r;

	vh->owner.ops = &owner_ops;
	vh->image_owner = owner;
	vh->settings = *settings;
	vh->once = settings->once;
	vhost_socket_init(&vh->listener);
	vh->loop = loop;
	r = open_disk(vh, error);
	/* Who finds the socket finds the disk. */
	if (r == 0)
		r = vhost_socket_open(&vh->listener, settings->socket,
				      settings->fd, error);
	return r ? r : open_session(vh, error);
}

int vhost_begin(char error[BLOCK_ERROR_MAX])
{
	struct vhost *vh = &the_vhost;
	int r = cannot_serve(begin(vh), error);

	if (r)
		return r;
	check_descriptors(vh);
	log_start(vh);
	return 0;
}

void vhost_resize(uint64_t bytes)
{
	disk_resize(&the_vhost.disk, bytes);
}

void vhost_abandon(void)
{
	struct vhost *vh = &the_vhost;

	/*
	 * No more than that: the store may still read and write the memory of
	 * what is in flight, and wherever it hangs, we would hang as well.
	 */
	if (vh->loop)
		vhost_socket_abandon(&vh->listener);
	_exit(1);
}

void vhost_log_stats(void)
{
	const struct vhost *vh = &the_vhost;

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
