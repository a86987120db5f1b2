/* SPDX-License-Identifier: MIT */
/*
 * The thread that goes on; see base/watcher.h.
 *
 * Failure: there may be no more threads or descriptors when it is to start, and
 * then whoever needs it cannot start either.
 */
#include "base/watcher.h"

#include <pthread.h>
#include <signal.h>

#include "base/thread_loop.h"

/* There is one process. */
static struct {
	pthread_mutex_t lock; /* of who starts it or calls */
	struct thread_loop thread;
} watcher = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/* Signals are other threads' business, but for what a thread does itself. */
static int start(void)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = thread_loop_start(&watcher.thread, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int watcher_start(struct loop **loop)
{
	int r = 0;

	pthread_mutex_lock(&watcher.lock);
	if (!watcher.thread.running)
		r = start();
	pthread_mutex_unlock(&watcher.lock);
	*loop = &watcher.thread.loop;
	return r;
}

void watcher_call(void (*call)(void *arg), void *arg)
{
	pthread_mutex_lock(&watcher.lock);
	thread_loop_call(&watcher.thread, call, arg);
	pthread_mutex_unlock(&watcher.lock);
}
