/* SPDX-License-Identifier: MIT */
/*
 * A worker that is a part of this process, in the loop of its monitor. It
 * cannot be killed: where others are, it leaves its guest.
 */
#ifndef WORKER_LOCAL_H
#define WORKER_LOCAL_H

#include "base/loop.h"
#include "worker/starter.h"

/* There is one in a process. The starter is nobody's to free. */
struct worker_starter *worker_local(struct loop *loop);

#endif
