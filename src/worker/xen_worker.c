/* SPDX-License-Identifier: MIT */
/*
 * The worker of a Xen guest: its IOREQ server, its mapped memory and its
 * devices; see worker/xen_worker.h. It knows no toolstack.
 *
 * The first disk that is attached brings up server and map cache, the last one
 * that ends takes them down. A disk's life is
 *
 *	state	event			what is done			next
 *	FREE	attach			server, device, window, queues	SERVED
 *	SERVED	detach			mark dead: nothing more is	CLOSING
 *					taken from its queues, its
 *					registers read as no device
 *	CLOSING	nothing is in flight	end(), see below		FREE
 *
 * and there is one way to end, whoever wants it:
 *
 *	drain	   the loop goes on; accesses of vCPUs are answered. Only who
 *	   |	   waits for a reset still waits: the store may write to memory
 *	   |	   that it would use for something else
 *	unmap	   rings, then the window; who waits is let go
 *	   |
 *	answer	   with the last disk, take_down(): Xen sends no more accesses,
 *	   |	   and those that it has sent are answered
 *	destroy	   the server, and then the guest's mappings
 *	   |
 *	tell	   the owner, who closes the image
 *
 * A process before this one may have left server and devices behind, in files.
 * Then xen_worker_begin() takes the server, and a disk that is awaited begins
 * otherwise:
 *
 *	adopt	   the device from its file, with what its driver knows
 *	   |
 *	window	   it is mapped, or is mapped again, and still awaited
 *	   |
 *	resume	   what waited happens, requests in flight are made again
 *	   |
 *	go on	   accesses that were sent meanwhile happen
 *	   |
 *	notify	   the interrupt is raised for what may not have been told
 *
 * and xen_worker_leave() is the end that leaves it like that for the next one.
 *
 * Failure modes: a disk that cannot be attached is refused with a reason; the
 * others are not affected. One that was awaited stays so: the owner may try
 * again, or disown it.
 */
#include "worker/xen_worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/shared_file.h"
#include "base/trace_area.h"
#include "disk/disk.h"
#include "xen/device.h"
#include "xen/mapcache.h"

/* Who went on with a disk so long ago has not ended on its requests. */
#define LASTS_NS (10 * NS_PER_SECOND)

enum device_state {
	DEVICE_FREE, /* this entry is */
	DEVICE_SERVED,
	DEVICE_CLOSING, /* waits for its requests in flight */
};

struct device {
	struct xen_worker *worker;
	enum device_state state;
	uint64_t id;
	struct disk disk;
	struct trace_ring *ring; /* mapped; or NULL */
	struct xen_device xen;
	struct loop_deferred drained;
};

_Static_assert((int)IOREQ_WINDOWS_MAX == (int)DISKS_MAX, "a row each");

struct xen_worker {
	struct loop *loop;
	struct xen_worker_owner *owner;
	struct xen_handles xen;
	unsigned int domid;
	struct ioreq_state *state; /* outlives the process; mapped; or NULL */
	bool up;                   /* server and cache are there */
	struct ioreq_server server;
	struct mapcache cache;
	struct loop_timer lasts; /* armed when a disk is adopted */
	int area_fd;             /* for rings of events; not owned; or -1 */
	bool traces;             /* all disks */
	struct device device[DISKS_MAX];
};

static void invalidate(struct ioreq_server *server)
{
	struct xen_worker *w = container_of(server, struct xen_worker, server);

	mapcache_invalidate(&w->cache);
}

/* The cache, and a server that is closed. 0 or a negative errno, logged. */
static int prepare(struct xen_worker *w)
{
	memset(&w->server, 0, sizeof(w->server));
	w->server.invalidate = invalidate;
	return mapcache_init(&w->cache, w->xen.memory, w->domid,
			     MAPCACHE_CHUNKS_DEFAULT);
}

/* Server and map cache, for the first disk. 0 or a negative errno, logged. */
static int bring_up(struct xen_worker *w)
{
	int r;

	if (w->up)
		return 0;
	r = prepare(w);
	if (r == 0)
		r = ioreq_server_open(&w->server, &w->xen, w->loop,
				      (domid_t)w->domid, w->state);
	if (r) {
		ioreq_server_close(&w->server);
		mapcache_finish(&w->cache);
		return r;
	}
	w->up = true;
	return 0;
}

/* Give server and map cache up, unless there is a disk that needs them. */
static void take_down(struct xen_worker *w)
{
	if (!w->up || ioreq_server_awaits_any(&w->server))
		return;
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (w->device[i].state != DEVICE_FREE)
			return;
	/* Its last answers may invalidate the cache. */
	ioreq_server_close(&w->server);
	mapcache_finish(&w->cache);
	w->up = false;
}

/* ---- what is noted of it ---- */

static void set_trace(struct device *d, bool on)
{
	disk_set_trace(&d->disk, on);
	for (unsigned int i = 0; i < d->disk.blk.dev.nqueues; i++)
		disk_switch_trace(&d->disk, i);
}

/* Of a disk that is open, before anything happens to it. */
static void begin_trace(struct device *d)
{
	struct xen_worker *w = d->worker;

	d->ring = trace_area_map(w->area_fd, (unsigned int)(d - w->device),
				 d->disk.name);
	d->disk.trace.ring = d->ring;
	set_trace(d, w->traces);
	trace_device(&d->disk.trace,
		     d->disk.state.adopted ? "is gone on with" : "is made");
}

static void end_trace(struct device *d)
{
	trace_area_unmap(d->ring);
	d->ring = NULL;
}

void xen_worker_trace(struct xen_worker *w, int area_fd, bool on)
{
	w->area_fd = area_fd;
	w->traces = on;
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (w->device[i].state != DEVICE_FREE)
			set_trace(&w->device[i], on);
}

/* ---- the end of a disk ---- */

/* After waiting for what is in flight if there is anything. */
static void end(struct device *d)
{
	loop_undefer(d->worker->loop, &d->drained);
	/* A vCPU that waits for a reset goes on after this, not before. */
	disk_drain(&d->disk);
	xen_device_close(&d->xen);
	trace_device(&d->disk.trace, "has ended");
	disk_close(&d->disk);
	end_trace(d);
	d->state = DEVICE_FREE;
	take_down(d->worker);
}

static void drained(struct loop_deferred *deferred)
{
	struct device *d = container_of(deferred, struct device, drained);
	struct xen_worker_owner *owner = d->worker->owner;

	if (disk_in_flight(&d->disk))
		return;
	end(d);
	owner->ops->ended(owner, d->id);
}

static void waits(struct disk *disk)
{
	struct device *d = container_of(disk, struct device, disk);
	struct xen_worker_owner *owner = d->worker->owner;

	owner->ops->waits(owner);
}

static struct device *find(struct xen_worker *w, uint64_t id)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (w->device[i].state != DEVICE_FREE && w->device[i].id == id)
			return &w->device[i];
	return NULL;
}

static struct device *free_entry(struct xen_worker *w)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (w->device[i].state == DEVICE_FREE)
			return &w->device[i];
	return NULL;
}

static void log_served(const struct device *d,
		       const struct xen_worker_disk *disk)
{
	const struct block_image *image = disk->image;

	log_info("%s: %s %s (%" PRIu64 " MiB, %s, %s, engine %s)", disk->name,
		 d->disk.state.adopted ? "going on with" : "serving",
		 disk->options->file ? disk->options->file : "null",
		 image->size >> 20, image->readonly ? "read-only" : "writable",
		 image->direct ? "O_DIRECT" : "page cache",
		 d->disk.queue[0].engine->kind->name);
	disk_log_keys(&d->disk, disk->options);
}

/* Answer for its window and serve its queues; as xen_worker_attach(). */
static int connect_device(struct device *d, const struct xen_worker_disk *disk,
			  char error[BLOCK_ERROR_MAX])
{
	struct xen_worker *w = d->worker;
	int r = xen_device_open(&d->xen, &w->server, &d->disk.blk.dev, disk->id,
				disk->base, disk->irq);

	d->xen.trace = &d->disk.trace;
	if (r == 0)
		r = disk_serve(&d->disk, w->loop, &d->xen.transport);
	if (r)
		snprintf(error, BLOCK_ERROR_MAX,
			 "cannot answer for guest address %#" PRIx64 ": %s",
			 disk->base,
			 r == -EINVAL && d->disk.state.adopted ?
				 "the guest knows it at another one, or with "
				 "another interrupt; start the guest anew" :
			 r == -EEXIST ? "another disk has it" :
					xen_error(-r));
	return r;
}

static int open_device(struct device *d, const struct xen_worker_disk *disk,
		       char error[BLOCK_ERROR_MAX])
{
	struct xen_worker *w = d->worker;
	int r = bring_up(w);

	if (r) {
		snprintf(error, BLOCK_ERROR_MAX, "no IOREQ server: %s",
			 xen_error(-r));
		return r;
	}
	r = disk_open_kept(&d->disk, disk->name, disk->image, disk->options,
			   &w->cache.memory, disk->state_fd,
			   disk->adopt && xen_worker_awaits(w, disk->id),
			   error);
	d->disk.waits = waits;
	if (r == 0) {
		begin_trace(d);
		r = connect_device(d, disk, error);
	}
	if (r == 0 && d->disk.state.adopted) {
		if (disk->broken)
			disk_give_up(&d->disk);
		disk_resume(&d->disk);
		xen_device_go_on(&d->xen);
		/* After it: an acknowledgement may be among what waited. */
		disk_notify_again(&d->disk);
		loop_arm(w->loop, &w->lasts, LASTS_NS);
	}
	return r;
}

/* ---- what outlives the process ---- */

/* The state in a file, which gets its size if it is empty. */
static int map_state(struct xen_worker *w, int fd, char error[BLOCK_ERROR_MAX])
{
	struct stat file;
	void *memory;
	int r = fstat(fd, &file) ? -errno : 0;

	if (r == 0 && file.st_size == 0)
		r = shared_file_make(fd, sizeof(*w->state));
	if (r == 0)
		r = shared_file_map(&memory, fd, sizeof(*w->state));
	if (r) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "the file for the state of the guest cannot be used: "
			 "%s",
			 r == -ENODATA ? "it is too short" : strerror(-r));
		return r;
	}
	w->state = memory;
	return 0;
}

static void unmap_state(struct xen_worker *w)
{
	if (w->state)
		munmap(w->state, sizeof(*w->state));
	w->state = NULL;
}

/* The server of the process before, if there is one; as xen_worker_begin(). */
static int take_server(struct xen_worker *w, char error[BLOCK_ERROR_MAX])
{
	const char *why = "there is no memory for its cache";
	int r = prepare(w);

	if (r == 0)
		r = ioreq_server_adopt(&w->server, &w->xen, w->loop,
				       (domid_t)w->domid, w->state, &why);
	if (r == 0) {
		w->up = true;
		return 0;
	}
	mapcache_finish(&w->cache);
	if (r == -ENOENT) {
		log_warning("domain %u: %s; its disks begin anew", w->domid,
			    why);
		return 0;
	}
	snprintf(error, BLOCK_ERROR_MAX,
		 "the state that the process before has left cannot be gone on "
		 "with: %s",
		 why);
	return r;
}

/* The guest before, of which no disk is left. */
static void end_guest(struct xen_worker *w)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		assert(w->device[i].state == DEVICE_FREE);
	if (w->up) {
		ioreq_server_close(&w->server);
		mapcache_finish(&w->cache);
	}
	w->up = false;
	unmap_state(w);
}

int xen_worker_begin(struct xen_worker *w, unsigned int domid, int state_fd,
		     char error[BLOCK_ERROR_MAX])
{
	int r = 0;

	end_guest(w);
	w->domid = domid;
	if (state_fd >= 0)
		r = map_state(w, state_fd, error);
	if (r == 0 && w->state && !ioreq_state_is_empty(w->state))
		r = take_server(w, error);
	if (r)
		unmap_state(w);
	return r;
}

bool xen_worker_awaits(const struct xen_worker *w, uint64_t id)
{
	return w->up && ioreq_server_awaits(&w->server, id);
}

unsigned int xen_worker_awaited(const struct xen_worker *w,
				uint64_t id[DISKS_MAX])
{
	return w->up ? ioreq_server_awaited(&w->server, id) : 0;
}

void xen_worker_disown(struct xen_worker *w, uint64_t id)
{
	if (!xen_worker_awaits(w, id))
		return;
	ioreq_server_disown(&w->server, id);
	take_down(w);
}

/* ---- attach, detach ---- */

int xen_worker_attach(struct xen_worker *w, const struct xen_worker_disk *disk,
		      char error[BLOCK_ERROR_MAX])
{
	struct device *d = free_entry(w);
	int r;

	assert(!find(w, disk->id));
	if (!disk->adopt)
		xen_worker_disown(w, disk->id);
	if (!d) {
		snprintf(error, BLOCK_ERROR_MAX, "more than %d disks",
			 DISKS_MAX);
		return -E2BIG;
	}
	memset(d, 0, sizeof(*d));
	d->worker = w;
	d->id = disk->id;
	d->drained.run = drained;
	d->state = DEVICE_SERVED;
	r = open_device(d, disk, error);
	if (r)
		end(d);
	else
		log_served(d, disk);
	return r;
}

void xen_worker_resize(struct xen_worker *w, uint64_t id, uint64_t bytes)
{
	struct device *d = find(w, id);

	if (d && d->state == DEVICE_SERVED)
		disk_resize(&d->disk, bytes);
}

void xen_worker_detach(struct xen_worker *w, uint64_t id)
{
	struct device *d = find(w, id);

	assert(d && d->state == DEVICE_SERVED);
	d->state = DEVICE_CLOSING;
	trace_device(&d->disk.trace, "is detached");
	disk_begin_close(&d->disk, w->loop, &d->drained);
}

static void lasted(struct loop_timer *timer)
{
	struct xen_worker *w = container_of(timer, struct xen_worker, lasts);

	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (w->device[i].state != DEVICE_FREE)
			disk_lasted(&w->device[i].disk);
}

int xen_worker_open(struct xen_worker **worker, struct loop *loop,
		    struct xen_worker_owner *owner)
{
	struct xen_worker *w = calloc(1, sizeof(*w));
	int r;

	*worker = NULL;
	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->owner = owner;
	w->lasts.due = lasted;
	w->area_fd = -1;
	r = xen_handles_open(&w->xen);
	if (r)
		free(w);
	else
		*worker = w;
	return r;
}

void xen_worker_close(struct xen_worker **worker)
{
	struct xen_worker *w = *worker;

	if (!w)
		return;
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (w->device[i].state != DEVICE_FREE)
			end(&w->device[i]);
	end_guest(w);
	loop_disarm(w->loop, &w->lasts);
	xen_handles_close(&w->xen);
	*worker = NULL;
	free(w);
}

/*
 * First the server, so that no access has an effect in a device that is left.
 * What it holds goes with the process; what it has mapped of the guest, when
 * nothing is in flight any more.
 */
void xen_worker_leave(struct xen_worker **worker)
{
	struct xen_worker *w = *worker;

	if (!w)
		return;
	assert(!w->up || w->state);
	if (w->up)
		ioreq_server_leave(&w->server);
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		struct device *d = &w->device[i];

		if (d->state == DEVICE_FREE)
			continue;
		loop_undefer(w->loop, &d->drained);
		disk_lasted(&d->disk);
		trace_device(&d->disk.trace, "is left");
		disk_leave(&d->disk);
		disk_close(&d->disk);
		end_trace(d);
	}
	if (w->up)
		mapcache_finish(&w->cache);
	w->up = false;
	unmap_state(w);
	loop_disarm(w->loop, &w->lasts);
	xen_handles_close(&w->xen);
	*worker = NULL;
	free(w);
}

/*
 * What is in flight may still be written to the guest's memory, so a vCPU that
 * waits for a reset must never go on. The others get a fault instead of
 * standing still. Where the loop stands still this is another thread, which
 * touches only what a loop that stands in the store's system call does not.
 */
void xen_worker_abandon(struct xen_worker *w)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		const struct disk *disk = &w->device[i].disk;
		unsigned int n = disk_in_flight(disk);

		if (!n)
			continue;
		if (w->state) {
			log_warning("%s: left with %u request%s in flight to "
				    "the next process",
				    disk->name, n, log_plural(n));
			continue;
		}
		w->server.in_flight = true;
		log_error("%s: given up with %u request%s in flight; destroy "
			  "the guest, it waits for them",
			  disk->name, n, log_plural(n));
	}
	if (w->up && !w->state)
		ioreq_server_end(&w->server);
}

void xen_worker_log_stats(const struct xen_worker *w)
{
	uint64_t requests = 0, failed = 0, interrupts = 0;

	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		const struct device *d = &w->device[i];

		if (d->state != DEVICE_SERVED)
			continue;
		interrupts += d->xen.interrupts;
		for (unsigned int q = 0; q < d->disk.blk.dev.nqueues; q++) {
			const struct virtio_blk_queue *bq =
				&d->disk.blk.queue[q];

			requests += virtio_blk_requests(bq);
			failed += virtio_blk_failed(bq);
		}
	}
	log_info("stats requests=%" PRIu64 " failed=%" PRIu64 " ioreqs=%" PRIu64
		 " notifications=%" PRIu64 " maps=%" PRIu64 " pages=%" PRIu64
		 " sleeps=%" PRIu64,
		 requests, failed, w->server.requests, interrupts,
		 w->cache.maps, w->cache.pages, w->loop->sleeps);
}
