/* SPDX-License-Identifier: MIT */
/*
 * Stores that do not answer; see disk/store_watch.h.
 *
 *	a queue starts requests, `sleeps` is set: cleared, the watcher is woken
 *	every LOOK_NS: look at all
 *	nothing to look at: `sleeps` is set, but one more look is made
 *	nothing then either: no timer any more
 *
 * The look after `sleeps` is set is what makes it right without a fence on the
 * data path: a queue that has not seen it set yet has shown its requests by
 * then, for that is seconds later.
 *
 * Failure: without a descriptor or a thread for it a disk cannot be opened.
 */
#include "disk/store_watch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/watcher.h"
#include "disk/op_name.h"

/* Between two looks. */
#define LOOK_NS (2 * NS_PER_SECOND)

/* A request that is not answered for so long is told of; again after this, */
#define LIMIT_NS (10 * NS_PER_SECOND)
/* ... and then after twice as long each time, up to this. */
#define PAUSE_MAX_NS (3600 * NS_PER_SECOND)

bool store_watch_sleeps = true;

/* There is one process. */
static struct {
	pthread_mutex_t lock; /* of the list, and of what who looks has */
	struct store_watch *first;
	struct loop_source wake; /* eventfd; while there is a disk */

	/* The watcher's: */
	struct loop *loop;
	struct loop_timer tick;
} watch = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* ---- looking ---- */

/* Whether there is anything to look at. */
static bool look_at_queue(struct store_watch_queue *q,
			  struct virtio_blk_queue *bq, uint64_t now_ns)
{
	uint64_t answered = virtio_blk_requests(bq);
	unsigned int n = __atomic_load_n(q->in_flight, __ATOMIC_RELAXED);
	bool moved = answered != q->answered;

	q->answered = answered;
	q->overdue = n ? virtqueue_marked(&bq->vq, &q->head) : 0;
	if (n && !q->overdue) {
		q->since_ns = now_ns;
		virtqueue_mark(&bq->vq);
	}
	return n || moved;
}

static bool is_overdue(const struct store_watch_queue *q, uint64_t now_ns)
{
	return q->overdue && now_ns - q->since_ns >= LIMIT_NS;
}

static void describe(const struct store_watch *w, unsigned int queue,
		     char text[96])
{
	const struct virtio_blk_queue *bq = &w->blk->queue[queue];
	const struct block_request *req =
		&bq->slots[w->queue[queue].head].block;
	unsigned int op = __atomic_load_n(&req->op, __ATOMIC_RELAXED);

	if (op == BLOCK_FLUSH)
		snprintf(text, 96, "; one is a flush");
	else
		snprintf(text, 96,
			 "; one is a %s of %" PRIu64 " bytes at %" PRIu64,
			 op_name(op),
			 __atomic_load_n(&req->length, __ATOMIC_RELAXED),
			 __atomic_load_n(&req->offset, __ATOMIC_RELAXED));
}

/* `n` requests are not answered, some of `queue` for the longest time. */
static void tell(struct store_watch *w, unsigned int queue, unsigned int n,
		 uint64_t now_ns)
{
	char one[96];

	w->since_ns = w->queue[queue].since_ns;
	if (!w->told)
		w->pause_ns = LIMIT_NS;
	else if (now_ns < w->next_ns)
		return;
	w->told = true;
	w->next_ns = now_ns + w->pause_ns;
	w->pause_ns = w->pause_ns < PAUSE_MAX_NS / 2 ? 2 * w->pause_ns :
						       PAUSE_MAX_NS;
	describe(w, queue, one);
	log_warning("%s: the store has not answered %u request%s for %" PRIu64
		    " s%s",
		    w->name, n, log_plural(n),
		    (now_ns - w->since_ns) / NS_PER_SECOND, one);
}

static void tell_end(struct store_watch *w, uint64_t now_ns)
{
	w->told = false;
	log_info("%s: the store answers again, after %" PRIu64 " s", w->name,
		 (now_ns - w->since_ns) / NS_PER_SECOND);
}

static bool look_at_disk(struct store_watch *w, uint64_t now_ns)
{
	unsigned int n = 0, first = 0;
	bool any = false;

	for (unsigned int i = 0; i < w->blk->dev.nqueues; i++) {
		struct store_watch_queue *q = &w->queue[i];

		any |= look_at_queue(q, &w->blk->queue[i], now_ns);
		if (!is_overdue(q, now_ns))
			continue;
		if (!n || q->since_ns < w->queue[first].since_ns)
			first = i;
		n += q->overdue;
	}
	if (n)
		tell(w, first, n, now_ns);
	else if (w->told)
		tell_end(w, now_ns);
	return any;
}

bool store_watch_look(uint64_t now_ns)
{
	bool any = false;

	pthread_mutex_lock(&watch.lock);
	for (struct store_watch *w = watch.first; w; w = w->next)
		any |= look_at_disk(w, now_ns);
	pthread_mutex_unlock(&watch.lock);
	return any;
}

/* ---- waking and sleeping ---- */

static void ticked(struct loop_timer *timer)
{
	bool slept = __atomic_load_n(&store_watch_sleeps, __ATOMIC_RELAXED);
	bool any = store_watch_look(clock_ns());

	if (any == slept)
		__atomic_store_n(&store_watch_sleeps, !any, __ATOMIC_RELAXED);
	if (any || !slept)
		loop_arm(watch.loop, timer, LOOK_NS);
}

static void woken(struct loop_source *source, uint32_t events)
{
	uint64_t n;

	(void)events;
	if (read(source->fd, &n, sizeof(n)) != sizeof(n))
		return;
	/* What was in flight before this is what came just now. */
	store_watch_look(clock_ns());
	loop_arm(watch.loop, &watch.tick, LOOK_NS);
}

__attribute__((cold, noinline)) void store_watch_wake(void)
{
	const uint64_t one = 1;

	/* Of several threads, one. */
	if (__atomic_exchange_n(&store_watch_sleeps, false, __ATOMIC_RELAXED))
		while (write(watch.wake.fd, &one, sizeof(one)) < 0 &&
		       errno == EINTR)
			continue;
}

/* ---- life ---- */

static int start(void)
{
	int r = watcher_start(&watch.loop);

	if (r)
		return r;
	watch.tick.due = ticked;
	watch.wake.ready = woken;
	watch.wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch.wake.fd < 0)
		return -errno;
	r = loop_add(watch.loop, &watch.wake, EPOLLIN);
	if (r)
		close(watch.wake.fd);
	return r;
}

/* In the watcher's thread. */
static void end(void *arg)
{
	(void)arg;
	loop_remove(watch.loop, &watch.wake);
	loop_disarm(watch.loop, &watch.tick);
}

/* Without the lock: the watcher may be waiting for it. */
static void stop(void)
{
	watcher_call(end, NULL);
	close(watch.wake.fd);
	__atomic_store_n(&store_watch_sleeps, true, __ATOMIC_RELAXED);
}

int store_watch_add(struct store_watch *w, const char *name,
		    struct virtio_blk *blk)
{
	int r = watch.first ? 0 : start();

	if (r)
		return r;
	w->name = name;
	w->blk = blk;
	pthread_mutex_lock(&watch.lock);
	w->next = watch.first;
	watch.first = w;
	pthread_mutex_unlock(&watch.lock);
	return 0;
}

void store_watch_remove(struct store_watch *w)
{
	struct store_watch **link = &watch.first;

	if (!w->blk)
		return;
	pthread_mutex_lock(&watch.lock);
	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	pthread_mutex_unlock(&watch.lock);
	w->blk = NULL;
	if (!watch.first)
		stop();
}
