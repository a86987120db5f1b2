/* SPDX-License-Identifier: MIT */
/*
 * A worker of a vhost-user disk that is a part of this process, in the loop of
 * its monitor. It cannot be killed: where others are, it leaves.
 */
#ifndef WORKER_VHOST_LOCAL_H
#define WORKER_VHOST_LOCAL_H

#include "base/loop.h"
#include "worker/starter.h"

/* There is one in a process, once. The starter is nobody's to free. */
struct worker_starter *vhost_local(struct loop *loop);

#endif
