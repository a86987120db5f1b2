/* SPDX-License-Identifier: MIT */
/*
 * What others see of the directory of state_dir.h: who serves a guest, and
 * whether a watcher starts instances for those who have none.
 */
#ifndef MONITOR_STATE_LOOK_H
#define MONITOR_STATE_LOOK_H

#include <stdbool.h>
#include <sys/types.h>

#include "monitor/state_dir.h"

/*
 * Whether a process serves the guest of this number, and which one: 0 if that
 * is not known. One that has died is among them while its worker leaves. Of
 * another guest than the one that `vm` tells nothing is said; NULL: any.
 */
bool state_look_serves(const struct state_dir *dir, unsigned int domid,
		       const char *vm, pid_t *pid);

/*
 * Whether whoever has the guest of this number has died, and has left a worker
 * that cannot end, as in a store that hangs. False: that is not known.
 */
bool state_look_is_left(const struct state_dir *dir, unsigned int domid);

/*
 * Be the watcher: a descriptor, to be kept open. Or a negative errno: -EBUSY,
 * there is another one.
 */
int state_look_claim(const struct state_dir *dir);

/* Whether there is a watcher. A closed directory is allowed: there is none. */
bool state_look_is_watched(const struct state_dir *dir);

#endif
