/* SPDX-License-Identifier: MIT */
/*
 * Starting a thread that waits for the store so that no loop has to.
 */
#ifndef BLOCK_THREAD_H
#define BLOCK_THREAD_H

#include <pthread.h>

/* Returns 0 or a negative errno. Who starts it joins it. */
int block_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
