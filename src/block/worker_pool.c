/* SPDX-License-Identifier: MIT */
/*
 * Worker threads that do requests with blocking system calls.
 *
 * submit() puts a batch on `todo` under one lock and wakes as many idle workers
 * as there are requests. A worker takes one request, does it unlocked, puts it
 * on `done` and goes for the next without sleeping. The first to make `done`
 * not empty rings the engine's eventfd, so that a burst costs one ring.
 *
 * The ring comes last and outside of the lock, because it may put the engine's
 * thread on this CPU at once, which must then find everything ready and the
 * lock free. take() may so collect a request shortly before it has rung; the
 * outbox's balance knows (see outbox.h). `ready` repeats outside of the lock
 * whether `done` has something, for a look that costs no lock.
 *
 * Threads are started at once and never later, because a sandbox may forbid
 * starting any. Failure modes: creating fails and leaves nothing behind.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/thread.h"

#include "perform.h"
#include "worker_pool.h"

struct block_worker_pool {
	const struct block_image *image;
	struct block_outbox *outbox;
	bool ready; /* atomic */

	pthread_mutex_t lock; /* of all below, up to nthreads */
	pthread_cond_t work;  /* `todo` got something, or `stop` */
	struct block_request_list todo;
	struct block_request_list done;
	unsigned int idle; /* workers that wait for work */
	bool stop;

	unsigned int nthreads;
	pthread_t threads[];
};

/* Called and returns with the lock held. */
static void work_one(struct block_worker_pool *pool, struct block_request *req)
{
	bool first;

	pthread_mutex_unlock(&pool->lock);
	block_perform(pool->image, req);
	pthread_mutex_lock(&pool->lock);

	first = !pool->done.head;
	block_request_list_append(&pool->done, req);
	__atomic_store_n(&pool->ready, true, __ATOMIC_RELEASE);
	if (first) {
		pthread_mutex_unlock(&pool->lock);
		eventfd_write(pool->outbox->fd, 1);
		pthread_mutex_lock(&pool->lock);
	}
}

static void *worker_main(void *arg)
{
	struct block_worker_pool *pool = arg;
	struct block_request *req;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		req = block_request_list_pop(&pool->todo);
		if (req) {
			work_one(pool, req);
			continue;
		}
		if (pool->stop)
			break;
		pool->idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->idle--;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int block_worker_pool_create(struct block_worker_pool **poolp,
			     const struct block_image *image,
			     struct block_outbox *outbox, unsigned int nthreads)
{
	struct block_worker_pool *pool;
	int rc = 0;

	pool = calloc(1, sizeof(*pool) + nthreads * sizeof(pool->threads[0]));
	if (!pool)
		return -ENOMEM;
	pool->image = image;
	pool->outbox = outbox;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);

	while (rc == 0 && pool->nthreads < nthreads) {
		rc = thread_start(&pool->threads[pool->nthreads], worker_main,
				  pool);
		if (rc == 0)
			pool->nthreads++;
	}
	if (rc) {
		block_worker_pool_destroy(pool);
		return rc;
	}
	*poolp = pool;
	return 0;
}

void block_worker_pool_destroy(struct block_worker_pool *pool)
{
	unsigned int i;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	assert(!pool->todo.head && !pool->done.head);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->nthreads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void block_worker_pool_submit(struct block_worker_pool *pool,
			      struct block_request_list *list)
{
	const struct block_request *req;
	unsigned int wake = 0;

	if (!list->head)
		return;
	pthread_mutex_lock(&pool->lock);
	for (req = list->head; req && wake < pool->idle; req = req->next)
		wake++;
	block_request_list_splice(&pool->todo, list);
	while (wake--)
		pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

bool block_worker_pool_is_ready(struct block_worker_pool *pool)
{
	return __atomic_load_n(&pool->ready, __ATOMIC_ACQUIRE);
}

unsigned int block_worker_pool_take(struct block_worker_pool *pool,
				    struct block_request_list *list,
				    unsigned int max)
{
	unsigned int n;

	if (!block_worker_pool_is_ready(pool))
		return 0;
	pthread_mutex_lock(&pool->lock);
	n = block_request_list_move(list, &pool->done, max);
	if (!pool->done.head) {
		__atomic_store_n(&pool->ready, false, __ATOMIC_RELAXED);
		pool->outbox->balance++;
	}
	pthread_mutex_unlock(&pool->lock);
	return n;
}
