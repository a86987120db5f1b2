/* SPDX-License-Identifier: MIT */
/*
 * One thread that goes on where loops stand still.
 *
 * A loop may be held up, by its store or by a peer. What has to be done then
 * all the same is done here, in one loop for all who need it: it costs a
 * process one thread. Nothing that it does waits for anything but memory and
 * time, and it never polls.
 */
#ifndef BASE_WATCHER_H
#define BASE_WATCHER_H

#include "base/loop.h"

/*
 * Start the thread, unless it runs already; it stays until the process ends,
 * and takes no signals. Its loop is stored: but for loop_add(), what belongs to
 * it is touched in its thread only. 0 or a negative errno.
 */
int watcher_start(struct loop **loop);

/*
 * Run `call` in the thread and wait for it. From any other thread, once the
 * watcher is started.
 */
void watcher_call(void (*call)(void *arg), void *arg);

#endif
