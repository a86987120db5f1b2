/* SPDX-License-Identifier: MIT */
/*
 * One virtqueue of a vhost-user session; see vhost_user/vring.h.
 *
 * A kick only wakes the loop, whose poller looks at the ring; the eventfd is
 * watched edge-triggered and not read while the queue runs, which saves a
 * system call per kick. A kick that comes before the queue can start is passed
 * on to the session.
 *
 * Failure: a peer could send any descriptor and block us in read() or write()
 * with it. So nothing but an eventfd is accepted, and set to not block. The
 * peer can undo that: reads go without waiting anyway, and a write that blocks
 * is interrupted (vhost_user/write_guard.h). Such a descriptor is given up, and
 * the session with it.
 */
#include "vhost_user/vring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vhost_user/peer_fd.h"

/* Take `fd` as an eventfd: 0, or -EINVAL after closing it. */
static int check_eventfd(int fd)
{
	if (fd < 0)
		return 0;
	if (peer_fd_is_event(fd) &&
	    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0)
		return 0;
	peer_fd_close(fd);
	return -EINVAL;
}

/* Ring one of our own. */
static void ring(int fd)
{
	const uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	/* A full counter is a signal already. */
	(void)n;
}

/* Signal a descriptor of the front end, which is given up if it blocks. */
static void signal_fd(struct vring *v, struct guarded_write *w, int *fd)
{
	if (*fd < 0 || guarded_write_signal(w, *fd))
		return;
	close(*fd);
	*fd = -1;
	__atomic_store_n(&v->blocks, true, __ATOMIC_RELEASE);
	ring(v->wake_fd);
}

/* Take the kicks so far: who uses the eventfd next starts afresh. */
static void clear_fd(int fd)
{
	uint64_t n;
	const struct iovec iov = { .iov_base = &n, .iov_len = sizeof(n) };

	if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0)
		return;
}

static void kicked(struct loop_source *source, uint32_t events)
{
	struct vring *v = container_of(source, struct vring, kick);

	(void)events;
	if (trace_is_on(*v->trace))
		trace_notified(*v->trace, TRACE_KICK, v->index);
	if (v->vq->running)
		return; /* the poller does the rest */
	__atomic_store_n(&v->early_kick, true, __ATOMIC_RELEASE);
	ring(v->wake_fd);
}

void vring_init(struct vring *v, const struct regions *regions)
{
	queue_memory_init(&v->memory, regions);
	v->vq->mem = &v->memory.mem;
	v->size = 0;
	v->base = 0;
	v->has_addr = false;
	v->enabled = false;
	v->err_fd = -1;
	v->running = false;
	v->held = false;
	v->call_fd = -1;
	v->has_run = false;
	v->blocks = false;
	v->kick = (struct loop_source){ .fd = -1, .ready = kicked };
	v->early_kick = false;
}

/* What a call into the queue's thread is about. */
struct errand {
	struct vring *v;
	int fd;
	int result;
	/* Of a start. */
	struct virtq_rings rings;
	uint64_t features;
	void *inflight;
};

static void drop_kick(struct vring *v)
{
	if (v->kick.fd < 0)
		return;
	loop_remove(v->loop, &v->kick);
	clear_fd(v->kick.fd);
	close(v->kick.fd);
	v->kick.fd = -1;
}

static void set_kick(void *arg)
{
	struct errand *e = arg;
	struct vring *v = e->v;

	drop_kick(v);
	v->kick.fd = e->fd;
	__atomic_store_n(&v->early_kick, false, __ATOMIC_RELAXED);
	/* The loop looks at the ring after this call: no kick gets lost. */
	if (e->fd >= 0)
		e->result = loop_add(v->loop, &v->kick, EPOLLIN | EPOLLET);
	if (e->result == 0)
		return;
	/* A queue that hears no kicks is not ready. */
	close(e->fd);
	v->kick.fd = -1;
}

int vring_set_kick(struct vring *v, int fd)
{
	struct errand e = { .v = v, .fd = fd, .result = check_eventfd(fd) };

	if (e.result == 0)
		thread_loop_call(v->thread, set_kick, &e);
	return e.result;
}

static void set_call(void *arg)
{
	struct errand *e = arg;
	struct vring *v = e->v;

	if (v->call_fd >= 0)
		close(v->call_fd);
	v->call_fd = e->fd;
	/*
	 * What completed before may have been told to nobody: there was no
	 * descriptor, or one that the front end had put in for the time being.
	 */
	if (v->has_run)
		vring_notify(v);
}

int vring_set_call(struct vring *v, int fd)
{
	struct errand e = { .v = v, .fd = fd, .result = check_eventfd(fd) };

	if (e.result == 0)
		thread_loop_call(v->thread, set_call, &e);
	return e.result;
}

int vring_set_err(struct vring *v, int fd)
{
	int r = check_eventfd(fd);

	if (r)
		return r;
	if (v->err_fd >= 0)
		close(v->err_fd);
	v->err_fd = fd;
	if (vring_is_broken(v))
		vring_signal_error(v);
	return 0;
}

void vring_finish(struct vring *v)
{
	assert(!v->running);
	vring_set_kick(v, -1);
	vring_set_call(v, -1);
	vring_set_err(v, -1);
}

void vring_notify(struct vring *v)
{
	signal_fd(v, &v->call_write, &v->call_fd);
}

void vring_signal_error(struct vring *v)
{
	signal_fd(v, &v->err_write, &v->err_fd);
}

bool vring_blocks(const struct vring *v)
{
	return __atomic_load_n(&v->blocks, __ATOMIC_ACQUIRE);
}

bool vring_is_ready(const struct vring *v)
{
	return !v->running && v->size && v->has_addr && v->enabled &&
	       v->kick.fd >= 0;
}

/*
 * The ring may have been written by a process before us that could not log it
 * any more, and by the recovery.
 */
static void tell_log(struct vring *v)
{
	const struct virtqueue *vq = v->vq;
	const struct vring_bytes bytes = vring_bytes(vq->size, vq->packed);
	struct guest_memory *mem = &v->memory.mem;

	guest_memory_written(mem, vq->rings.used, bytes.device);
	if (vq->packed)
		guest_memory_written(mem, vq->rings.desc, bytes.desc);
}

static void start(void *arg)
{
	struct errand *e = arg;
	struct vring *v = e->v;
	struct virtqueue *vq = v->vq;
	bool is_new = virtq_inflight_is_new(e->inflight);

	v->lost = 0;
	e->result = v->owner->ops->serve(v->owner, v->index);
	if (e->result)
		return;
	e->result = virtqueue_start(vq, &e->rings, v->size, e->features,
				    v->base, e->inflight);
	if (e->result)
		return;
	if (!is_new)
		e->result = virtqueue_recover(vq);
	else
		v->lost = virtqueue_continue_used(vq);
	if (e->result < 0) {
		virtqueue_stop(vq);
		return;
	}
	if (e->result > 0)
		v->owner->ops->resubmit(v->owner, v->index);
	/*
	 * A process before us may have died before it notified, at any position
	 * of the ring. A notification too many does no harm.
	 */
	v->has_run = true;
	tell_log(v);
	vring_notify(v);
	e->result = 0;
}

static bool map_rings(const struct vring *v, bool packed,
		      struct virtq_rings *rings)
{
	const struct vring_bytes bytes = vring_bytes(v->size, packed);
	const struct regions *regions = v->memory.regions;

	rings->desc = regions_from_user(regions, v->addr.desc, bytes.desc);
	rings->avail = regions_from_user(regions, v->addr.avail, bytes.driver);
	rings->used = regions_from_user(regions, v->addr.used, bytes.device);
	return rings->desc && rings->avail && rings->used;
}

bool vring_is_mapped(const struct vring *v, bool packed)
{
	struct virtq_rings rings;

	return map_rings(v, packed, &rings);
}

bool vring_is_taken_over(const struct vring *v, bool packed,
			 const void *inflight)
{
	const uint64_t features = packed ?
					  VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) :
					  0;
	struct virtq_rings rings;
	const struct vring_used *used;

	if (!virtq_inflight_is_new(inflight) ||
	    v->base != virtqueue_fresh_base(features))
		return true;
	if (packed || !map_rings(v, packed, &rings))
		return false;
	used = rings.used;
	return __atomic_load_n(&used->idx, __ATOMIC_RELAXED) != 0;
}

int vring_start(struct vring *v, uint64_t features, void *inflight)
{
	bool packed = features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	struct errand e = {
		.v = v,
		.features = features,
		.inflight = inflight,
	};

	assert(vring_is_ready(v));
	if (!map_rings(v, packed, &e.rings))
		return -EINVAL;
	/* A region goes only while every queue stands still. */
	queue_memory_forget(&v->memory);
	v->memory.log_in_place = packed;
	v->memory.log_used = v->addr.flags & VHOST_VRING_LOG;
	v->memory.used_log = v->addr.log;
	thread_loop_call(v->thread, start, &e);
	v->running = e.result == 0;
	return e.result;
}

static void update_pause(void *arg)
{
	struct vring *v = arg;

	v->vq->paused = v->held || !v->enabled;
}

void vring_update_pause(struct vring *v)
{
	if (v->running)
		thread_loop_call(v->thread, update_pause, v);
}

static void look_drained(void *arg)
{
	struct errand *e = arg;

	e->result = e->v->vq->in_flight == 0;
}

bool vring_is_drained(struct vring *v)
{
	struct errand e = { .v = v };

	if (!v->running)
		return true;
	thread_loop_call(v->thread, look_drained, &e);
	return e.result;
}

static void stop(void *arg)
{
	struct vring *v = arg;

	v->base = virtqueue_base(v->vq);
	virtqueue_stop(v->vq);
}

void vring_stop(struct vring *v)
{
	if (!v->running)
		return;
	thread_loop_call(v->thread, stop, v);
	v->running = false;
}

static void look_broken(void *arg)
{
	struct errand *e = arg;

	e->result = e->v->vq->broken;
}

bool vring_is_broken(struct vring *v)
{
	struct errand e = { .v = v };

	if (v->running)
		thread_loop_call(v->thread, look_broken, &e);
	return e.result;
}
