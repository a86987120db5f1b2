/* SPDX-License-Identifier: MIT */
/* A process that is started, and waited for in the loop. */
#ifndef INSTANCES_TASK_H
#define INSTANCES_TASK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"

struct task {
	struct loop *loop;
	struct loop_source source; /* pidfd; -1: there is none */
	pid_t pid;                 /* of a child; 0: it is another's */
	/* It has ended; `status` as of waitpid(), of a child. From the loop. */
	void (*ended)(struct task *task, int status);
};

void task_init(struct task *task, struct loop *loop,
	       void (*ended)(struct task *task, int status));

/*
 * Execute `argv`, whose first word is looked for in PATH where it has no slash.
 * It has a session of its own, so that a terminal's signals are not for it, and
 * of our descriptors 0 to 2. None runs. 0 or a negative errno.
 */
int task_start(struct task *task, char *const *argv);

/* Wait for the end of a process that is no child. 0 or a negative errno. */
int task_follow(struct task *task, pid_t pid);

bool task_runs(const struct task *task);

/* Wait no more; the process goes on. None is allowed. */
void task_forget(struct task *task);

#endif
