/* SPDX-License-Identifier: MIT */
/*
 * Starting a thread that may have to wait for the store, a peer or who reads
 * the log, so that no loop has to.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* Returns 0 or a negative errno. Who starts it joins or detaches it. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
