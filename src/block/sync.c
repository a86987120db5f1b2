/* SPDX-License-Identifier: MIT */
/*
 * Flushing an image.
 *
 * When the kernel could not write back what it had taken it has dropped the
 * dirty state, and says so once for each open of the file: to whichever
 * fdatasync or synchronous write on that descriptor looks next. The one after
 * it succeeds without having written anything. All engines of an image share
 * its descriptor. So all that flushes goes through one place, and one thread:
 *
 *   submit   a request joins those that wait
 *   thread   takes all that wait, does one fdatasync for all of them, notes a
 *            failure, and posts them to the outboxes of their engines
 *
 * Who comes while an fdatasync is under way waits for the next one: what it
 * wants to be stable may have been too late for this one. No loop ever waits,
 * and no engine for another one's loop.
 *
 * What has to be stable when it completes:
 *
 *   FLUSH                  submitted
 *   WRITE, page cache      written, then submitted: many share an fdatasync
 *   WRITE, O_DIRECT        RWF_DSYNC, which a device may do with a FUA write
 *   WRITE_ZEROES           done, then submitted
 *
 * A write with RWF_DSYNC may take the kernel's report along and is not waited
 * for. So fdatasync has another description, with a report of its own (part.c).
 * If there could be none, no write is made with RWF_DSYNC.
 *
 * A failure concerns what is dirty: writes that wait for their fdatasync, which
 * fail with it, and those that were acknowledged without having been stable. If
 * there is any of these the failure is for good (flush_error): every later
 * flush would lie. Else nothing that anybody relies on is lost, and the image
 * goes on; a store that was full may have room again. Two facts decide:
 *
 *   unstable   a plain write was acknowledged since the last good fdatasync
 *              began. True at first, for an earlier process may have done it
 *   failures   counts up; a request has it from when it was queued (`seen`).
 *              One that saw less was in flight then, and its data may be what
 *              was dropped: a stable write fails, a plain one is about to be
 *              acknowledged, which makes the failure one for good
 *
 * The thread is started by the first who needs it, for most disks are idle.
 *
 * Failure modes: a store that hangs holds the thread, and what waits for it;
 * nothing else. Where no thread can be had, the caller flushes, and the next
 * one tries again: a loop that stands still for a while is better than a driver
 * whose flush has failed.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"

#include "perform.h"
#include "request_list.h"
#include "sync.h"

struct block_sync {
	struct block_image *image;
	int fd; /* for fdatasync; the image's if not own */
	bool own;

	bool unstable; /* atomic */
	bool covering; /* atomic: ... since the one before */
	int error;     /* atomic: of the last failure */

	pthread_t thread;     /* if it is started */
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct block_request_list waiting; /* for the next fdatasync */
	struct block_request_list aside;   /* for block_perform() */
	bool started;
	bool stop;
};

/*
 * Failures.
 */

static void keep_error(struct block_sync *sync)
{
	int error = __atomic_load_n(&sync->error, __ATOMIC_SEQ_CST);
	struct block_image *image = sync->image;
	int none = 0;

	if (__atomic_compare_exchange_n(&image->flush_error, &none, error,
					false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST) &&
	    image->lost)
		image->lost(image);
}

void block_sync_note_failure(struct block_sync *sync, int error)
{
	__atomic_store_n(&sync->error, error, __ATOMIC_SEQ_CST);
	/* Before the look; pairs with the fence in block_sync_note_write(). */
	__atomic_fetch_add(&sync->image->failures, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&sync->unstable, __ATOMIC_SEQ_CST) ||
	    __atomic_load_n(&sync->covering, __ATOMIC_SEQ_CST))
		keep_error(sync);
}

void block_sync_note_write(struct block_sync *sync,
			   const struct block_request *req)
{
	if (!__atomic_load_n(&sync->unstable, __ATOMIC_RELAXED)) {
		__atomic_store_n(&sync->unstable, true, __ATOMIC_RELAXED);
		/* Before the look; pairs with block_sync_note_failure(). */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
	if (req->seen !=
	    __atomic_load_n(&sync->image->failures, __ATOMIC_RELAXED))
		keep_error(sync);
}

/*
 * The thread.
 */

static int flush_data(struct block_sync *sync)
{
	int rc;

	/* Before it begins: what is acknowledged from now on is for the next */
	__atomic_store_n(&sync->covering, true, __ATOMIC_SEQ_CST);
	if (!__atomic_exchange_n(&sync->unstable, false, __ATOMIC_SEQ_CST))
		__atomic_store_n(&sync->covering, false, __ATOMIC_SEQ_CST);
	do
		rc = fdatasync(sync->fd);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		rc = -errno;
		block_sync_note_failure(sync, rc);
	}
	__atomic_store_n(&sync->covering, false, __ATOMIC_SEQ_CST);
	return rc;
}

static int result_of(const struct block_sync *sync, int rc,
		     const struct block_request *req)
{
	const uint32_t *failures = &sync->image->failures;

	/* The driver is not told that there is no such request. */
	if (rc)
		return rc == -EOPNOTSUPP ? -EIO : rc;
	return req->seen == __atomic_load_n(failures, __ATOMIC_SEQ_CST) ? 0 :
									  -EIO;
}

static void serve_waiting(struct block_sync *sync,
			  struct block_request_list *list)
{
	struct block_request *req;
	int rc;

	if (!list->head)
		return;
	rc = flush_data(sync);
	while ((req = block_request_list_pop(list))) {
		struct block_outbox *outbox = req->engine_data;

		req->engine_data = NULL;
		req->result = result_of(sync, rc, req);
		req->seen = BLOCK_SYNC_DONE;
		block_outbox_post(outbox, req);
	}
}

static void serve_aside(struct block_sync *sync, struct block_request *req)
{
	struct block_outbox *outbox = req->engine_data;

	req->engine_data = NULL;
	block_perform(sync->image, req);
	block_outbox_post(outbox, req);
}

/* Take all that waits, and one that is aside: false if there is nothing. */
static bool take_work(struct block_sync *sync, struct block_request_list *list,
		      struct block_request **aside)
{
	*list = sync->waiting;
	sync->waiting.head = NULL;
	*aside = block_request_list_pop(&sync->aside);
	return list->head || *aside;
}

static void serve(struct block_sync *sync, struct block_request_list *list,
		  struct block_request *aside)
{
	serve_waiting(sync, list);
	if (aside)
		serve_aside(sync, aside);
}

static void *syncer_main(void *arg)
{
	struct block_sync *sync = arg;
	struct block_request_list list;
	struct block_request *aside;

	pthread_mutex_lock(&sync->lock);
	for (;;) {
		if (take_work(sync, &list, &aside)) {
			pthread_mutex_unlock(&sync->lock);
			serve(sync, &list, aside);
			pthread_mutex_lock(&sync->lock);
			continue;
		}
		if (sync->stop)
			break;
		pthread_cond_wait(&sync->work, &sync->lock);
	}
	pthread_mutex_unlock(&sync->lock);
	return NULL;
}

/*
 * There is no thread to be had now. All who come meanwhile wait for the lock,
 * so that there is one fdatasync at a time here as well.
 */
static void serve_here(struct block_sync *sync)
{
	struct block_request_list list;
	struct block_request *aside;

	while (take_work(sync, &list, &aside))
		serve(sync, &list, aside);
}

static void add_waiter(struct block_sync *sync, struct block_request_list *list,
		       struct block_outbox *outbox, struct block_request *req)
{
	req->engine_data = outbox;
	pthread_mutex_lock(&sync->lock);
	block_request_list_append(list, req);
	if (!sync->started)
		sync->started = thread_start(&sync->thread, syncer_main,
					     sync) == 0;
	if (sync->started)
		pthread_cond_signal(&sync->work);
	else
		serve_here(sync);
	pthread_mutex_unlock(&sync->lock);
}

void block_sync_submit(struct block_sync *sync, struct block_outbox *outbox,
		       struct block_request *req)
{
	add_waiter(sync, &sync->waiting, outbox, req);
}

void block_sync_perform(struct block_sync *sync, struct block_outbox *outbox,
			struct block_request *req)
{
	add_waiter(sync, &sync->aside, outbox, req);
}

bool block_sync_has_own_report(const struct block_sync *sync)
{
	return sync->own;
}

int block_sync_fd(const struct block_sync *sync)
{
	return sync->own ? sync->fd : -1;
}

/*
 * Opening and closing.
 */

int block_sync_open(struct block_image *image, int fd)
{
	struct block_sync *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return -ENOMEM;
	sync->image = image;
	sync->unstable = true;
	sync->own = fd >= 0;
	sync->fd = sync->own ? fd : image->fd;
	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->work, NULL);
	image->sync = sync;
	return 0;
}

void block_sync_close(struct block_image *image)
{
	struct block_sync *sync = image->sync;

	if (!sync)
		return;
	image->sync = NULL;
	pthread_mutex_lock(&sync->lock);
	assert(!sync->waiting.head && !sync->aside.head);
	sync->stop = true;
	pthread_cond_signal(&sync->work);
	pthread_mutex_unlock(&sync->lock);
	if (sync->started)
		pthread_join(sync->thread, NULL);
	pthread_cond_destroy(&sync->work);
	pthread_mutex_destroy(&sync->lock);
	if (sync->own)
		close(sync->fd);
	free(sync);
}
