/* SPDX-License-Identifier: MIT */
/*
 * The Linux AIO engine, for kernels or sandboxes without io_uring.
 *
 * queue() fills the request's iocb, commit() gives all of them to the kernel in
 * one io_submit. The kernel posts a completion to a ring that is mapped into
 * this process and then rings the outbox's eventfd once for it; reap() reads
 * the eventfd, then the ring, without io_getevents. DISCARD and WRITE_ZEROES go
 * to a helper thread (see perform.c).
 *
 * Only O_DIRECT is asynchronous here: on a buffered image io_submit blocks.
 *
 * Failure modes of submission: on a shortage the iocbs wait in `pending` and go
 * with the next commit() or reap(); if nothing is in flight that would cause
 * one, the outbox is nudged. When the kernel refuses an iocb, or a shortage
 * lasts, that one request fails and the rest goes on.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "engines.h"
#include "outbox.h"
#include "transfer.h"
#include "worker_pool.h"

/* Threads for what works on ranges without data: see perform.c. */
#define LIBAIO_HELPERS 2u
/* Submissions refused in a row until they are failed. */
#define LIBAIO_REFUSALS_MAX 1000u

#define AIO_RING_MAGIC 0xa10a10a1u

/*
 * The completion ring as the kernel maps it (fs/aio.c), and what io_context_t
 * points to. The kernel writes tail, we write head.
 */
struct aio_ring {
	unsigned int id;
	unsigned int nr;	/* events that fit */
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
	const struct block_image *image;
	io_context_t context;
	struct aio_ring *ring;	/* the same, mapped */
	struct block_outbox outbox;
	struct block_worker_pool *pool;
	struct block_request_list aside;	/* for the pool */
	unsigned int inkernel;	/* iocbs taken by the kernel, not completed */
	unsigned int refusals;	/* submissions refused in a row */
	unsigned int depth;
	unsigned int nfree;
	unsigned int npending;
	struct iocb *slots;	/* `depth` of them */
	struct iocb **free;	/* stack of unused slots */
	struct iocb **pending;	/* queue of those to submit */
};

static struct libaio *libaio_of(struct block_engine *engine)
{
	return (struct libaio *)engine;
}

/*
 * Submission.
 */

static void libaio_prepare_transfer(struct libaio *aio, struct iocb *iocb,
				    const struct block_request *req)
{
	bool read = req->op == BLOCK_READ;
	int fd = aio->image->fd;
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
	if (block_transfer_is_dsync(aio->image, req))
		iocb->aio_rw_flags = RWF_DSYNC;
}

/* Put the iocb for what is next of a request on the pending queue. */
static void libaio_prepare(struct libaio *aio, struct block_request *req)
{
	struct iocb *iocb = req->engine_data;

	if (!iocb) {
		assert(aio->nfree > 0);
		iocb = aio->free[--aio->nfree];
		req->engine_data = iocb;
	}
	libaio_prepare_transfer(aio, iocb, req);
	io_set_eventfd(iocb, aio->outbox.fd);
	iocb->data = req;
	aio->pending[aio->npending++] = iocb;
}

static void libaio_release(struct libaio *aio, struct block_request *req)
{
	aio->free[aio->nfree++] = req->engine_data;
	req->engine_data = NULL;
}

/* The kernel refuses this request for good. */
static void libaio_refuse(struct libaio *aio, struct block_request *req,
			  int error)
{
	libaio_release(aio, req);
	block_outbox_put(&aio->outbox, req, error);
}

/*
 * After `error` for the first of the pending iocbs: true if it was taken out
 * and the rest can go on, false if all have to wait.
 */
static bool libaio_refused(struct libaio *aio, struct iocb *first, int error)
{
	bool shortage = error == -EAGAIN || error == -ENOMEM;

	if (shortage && ++aio->refusals <= LIBAIO_REFUSALS_MAX) {
		if (aio->inkernel == 0)
			block_outbox_nudge(&aio->outbox);
		return false;
	}
	libaio_refuse(aio, first->data, shortage ? -EIO : error);
	return true;
}

static void libaio_submit(struct libaio *aio)
{
	unsigned int done = 0;
	int rc;

	while (done < aio->npending) {
		rc = io_submit(aio->context, aio->npending - done,
			       aio->pending + done);
		if (rc == -EINTR)
			continue;
		if (rc > 0) {
			done += (unsigned int)rc;
			aio->inkernel += (unsigned int)rc;
			aio->refusals = 0;
			continue;
		}
		if (!libaio_refused(aio, aio->pending[done],
				    rc ? rc : -EAGAIN))
			break;
		done++;
	}
	aio->npending -= done;
	memmove(aio->pending, aio->pending + done,
		aio->npending * sizeof(aio->pending[0]));
}

static void libaio_queue(struct block_engine *engine, struct block_request *req)
{
	struct libaio *aio = libaio_of(engine);

	if (block_transfer_begin(aio->image, req))
		block_outbox_put(&aio->outbox, req, req->result);
	else if (block_transfer_is_range(req))
		block_request_list_append(&aio->aside, req);
	else
		libaio_prepare(aio, req);
}

static void libaio_commit(struct block_engine *engine)
{
	struct libaio *aio = libaio_of(engine);

	libaio_submit(aio);
	block_worker_pool_submit(aio->pool, &aio->aside);
	block_outbox_announce(&aio->outbox);
}

/*
 * Completion.
 */

static bool libaio_ring_is_empty(const struct libaio *aio)
{
	/* Pairs with the kernel's store of tail after the event. */
	return aio->ring->head ==
	       __atomic_load_n(&aio->ring->tail, __ATOMIC_ACQUIRE);
}

static unsigned int libaio_take(struct libaio *aio,
				struct block_request_list *list,
				unsigned int max)
{
	struct aio_ring *ring = aio->ring;
	unsigned int n = 0;

	while (n < max && !libaio_ring_is_empty(aio)) {
		const struct io_event *event = &ring->events[ring->head];
		struct block_request *req = event->data;
		int64_t answer = (long)event->res;

		/* Pairs with the kernel's load of head: the event is ours no
		 * longer. */
		__atomic_store_n(&ring->head, (ring->head + 1) % ring->nr,
				 __ATOMIC_RELEASE);
		aio->outbox.balance++;
		aio->inkernel--;
		if (block_transfer_advance(req, answer)) {
			libaio_release(aio, req);
			block_request_list_append(list, req);
			n++;
		} else {
			libaio_prepare(aio, req);
		}
	}
	return n;
}

static struct block_request *libaio_reap(struct block_engine *engine,
					 unsigned int max)
{
	struct libaio *aio = libaio_of(engine);
	struct block_request_list list = { .head = NULL };
	unsigned int n;

	if (block_outbox_is_idle(&aio->outbox) && aio->npending == 0 &&
	    libaio_ring_is_empty(aio) && !block_worker_pool_is_ready(aio->pool))
		return NULL;
	block_outbox_listen(&aio->outbox);
	n = libaio_take(aio, &list, max);
	n += block_worker_pool_take(aio->pool, &list, max - n);
	block_outbox_take(&aio->outbox, &list, max - n);
	block_outbox_settle(&aio->outbox);
	/* After the outbox was read, because this may ring it again. */
	libaio_commit(engine);
	return list.head;
}

/*
 * Opening and closing.
 */

static int libaio_open_slots(struct libaio *aio)
{
	unsigned int i;

	aio->slots = calloc(aio->depth, sizeof(aio->slots[0]));
	aio->free = calloc(aio->depth, sizeof(aio->free[0]));
	aio->pending = calloc(aio->depth, sizeof(aio->pending[0]));
	if (!aio->slots || !aio->free || !aio->pending)
		return -ENOMEM;
	for (i = 0; i < aio->depth; i++)
		aio->free[i] = &aio->slots[i];
	aio->nfree = aio->depth;
	return 0;
}

static int libaio_open_context(struct libaio *aio)
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

static void libaio_close(struct block_engine *engine)
{
	struct libaio *aio = libaio_of(engine);

	if (!engine)
		return;
	block_worker_pool_destroy(aio->pool);
	if (aio->context)
		io_destroy(aio->context);
	block_outbox_finish(&aio->outbox);
	free(aio->pending);
	free(aio->free);
	free(aio->slots);
	free(aio);
}

static int libaio_open(struct block_engine **engine,
		       const struct block_image *image, unsigned int depth)
{
	struct libaio *aio;
	int rc;

	if (image->fd < 0 || depth == 0)
		return -EINVAL;
	aio = calloc(1, sizeof(*aio));
	if (!aio)
		return -ENOMEM;
	aio->engine.ops = &block_engine_libaio;
	aio->image = image;
	aio->depth = depth;
	rc = block_outbox_init(&aio->outbox);
	aio->engine.fd = aio->outbox.fd;
	aio->engine.outbox = &aio->outbox;
	if (rc == 0)
		rc = libaio_open_slots(aio);
	if (rc == 0)
		rc = libaio_open_context(aio);
	if (rc == 0)
		rc = block_worker_pool_create(&aio->pool, image, &aio->outbox,
					      LIBAIO_HELPERS);
	if (rc) {
		libaio_close(&aio->engine);
		return rc;
	}
	*engine = &aio->engine;
	return 0;
}

const struct block_engine_ops block_engine_libaio = {
	.name = "libaio",
	.batch = 16,
	.open = libaio_open,
	.queue = libaio_queue,
	.commit = libaio_commit,
	.reap = libaio_reap,
	.close = libaio_close,
};
