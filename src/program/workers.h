/* SPDX-License-Identifier: MIT */
/* Who makes workers, by the command line. */
#ifndef PROGRAM_WORKERS_H
#define PROGRAM_WORKERS_H

#include <stdbool.h>

#include "base/loop.h"
#include "config/command_line.h"

struct worker_starter;

/*
 * Where workers are processes, fork who starts them: in the only thread, before
 * signals, filter and anything that is opened. 0 or a negative errno.
 */
int workers_begin(const struct options *options);

/*
 * For a monitor in `loop`, of a guest or of vhost-user; NULL: it is not to be
 * had, which is logged.
 */
struct worker_starter *workers_starter(struct loop *loop, bool vhost);

/* No worker runs, or the process ends. */
void workers_finish(void);

/* The process is a worker: returns its exit status. */
int workers_run_one(const struct options *options);

#endif
