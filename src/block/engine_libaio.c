/* SPDX-License-Identifier: MIT */
/*
 * The Linux AIO engine, for kernels or sandboxes without io_uring.
 *
 * queue() fills the request's iocb, commit() hands all of them to a thread of
 * the engine, the submitter, which gives them to the kernel in one io_submit.
 * The kernel posts a completion to a ring that is mapped into this process and
 * then rings the outbox's eventfd once for it; reap() reads the eventfd, then
 * the ring, without io_getevents. DISCARD and WRITE_ZEROES go to a helper
 * thread (see perform.c).
 *
 * The thread is there because io_submit blocks: on a buffered image for the
 * whole transfer, with O_DIRECT while the device's queue is full, while the
 * file system has to look up where the data is, and for a write as long as the
 * file system is frozen. Nobody else may stand still for that.
 *
 * Failure modes of submission, all in the submitter: in a shortage it waits a
 * little and tries again. When the kernel refuses an iocb, or a shortage lasts,
 * that one request fails and the rest goes on; it is posted to the outbox. Its
 * iocb is given back by reap(), as for one that went well.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <libaio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/thread.h"

#include "engines.h"
#include "outbox.h"
#include "transfer.h"
#include "worker_pool.h"

/* Threads for what works on ranges without data: see perform.c. */
#define LIBAIO_HELPERS 2u
/* Submissions refused in a row until they are failed ... */
#define LIBAIO_REFUSALS_MAX 1000u
/* ... and the time between two. */
#define LIBAIO_REFUSED_NS 1000000L

#define AIO_RING_MAGIC 0xa10a10a1u

/*
 * The completion ring as the kernel maps it (fs/aio.c), and what io_context_t
 * points to. The kernel writes tail, we write head.
 */
struct aio_ring {
	unsigned int id;
	unsigned int nr; /* events that fit */
	unsigned int head;
	unsigned int tail;
	unsigned int magic;
	unsigned int compat_features;
	unsigned int incompat_features;
	unsigned int header_length;
	struct io_event events[];
};

struct libaio {
	struct block_engine engine;
	io_context_t context;
	struct aio_ring *ring; /* the same, mapped */
	struct block_outbox outbox;
	struct block_worker_pool *pool;
	struct block_request_list aside; /* for the pool */
	unsigned int depth;
	unsigned int nfree;
	unsigned int nqueued;
	struct iocb *slots;   /* `depth` of them */
	struct iocb **free;   /* stack of unused slots */
	struct iocb **queued; /* since the last commit */

	/* The submitter's own. */
	struct iocb **batch;
	unsigned int refusals; /* submissions refused in a row */

	pthread_t submitter;
	bool has_submitter;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct iocb **pending; /* for the submitter */
	unsigned int npending;
	bool stop;
};

static struct libaio *to_libaio(struct block_engine *engine)
{
	return (struct libaio *)engine;
}

/*
 * Submission.
 */

static void prepare_transfer(struct libaio *aio, struct iocb *iocb,
			     const struct block_request *req)
{
	bool read = req->op == BLOCK_READ;
	int fd = aio->engine.image->fd;
	struct block_transfer t;
	long long offset;

	block_transfer_next(req, &t);
	offset = (long long)t.offset;
	if (t.niov == 0 && read)
		io_prep_pread(iocb, fd, t.base, t.len, offset);
	else if (t.niov == 0)
		io_prep_pwrite(iocb, fd, t.base, t.len, offset);
	else if (read)
		io_prep_preadv(iocb, fd, t.iov, (int)t.niov, offset);
	else
		io_prep_pwritev(iocb, fd, t.iov, (int)t.niov, offset);
	if (block_transfer_is_dsync(aio->engine.image, req))
		iocb->aio_rw_flags = RWF_DSYNC;
}

/* Queue the iocb for what is next of a request. */
static void prepare_slot(struct libaio *aio, struct block_request *req)
{
	struct iocb *iocb = req->engine_data;

	if (!iocb) {
		assert(aio->nfree > 0);
		iocb = aio->free[--aio->nfree];
		req->engine_data = iocb;
	}
	prepare_transfer(aio, iocb, req);
	io_set_eventfd(iocb, aio->outbox.fd);
	iocb->data = req;
	aio->queued[aio->nqueued++] = iocb;
}

/* For a request that is done; one that never had an iocb is allowed. */
static void release(struct libaio *aio, struct block_request *req)
{
	if (req->engine_data)
		aio->free[aio->nfree++] = req->engine_data;
	req->engine_data = NULL;
}

/*
 * The submitter, after `error` for the first of its iocbs: true if it was taken
 * out and the rest can go on, false if all have to try again.
 */
static bool refused(struct libaio *aio, struct iocb *first, int error)
{
	static const struct timespec pause = { .tv_nsec = LIBAIO_REFUSED_NS };
	bool shortage = error == -EAGAIN || error == -ENOMEM;
	struct block_request *req = first->data;

	if (shortage && ++aio->refusals <= LIBAIO_REFUSALS_MAX) {
		nanosleep(&pause, NULL);
		return false;
	}
	req->result = shortage ? -EIO : error;
	block_outbox_post(&aio->outbox, req);
	return true;
}

static void submit_slots(struct libaio *aio, unsigned int n)
{
	unsigned int done = 0;
	int rc;

	while (done < n) {
		rc = io_submit(aio->context, n - done, aio->batch + done);
		if (rc == -EINTR)
			continue;
		if (rc > 0) {
			done += (unsigned int)rc;
			aio->refusals = 0;
		} else if (refused(aio, aio->batch[done], rc ? rc : -EAGAIN)) {
			done++;
		}
	}
}

static void *submitter_main(void *arg)
{
	struct libaio *aio = arg;
	unsigned int n;

	pthread_mutex_lock(&aio->lock);
	for (;;) {
		n = aio->npending;
		if (n == 0 && aio->stop)
			break;
		if (n == 0) {
			pthread_cond_wait(&aio->work, &aio->lock);
			continue;
		}
		memcpy(aio->batch, aio->pending, n * sizeof(aio->batch[0]));
		aio->npending = 0;
		pthread_mutex_unlock(&aio->lock);
		submit_slots(aio, n);
		pthread_mutex_lock(&aio->lock);
	}
	pthread_mutex_unlock(&aio->lock);
	return NULL;
}

/* Hand over what was queued. */
static void hand_over(struct libaio *aio)
{
	if (aio->nqueued == 0)
		return;
	pthread_mutex_lock(&aio->lock);
	memcpy(aio->pending + aio->npending, aio->queued,
	       aio->nqueued * sizeof(aio->queued[0]));
	aio->npending += aio->nqueued;
	aio->nqueued = 0;
	pthread_cond_signal(&aio->work);
	pthread_mutex_unlock(&aio->lock);
}

static void queue_request(struct block_engine *engine,
			  struct block_request *req)
{
	struct libaio *aio = to_libaio(engine);

	if (block_transfer_begin(aio->engine.image, req))
		block_outbox_put(&aio->outbox, req, req->result);
	else if (block_transfer_is_range(req))
		block_request_list_append(&aio->aside, req);
	else
		prepare_slot(aio, req);
}

static void commit_queued(struct block_engine *engine)
{
	struct libaio *aio = to_libaio(engine);

	hand_over(aio);
	block_worker_pool_submit(aio->pool, &aio->aside);
	block_outbox_announce(&aio->outbox);
}

/*
 * Completion.
 */

static bool ring_is_empty(const struct libaio *aio)
{
	/* Pairs with the kernel's store of tail after the event. */
	return aio->ring->head ==
	       __atomic_load_n(&aio->ring->tail, __ATOMIC_ACQUIRE);
}

static unsigned int take_events(struct libaio *aio,
				struct block_request_list *list,
				unsigned int max)
{
	struct aio_ring *ring = aio->ring;
	unsigned int n = 0;

	while (n < max && !ring_is_empty(aio)) {
		const struct io_event *event = &ring->events[ring->head];
		struct block_request *req = event->data;
		int64_t answer = (long)event->res;

		/* Pairs with the kernel's load of head: the event is ours no
		 * longer. */
		__atomic_store_n(&ring->head, (ring->head + 1) % ring->nr,
				 __ATOMIC_RELEASE);
		aio->outbox.balance++;
		if (block_transfer_advance(req, answer)) {
			release(aio, req);
			block_request_list_append(list, req);
			n++;
		} else {
			prepare_slot(aio, req);
		}
	}
	return n;
}

/* What was answered without the kernel, or flushed, or refused. */
static void take_outbox(struct libaio *aio, struct block_request_list *list,
			unsigned int max)
{
	struct block_request_list taken = { .head = NULL };
	struct block_request *req;

	block_outbox_take(&aio->outbox, &taken, max);
	for (req = taken.head; req; req = req->next)
		release(aio, req);
	block_request_list_splice(list, &taken);
}

static struct block_request *reap_done(struct block_engine *engine,
				       unsigned int max)
{
	struct libaio *aio = to_libaio(engine);
	struct block_request_list list = { .head = NULL };
	unsigned int n;

	if (block_outbox_is_idle(&aio->outbox) && aio->nqueued == 0 &&
	    ring_is_empty(aio) && !block_worker_pool_is_ready(aio->pool))
		return NULL;
	block_outbox_listen(&aio->outbox);
	n = take_events(aio, &list, max);
	n += block_worker_pool_take(aio->pool, &list, max - n);
	take_outbox(aio, &list, max - n);
	block_outbox_settle(&aio->outbox);
	/* What has to be continued. */
	commit_queued(engine);
	return list.head;
}

/*
 * Opening and closing.
 */

static int open_slots(struct libaio *aio)
{
	unsigned int i;

	aio->slots = calloc(aio->depth, sizeof(aio->slots[0]));
	aio->free = calloc(aio->depth, sizeof(aio->free[0]));
	aio->queued = calloc(aio->depth, sizeof(aio->queued[0]));
	aio->pending = calloc(aio->depth, sizeof(aio->pending[0]));
	aio->batch = calloc(aio->depth, sizeof(aio->batch[0]));
	if (!aio->slots || !aio->free || !aio->queued || !aio->pending ||
	    !aio->batch)
		return -ENOMEM;
	for (i = 0; i < aio->depth; i++)
		aio->free[i] = &aio->slots[i];
	aio->nfree = aio->depth;
	return 0;
}

static int open_context(struct libaio *aio)
{
	int rc = io_setup((int)aio->depth, &aio->context);

	if (rc)
		return rc;
	aio->ring = (struct aio_ring *)aio->context;
	/* A ring that this code does not understand: be another engine. */
	if (aio->ring->magic != AIO_RING_MAGIC ||
	    aio->ring->incompat_features != 0 ||
	    aio->ring->header_length != sizeof(*aio->ring))
		return -ENOSYS;
	return 0;
}

static void stop_submitter(struct libaio *aio)
{
	if (!aio->has_submitter)
		return;
	pthread_mutex_lock(&aio->lock);
	aio->stop = true;
	pthread_cond_signal(&aio->work);
	pthread_mutex_unlock(&aio->lock);
	pthread_join(aio->submitter, NULL);
}

static void close_engine(struct block_engine *engine)
{
	struct libaio *aio = to_libaio(engine);

	stop_submitter(aio);
	block_worker_pool_destroy(aio->pool);
	if (aio->context)
		io_destroy(aio->context);
	block_outbox_finish(&aio->outbox);
	pthread_cond_destroy(&aio->work);
	pthread_mutex_destroy(&aio->lock);
	free(aio->batch);
	free(aio->pending);
	free(aio->queued);
	free(aio->free);
	free(aio->slots);
	free(aio);
}

static const struct block_engine_ops aio_ops = {
	.queue = queue_request,
	.commit = commit_queued,
	.reap = reap_done,
	.close = close_engine,
};

static int open_engine(struct block_engine **engine,
		       const struct block_image *image, unsigned int depth)
{
	struct libaio *aio;
	int rc;

	aio = calloc(1, sizeof(*aio));
	if (!aio)
		return -ENOMEM;
	aio->engine.kind = &block_engine_libaio;
	aio->engine.ops = &aio_ops;
	aio->engine.image = image;
	aio->depth = depth;
	pthread_mutex_init(&aio->lock, NULL);
	pthread_cond_init(&aio->work, NULL);
	rc = block_outbox_init(&aio->outbox);
	aio->engine.fd = aio->outbox.fd;
	aio->engine.outbox = &aio->outbox;
	if (rc == 0)
		rc = open_slots(aio);
	if (rc == 0)
		rc = open_context(aio);
	if (rc == 0)
		rc = block_worker_pool_create(&aio->pool, image, &aio->outbox,
					      LIBAIO_HELPERS);
	if (rc == 0)
		rc = thread_start(&aio->submitter, submitter_main, aio);
	if (rc) {
		close_engine(&aio->engine);
		return rc;
	}
	aio->has_submitter = true;
	*engine = &aio->engine;
	return 0;
}

const struct block_engine_kind block_engine_libaio = {
	.name = "libaio",
	.batch = 16,
	.for_direct = true,
	.open = open_engine,
};
