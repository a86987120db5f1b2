/* SPDX-License-Identifier: MIT */
/*
 * A worker whose loop does one thing without end, which nobody outside can
 * tell from one that has nothing to do: it ends itself, so that the next one
 * goes on.
 */
#ifndef WORKER_ENDLESS_H
#define WORKER_ENDLESS_H

#include <stdint.h>

struct loop;

/*
 * Have the process end with status 1 and a line in the log when `loop`, which
 * the calling thread runs, has looked at nothing for so much processor time of
 * that thread. It costs nothing while the loop sleeps. While there are no other
 * threads. Where that cannot be had there is a line in the log.
 */
void endless_open(struct loop *loop, uint64_t cpu_ns);

/* Watch for it in this loop, which is another thread's. As loop_add(). */
int endless_watch(struct loop *watcher);

#endif
