/* SPDX-License-Identifier: MIT */
/*
 * Workers as processes of their own: who starts, ends and buries them is a
 * third process, the nursery. A filter of system calls is inherited by whatever
 * is executed, so a worker cannot come from a monitor, which has one already:
 * the nursery is forked before that, and does nothing else.
 *
 *	monitor		forks the nursery, asks it for workers
 *	   |
 *	nursery		forks and executes a worker, tells how it has ended
 *	   |
 *	worker		its standard descriptors, and one for its link
 *
 * The program of workers is opened with the nursery: where its file is replaced
 * meanwhile, a monitor and its workers are still of one version.
 */
#ifndef WORKER_NURSERY_H
#define WORKER_NURSERY_H

#include "base/loop.h"
#include "worker/starter.h"

struct nursery {
	struct worker_starter starter;
	struct loop *loop;         /* NULL: it is not listened to */
	struct loop_source source; /* of its socket; or -1 */
	bool dead;
};

/*
 * Fork it, in the process's only thread and before anything is opened that is
 * nobody else's business: it has standard descriptors and its socket. `program`
 * is a path; `args` are those of a worker, NURSERY_ARGS_MAX at most, from its
 * name on and with a NULL at their end, to which the guest's id is added. What
 * else it finds is in worker/nursery_process.h. 0 or a negative errno.
 */
int nursery_fork(struct nursery *nursery, const char *program,
		 const char *const *args);

/* Hear of workers' ends in `loop`: before one is started. 0 or -errno. */
int nursery_listen(struct nursery *nursery, struct loop *loop);

/* It ends, when its worker has. One that was not forked is allowed. */
void nursery_close(struct nursery *nursery);

#endif
