/* SPDX-License-Identifier: MIT */
/*
 * Starting a thread that waits: with a small stack, and without signals, which
 * are other threads' business; but for SIGBUS, for a thread may
 * touch memory that a peer can take away (vhost_user/bus_guard.c).
 *
 * Failure modes: there may be no more threads; nothing is left behind then.
 */
#include "base/thread.h"

#include <signal.h>
#include <stddef.h>

/* The threads' frames are small; this leaves room for sanitizers. */
#define THREAD_STACK_SIZE ((size_t)256 * 1024)

int thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc = pthread_attr_init(&attr);

	if (rc)
		return -rc;
	pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
	sigfillset(&all);
	/* Raised by what the thread itself does; blocked, it would kill us. */
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}
