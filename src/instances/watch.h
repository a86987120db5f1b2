/* SPDX-License-Identifier: MIT */
/*
 * The watcher: sees to it that every guest with virtio disks has an instance,
 * with no step before `xl create`.
 */
#ifndef INSTANCES_WATCH_H
#define INSTANCES_WATCH_H

#include "base/loop.h"
#include "config/command_line.h"

/*
 * Watch until loop_quit() is called; instances go on. `args` are the program's
 * words, but for the first, the watcher's own and the end. Returns the exit
 * status of the program. There is one in a process.
 */
int watch_serve(struct loop *loop, const struct options *options,
		char *const *args);

/* Log how many there are; look at all; end at once. */
void watch_log_stats(void);
void watch_look(void);
void watch_abandon(void) __attribute__((noreturn));

#endif
