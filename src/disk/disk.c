/* SPDX-License-Identifier: MIT */
/*
 * One disk; see disk/disk.h.
 *
 * The data path is two one-way passes in a poller of each queue:
 *
 *	up:    reap all completions, answer each, publish once, notify at most
 *	       once
 *	down:  notifications off, pop a batch, commit once; notifications are on
 *	       again only when the loop goes to sleep
 *
 * A long row of requests goes down in batches, with a pass up between two: the
 * driver gets to work on the first answers while the others are under way. A
 * driver and a device that wait for each other's whole row work in turns, and
 * each sleeps while the other one works.
 *
 * Failures: an error of the store is the request's status and a log line, of
 * which a guest can cause only so many. A ring that breaks the rules stops this
 * device (NEEDS_RESET) and no other.
 */
/* Before the probes: see there. */
#define STAP_SDT_ARG_CONSTRAINT no

#include "base/clock.h"
#include "config/key_text.h"
#include "base/probe.h"
#include "disk/disk.h"
#include "disk/op_name.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REAP_MAX = 256, /* completions answered in one pass */
	BATCH_MAX = 64, /* requests started in one pass, about */
	/*
	 * ... and bytes: an engine that finds them in the page cache copies
	 * them there and then, while all else waits.
	 */
	BATCH_BYTES_MAX = 1 << 20,
	/* Processes that went on in a row and ended, before one is careful. */
	RESUMED_MAX = 3,
};

/* While the store is waited for in place, how often that is told. */
#define TELL_NS NS_PER_SECOND

/* What the probes call a disk. */
_Static_assert(offsetof(struct disk, name) == 0, "a disk begins with its name");

static void log_failure(struct disk_queue *dq, const struct block_request *req)
{
	int lost = req->op == BLOCK_READ ?
			   0 :
			   block_image_flush_error(dq->disk->image);

	/* The driver is told that the store cannot do it, and stops asking. */
	if (req->result == -EOPNOTSUPP && req->op >= BLOCK_DISCARD)
		return;
	/* Nobody waits for it any more. */
	if (req->result == -ECANCELED)
		return;
	log_limited(&dq->errors, LOG_LEVEL_ERROR,
		    "%s: %s of %" PRIu64 " bytes at %" PRIu64 " failed: %s%s%s",
		    dq->disk->name, op_name(req->op), req->length, req->offset,
		    strerror(-req->result),
		    lost ? "; what was written before may be lost, for the "
			   "store failed to flush it: " :
			   "",
		    lost ? strerror(-lost) : "");
}

/* Start what was queued. */
static void commit(struct disk_queue *dq)
{
	store_watch_begin(&dq->in_flight, dq->engine->inflight);
	block_engine_commit(dq->engine);
}

/*
 * The driver went over to write-through: make stable what was written before,
 * for no flush of the driver will. A failure is kept by the image.
 */
static void flush_once(struct disk_queue *dq)
{
	if (dq->flushing || !virtio_blk_take_flush(&dq->disk->blk))
		return;
	dq->flushing = true;
	dq->flush = (struct block_request){ .op = BLOCK_FLUSH };
	block_engine_queue(dq->engine, &dq->flush);
	commit(dq);
}

/*
 * Before the request is answered: what the store has lost the kernel tells
 * once, and whoever serves the disk after us has to know.
 */
static __attribute__((cold, noinline)) void
note_failure(struct disk_queue *dq, const struct block_request *req)
{
	struct disk *disk = dq->disk;
	int lost = __atomic_load_n(&disk->image->flush_error, __ATOMIC_SEQ_CST);

	if (lost)
		virtio_blk_note_flush_error(&disk->blk, lost);
	disk_trace_error(&dq->trace, req);
	log_failure(dq, req);
}

/* Whether the request is done with; else it has to go to the engine again. */
static bool answer(struct disk_queue *dq, struct block_request *req)
{
	if (req->result)
		note_failure(dq, req);
	if (req == &dq->flush) {
		dq->flushing = false;
		return true;
	}
	if (!virtio_blk_complete(req))
		return false;
	PROBE5(request_end, dq->disk, dq->index, *virtio_blk_head_of(req),
	       req->op, req->result);
	return true;
}

/* Answer what the engine has completed: true if there was anything. */
static bool pass_up(struct disk_queue *dq)
{
	struct block_request *req = block_engine_reap(dq->engine, REAP_MAX);
	bool any = req != NULL;
	bool again = false;

	while (req) {
		struct block_request *next = req->next;

		if (!answer(dq, req)) {
			block_engine_queue(dq->engine, req);
			again = true;
		}
		req = next;
	}
	if (again)
		block_engine_commit(dq->engine);
	return any;
}

static bool may_take(const struct disk_queue *dq)
{
	return virtio_device_takes(&dq->disk->blk.dev, dq->index);
}

/*
 * Hand what the driver made available to the engine, a batch at most. The first
 * batch of a row is the engine's smallest, for early answers; each further one
 * is twice as long, for they have the time in which the driver works on those.
 */
static void pass_down(struct disk_queue *dq)
{
	struct block_request *req = NULL;
	uint64_t bytes = 0;

	virtqueue_notify_off(&dq->bq->vq);
	for (unsigned int left = dq->batch; left && bytes < BATCH_BYTES_MAX;
	     left--) {
		req = virtio_blk_pop(dq->bq);
		if (!req)
			break;
		bytes += req->length;
		PROBE6(request_begin, dq->disk, dq->index,
		       *virtio_blk_head_of(req), req->op, req->offset,
		       req->length);
		block_engine_queue(dq->engine, req);
	}
	commit(dq);
	dq->batch = req && dq->batch < BATCH_MAX ? 2 * dq->batch :
						   dq->engine->kind->batch;
}

/* What waited for requests in flight happens, if none is left: true then. */
static bool settle(struct disk_queue *dq)
{
	struct virtio_device *dev = &dq->disk->blk.dev;

	if (dq->bq->vq.paused)
		return dq->bq->vq.in_flight == 0;
	return virtio_device_is_awaited(dev) && virtio_device_settle(dev);
}

/* The driver is told of a change, or that it has to reset the device. */
static void tell_config(struct disk *disk)
{
	struct virtio_device *dev = &disk->blk.dev;

	if (!virtio_device_take_config_change(dev))
		return;
	trace_look_reset(&disk->trace, virtio_device_wants_reset(dev));
	transport_notify_config(disk->transport);
}

/* What follows from the passes: notifications, and answers that waited. */
static void tell_driver(struct disk_queue *dq, bool completed)
{
	struct disk *disk = dq->disk;
	struct virtio_device *dev = &disk->blk.dev;
	struct transport *transport = disk->transport;

	if (virtqueue_publish(&dq->bq->vq))
		transport_notify_queue(transport, dq->index);
	if (completed && settle(dq))
		transport_stopped(transport);
	if (virtio_device_config_changed(dev))
		tell_config(disk);
}

static bool queue_poll(struct loop_poller *poller)
{
	struct disk_queue *dq = container_of(poller, struct disk_queue, poller);
	struct disk *disk = dq->disk;
	struct virtqueue *vq = &dq->bq->vq;
	bool completed = dq->engine->inflight && pass_up(dq);
	bool taken;

	/* Before more is started, which may take the engine a while. */
	if (completed) {
		store_watch_show(&dq->in_flight, dq->engine->inflight);
		tell_driver(dq, true);
	}
	/*
	 * What found no room to be mapped may find it after a completion; with
	 * nothing in flight here, after one of another queue or disk, which
	 * wakes this loop as well.
	 */
	taken = virtqueue_pending(vq) && may_take(dq) &&
		(!vq->starved || completed || !dq->engine->inflight);
	flush_once(dq);
	if (taken)
		pass_down(dq);
	if (taken || virtio_device_config_changed(&disk->blk.dev))
		tell_driver(dq, false);
	if (completed && disk->drained && !disk_in_flight(disk))
		loop_defer(dq->loop, disk->drained);
	return completed || (taken && !vq->starved);
}

static bool queue_rest(struct loop_poller *poller)
{
	struct disk_queue *dq = container_of(poller, struct disk_queue, poller);
	struct virtqueue *vq = &dq->bq->vq;

	if (!may_take(dq) || vq->starved)
		return true;
	return !virtqueue_notify_on(vq);
}

/*
 * The engine's descriptor woke the loop: the poller does the rest, but does not
 * look where nothing is in flight. Then it was rung after what it was rung for
 * had been collected, and would stay readable until the next request.
 */
static void engine_ready(struct loop_source *source, uint32_t events)
{
	struct disk_queue *dq = container_of(source, struct disk_queue, source);

	(void)events;
	if (!dq->engine->inflight)
		block_engine_reap(dq->engine, REAP_MAX);
}

static int open_engine(struct disk_queue *dq, const char *name)
{
	struct disk *disk = dq->disk;
	/* All of the ring, and a flush of our own. */
	int r = block_engine_open(&dq->engine, name, disk->image,
				  dq->bq->vq.size_max + 1u);

	if (r)
		return r;
	dq->batch = dq->engine->kind->batch;
	dq->source = (struct loop_source){ .fd = dq->engine->fd,
					   .ready = engine_ready };
	return 0;
}

/* The first engine is opened now, to know that it can be. */
static int queues_open(struct disk *disk, const struct disk_options *options)
{
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++) {
		struct disk_queue *dq = &disk->queue[i];

		dq->disk = disk;
		dq->index = i;
		dq->bq = &disk->blk.queue[i];
		dq->trace = (struct disk_trace){ .trace = &disk->trace,
						 .queue = i,
						 .bq = dq->bq,
						 .own = &dq->flush };
		disk->watch.queue[i].in_flight = &dq->in_flight;
		dq->poller = (struct loop_poller){ .poll = queue_poll,
						   .rest = queue_rest };
	}
	disk->any_engine = strcmp(options->engine, "auto") == 0;
	return open_engine(&disk->queue[0], options->engine);
}

int disk_open_kept(struct disk *disk, const char *name,
		   struct block_image *image,
		   const struct disk_options *options, struct guest_memory *mem,
		   int state_fd, bool adopt, char error[BLOCK_ERROR_MAX])
{
	const struct disk_state_setup setup = {
		.name = name,
		.image = image,
		.options = options,
		.mem = mem,
		.fd = state_fd,
	};
	int r;

	assert(options->engine && options->queues && options->queue_size);
	memset(disk, 0, sizeof(*disk));
	snprintf(disk->name, sizeof(disk->name), "%s", name);
	disk->trace.disk = disk->name;
	disk->image = image;
	r = adopt ? disk_state_adopt(&disk->state, &disk->blk, &setup, error) :
		    disk_state_make(&disk->state, &disk->blk, &setup, error);
	if (r)
		goto err;
	r = queues_open(disk, options);
	if (r) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "engine %s cannot be used with %s: %s",
			 options->engine,
			 options->file ? options->file : "this disk",
			 r == -ENOENT ? "this build does not have it" :
					strerror(-r));
		goto err;
	}
	r = store_watch_add(&disk->watch, disk->name, &disk->blk);
	if (r) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "the store cannot be watched: %s", strerror(-r));
		goto err;
	}
	return 0;

err:
	disk_close(disk);
	assert(r < 0);
	return r;
}

int disk_open(struct disk *disk, const char *name, struct block_image *image,
	      const struct disk_options *options, struct guest_memory *mem,
	      char error[BLOCK_ERROR_MAX])
{
	return disk_open_kept(disk, name, image, options, mem, -1, false,
			      error);
}

void disk_log_keys(const struct disk *disk, const struct disk_options *options)
{
	char *keys = log_enabled(LOG_LEVEL_DEBUG) ? key_text_dump(options) :
						    NULL;

	if (keys)
		log_debug("%s: %s", disk->name, keys);
	free(keys);
}

int disk_serve_queue(struct disk *disk, unsigned int queue, struct loop *loop,
		     struct transport *transport)
{
	const struct block_engine *first = disk->queue[0].engine;
	struct disk_queue *dq = &disk->queue[queue];
	int r = 0;

	assert(first);
	if (dq->loop)
		return 0;
	if (!dq->engine) {
		r = open_engine(dq,
				disk->any_engine ? "auto" : first->kind->name);
		if (r == 0 &&
		    strcmp(dq->engine->kind->name, first->kind->name) != 0)
			log_warning("%s: queue %u uses %s, for there is not "
				    "enough for one more %s",
				    disk->name, queue, dq->engine->kind->name,
				    first->kind->name);
	}
	if (r == 0)
		r = loop_add(loop, &dq->source, EPOLLIN);
	if (r)
		return r;
	disk_switch_trace(disk, queue);
	if (!disk->transport)
		disk->transport = transport;
	dq->loop = loop;
	loop_add_poller(loop, &dq->poller);
	return 0;
}

void disk_set_trace(struct disk *disk, bool on)
{
	__atomic_store_n(&disk->trace.on, on, __ATOMIC_RELAXED);
}

void disk_switch_trace(struct disk *disk, unsigned int queue)
{
	struct disk_queue *dq = &disk->queue[queue];

	disk_trace_switch(&dq->trace, &dq->engine);
}

int disk_serve(struct disk *disk, struct loop *loop,
	       struct transport *transport)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < disk->blk.dev.nqueues; i++)
		r = disk_serve_queue(disk, i, loop, transport);
	return r;
}

void disk_resubmit(struct disk *disk, unsigned int queue)
{
	struct disk_queue *dq = &disk->queue[queue];
	struct block_request *req;

	while ((req = virtio_blk_repop(dq->bq)))
		block_engine_queue(dq->engine, req);
	commit(dq);
	/* What could be answered at once was. */
	tell_driver(dq, false);
}

static void await_any(const struct disk *disk)
{
	struct pollfd p[VIRTIO_QUEUES_MAX];
	nfds_t n = 0;

	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		if (disk->queue[i].engine && disk->queue[i].engine->inflight)
			p[n++] = (struct pollfd){
				.fd = disk->queue[i].source.fd, .events = POLLIN
			};
	poll(p, n, 1000);
}

/* For who would think that this process hangs. */
static void tell_waits(struct disk *disk)
{
	uint64_t now = clock_ns();

	if (!disk->waits || now - disk->told_ns < TELL_NS)
		return;
	disk->told_ns = now;
	disk->waits(disk);
}

/* Of queues that no loop serves now, so that this is theirs no more. */
static bool any_in_flight(const struct disk *disk)
{
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		if (disk->queue[i].engine && disk->queue[i].engine->inflight)
			return true;
	return false;
}

/* Answer what all queues have completed: true if there was anything. */
static bool pass_all_up(struct disk *disk)
{
	bool any = false;

	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++) {
		struct disk_queue *dq = &disk->queue[i];

		if (!dq->engine || !dq->engine->inflight)
			continue;
		any |= pass_up(dq);
		store_watch_show(&dq->in_flight, dq->engine->inflight);
	}
	return any;
}

/* All at the same time: a request may wait for one of another queue. */
static void finish_all(struct disk *disk)
{
	while (any_in_flight(disk)) {
		if (!pass_all_up(disk))
			await_any(disk);
		tell_waits(disk);
	}
}

/*
 * As disk_resubmit(), each request for itself, for one of them seems to end
 * each process that does it. All else waits meanwhile.
 */
static void resubmit_alone(struct disk *disk, unsigned int queue)
{
	struct disk_queue *dq = &disk->queue[queue];
	struct block_request *req;

	while (virtio_blk_repop_alone(dq->bq, &req)) {
		if (req && req->result) {
			log_error("%s: processes have ended on this request: "
				  "it is answered with an error",
				  disk->name);
			answer(dq, req);
		} else if (req) {
			block_engine_queue(dq->engine, req);
			commit(dq);
		}
		finish_all(disk);
		/* First, or the next process would come to it again. */
		tell_driver(dq, false);
		virtio_blk_alone_done(&disk->blk);
	}
}

void disk_give_up(struct disk *disk)
{
	virtio_device_give_up(&disk->blk.dev);
}

static void log_given_up(const struct disk *disk)
{
	log_error("%s: processes that serve it end again and again: it needs a "
		  "reset (DEVICE_NEEDS_RESET), and until its driver resets it "
		  "no request is answered",
		  disk->name);
}

void disk_resume(struct disk *disk)
{
	struct virtio_device *dev = &disk->blk.dev;
	unsigned int resumed = virtio_blk_resumed(&disk->blk);

	assert(disk->state.adopted && disk->transport);
	virtio_device_resume(dev);
	/* Unless it was reset by what has waited. */
	if (virtio_device_is_given_up(dev)) {
		log_given_up(disk);
		return;
	}
	if (resumed > RESUMED_MAX)
		log_warning("%s: the last %u processes that went on with it "
			    "ended soon: what is in flight is done one by one",
			    disk->name, resumed - 1);
	for (unsigned int i = 0; i < dev->nqueues; i++) {
		if (resumed > RESUMED_MAX)
			resubmit_alone(disk, i);
		else
			disk_resubmit(disk, i);
	}
}

void disk_notify_again(struct disk *disk)
{
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		if (disk->blk.queue[i].vq.running)
			transport_notify_queue(disk->transport, i);
	transport_notify_config(disk->transport);
}

void disk_lasted(struct disk *disk)
{
	virtio_blk_lasted(&disk->blk);
}

void disk_resize(struct disk *disk, uint64_t bytes)
{
	if (virtio_blk_resize(&disk->blk, bytes) && disk->transport)
		tell_config(disk);
}

void disk_begin_close(struct disk *disk, struct loop *loop,
		      struct loop_deferred *drained)
{
	virtio_device_remove(&disk->blk.dev);
	disk->drained = drained;
	if (!disk_in_flight(disk))
		loop_defer(loop, drained);
}

unsigned int disk_in_flight(const struct disk *disk)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		n += __atomic_load_n(&disk->queue[i].in_flight,
				     __ATOMIC_RELAXED);
	return n;
}

static void queue_stop(struct disk_queue *dq)
{
	if (!dq->loop)
		return;
	loop_remove_poller(dq->loop, &dq->poller);
	loop_remove(dq->loop, &dq->source);
	dq->loop = NULL;
}

void disk_drain(struct disk *disk)
{
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		queue_stop(&disk->queue[i]);
	finish_all(disk);
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		if (disk->queue[i].bq)
			virtqueue_publish(&disk->queue[i].bq->vq);
	if (disk->state.memory && disk->state.area)
		virtio_device_stop(&disk->blk.dev);
}

void disk_leave(struct disk *disk)
{
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++) {
		virtqueue_set_leaves(&disk->blk.queue[i].vq, true);
		virtqueue_abandon(&disk->blk.queue[i].vq);
	}
	disk_drain(disk);
}

void disk_close(struct disk *disk)
{
	disk_drain(disk);
	store_watch_remove(&disk->watch);
	for (unsigned int i = 0; i < disk->blk.dev.nqueues; i++)
		block_engine_close(disk->queue[i].engine);
	disk_state_unmap(&disk->state);
	memset(disk, 0, sizeof(*disk));
}
