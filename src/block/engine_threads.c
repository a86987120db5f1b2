/* SPDX-License-Identifier: MIT */
/*
 * The threads engine: a pool of threads and blocking system calls. It works on
 * every kernel and every store, buffered ones first of all.
 *
 * queue() collects, commit() hands the batch to the pool, the pool rings the
 * outbox's eventfd, reap() collects from the pool.
 *
 * Failure modes: starting threads may fail, at open only. When all threads are
 * held by a store that hangs, requests wait in the pool's list.
 */
#include <errno.h>
#include <stdlib.h>

#include "engines.h"
#include "outbox.h"
#include "transfer.h"
#include "worker_pool.h"

/*
 * Enough to keep a disk's queue busy, few enough that a hundred guests can
 * have them.
 */
#define THREADS_MAX 8u

struct threads {
	struct block_engine engine;
	struct block_worker_pool *pool;
	struct block_outbox outbox;
	struct block_request_list queued; /* since the last commit */
};

static struct threads *to_threads(struct block_engine *engine)
{
	return (struct threads *)engine;
}

static void close_engine(struct block_engine *engine)
{
	struct threads *threads = to_threads(engine);

	block_worker_pool_destroy(threads->pool);
	block_outbox_finish(&threads->outbox);
	free(threads);
}

static void queue_request(struct block_engine *engine,
			  struct block_request *req)
{
	struct threads *threads = to_threads(engine);

	if (block_transfer_begin(threads->engine.image, req))
		block_outbox_put(&threads->outbox, req, req->result);
	else
		block_request_list_append(&threads->queued, req);
}

static void commit_queued(struct block_engine *engine)
{
	struct threads *threads = to_threads(engine);

	block_worker_pool_submit(threads->pool, &threads->queued);
	block_outbox_announce(&threads->outbox);
}

static struct block_request *reap_done(struct block_engine *engine,
				       unsigned int max)
{
	struct threads *threads = to_threads(engine);
	struct block_request_list list = { .head = NULL };
	unsigned int n;

	if (block_outbox_is_idle(&threads->outbox) &&
	    !block_worker_pool_is_ready(threads->pool))
		return NULL;
	block_outbox_listen(&threads->outbox);
	n = block_worker_pool_take(threads->pool, &list, max);
	block_outbox_take(&threads->outbox, &list, max - n);
	block_outbox_settle(&threads->outbox);
	return list.head;
}

static const struct block_engine_ops threads_ops = {
	.queue = queue_request,
	.commit = commit_queued,
	.reap = reap_done,
	.close = close_engine,
};

static int open_engine(struct block_engine **engine,
		       const struct block_image *image, unsigned int depth)
{
	struct threads *threads;
	int rc;

	threads = calloc(1, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	rc = block_outbox_init(&threads->outbox);
	if (rc)
		goto out;
	rc = block_worker_pool_create(&threads->pool, image, &threads->outbox,
				      depth < THREADS_MAX ? depth :
							    THREADS_MAX);
	if (rc)
		goto out;
	threads->engine.kind = &block_engine_threads;
	threads->engine.ops = &threads_ops;
	threads->engine.image = image;
	threads->engine.fd = threads->outbox.fd;
	threads->engine.outbox = &threads->outbox;
	*engine = &threads->engine;
	return 0;

out:
	close_engine(&threads->engine);
	return rc;
}

const struct block_engine_kind block_engine_threads = {
	.name = "threads",
	.batch = 16,
	.open = open_engine,
};
