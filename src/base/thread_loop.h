/* SPDX-License-Identifier: MIT */
/*
 * An event loop in a thread of its own.
 *
 * What belongs to the loop is touched by its thread only. Another thread,
 * always the same one, gets things done there by posting a call and waiting for
 * it; the call runs between two turns of the loop, so it finds everything at
 * rest.
 */
#ifndef BASE_THREAD_LOOP_H
#define BASE_THREAD_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct thread_loop {
	struct loop loop;
	pthread_t thread;
	bool running;
	struct loop_source source; /* eventfd: something was posted */
	pthread_mutex_t lock;      /* of the fields below */
	pthread_cond_t change;
	void (*call)(void *arg); /* posted and not yet done */
	void *arg;
	bool hold; /* wanted to stand still ... */
	bool held; /* ... and does */
};

/* Start a thread that runs a loop. 0 or a negative errno. */
int thread_loop_start(struct thread_loop *tl, uint64_t poll_max_ns);

/* Run `call` in the thread and wait for it. Without a thread (NULL): here. */
void thread_loop_call(struct thread_loop *tl, void (*call)(void *arg),
		      void *arg);

/* Make the thread stand still between two turns, until released. */
void thread_loop_hold(struct thread_loop *tl);
void thread_loop_release(struct thread_loop *tl);

/* End the thread and free; one that was never started (zeroed) is allowed. */
void thread_loop_stop(struct thread_loop *tl);

#endif
