/* SPDX-License-Identifier: MIT */
/* An event loop in a thread of its own; see base/thread_loop.h. */
#include "base/thread_loop.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void stand_still(struct thread_loop *tl)
{
	tl->held = true;
	pthread_cond_broadcast(&tl->change);
	while (tl->hold)
		pthread_cond_wait(&tl->change, &tl->lock);
	tl->held = false;
	pthread_cond_broadcast(&tl->change);
}

static void posted(struct loop_source *source, uint32_t events)
{
	struct thread_loop *tl = container_of(source, struct thread_loop,
					      source);
	void (*call)(void *arg);
	uint64_t n;

	(void)events;
	if (read(source->fd, &n, sizeof(n)) != sizeof(n))
		return;
	pthread_mutex_lock(&tl->lock);
	call = tl->call;
	if (call) {
		/* The poster waits, so its argument stays. */
		pthread_mutex_unlock(&tl->lock);
		call(tl->arg);
		pthread_mutex_lock(&tl->lock);
		tl->call = NULL;
		pthread_cond_broadcast(&tl->change);
	}
	if (tl->hold)
		stand_still(tl);
	pthread_mutex_unlock(&tl->lock);
}

static void ring(struct thread_loop *tl)
{
	const uint64_t one = 1;

	while (write(tl->source.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
}

void thread_loop_call(struct thread_loop *tl, void (*call)(void *arg),
		      void *arg)
{
	if (!tl) {
		call(arg);
		return;
	}
	pthread_mutex_lock(&tl->lock);
	assert(tl->running && !tl->call && !tl->hold);
	tl->call = call;
	tl->arg = arg;
	ring(tl);
	while (tl->call)
		pthread_cond_wait(&tl->change, &tl->lock);
	pthread_mutex_unlock(&tl->lock);
}

void thread_loop_hold(struct thread_loop *tl)
{
	pthread_mutex_lock(&tl->lock);
	assert(tl->running && !tl->call && !tl->hold);
	tl->hold = true;
	ring(tl);
	while (!tl->held)
		pthread_cond_wait(&tl->change, &tl->lock);
	pthread_mutex_unlock(&tl->lock);
}

void thread_loop_release(struct thread_loop *tl)
{
	pthread_mutex_lock(&tl->lock);
	tl->hold = false;
	pthread_cond_broadcast(&tl->change);
	/* Or the next hold could take the end of this one for its own. */
	while (tl->held)
		pthread_cond_wait(&tl->change, &tl->lock);
	pthread_mutex_unlock(&tl->lock);
}

static void *run(void *arg)
{
	struct thread_loop *tl = arg;
	int r = loop_run(&tl->loop);

	assert(r == 0);
	(void)r;
	return NULL;
}

int thread_loop_start(struct thread_loop *tl, uint64_t poll_max_ns)
{
	int r;

	memset(tl, 0, sizeof(*tl));
	r = loop_init(&tl->loop);
	if (r)
		return r;
	tl->loop.polling.max_ns = poll_max_ns;
	tl->source.ready = posted;
	tl->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (tl->source.fd < 0) {
		r = -errno;
		goto err_after_loop;
	}
	r = loop_add(&tl->loop, &tl->source, EPOLLIN);
	if (r)
		goto err_after_eventfd;
	pthread_mutex_init(&tl->lock, NULL);
	pthread_cond_init(&tl->change, NULL);
	tl->running = true;
	r = -pthread_create(&tl->thread, NULL, run, tl);
	if (r == 0)
		return 0;
	tl->running = false;
	pthread_cond_destroy(&tl->change);
	pthread_mutex_destroy(&tl->lock);
err_after_eventfd:
	close(tl->source.fd);
err_after_loop:
	loop_finish(&tl->loop);
	assert(r < 0);
	return r;
}

static void quit(void *arg)
{
	loop_quit(arg);
}

void thread_loop_stop(struct thread_loop *tl)
{
	if (!tl->running)
		return;
	thread_loop_call(tl, quit, &tl->loop);
	pthread_join(tl->thread, NULL);
	tl->running = false;
	pthread_cond_destroy(&tl->change);
	pthread_mutex_destroy(&tl->lock);
	close(tl->source.fd);
	loop_finish(&tl->loop);
}
