/* SPDX-License-Identifier: MIT */
/*
 * A process; see instances/task.h.
 *
 * Its end is told by a pidfd, so that the number of a process which is no child
 * is not another one's meanwhile.
 *
 * Failure modes: a child that cannot be waited for is ended again at once; a
 * kernel without pidfd (before Linux 5.3) starts none. Where somebody has
 * ignored SIGCHLD for us nobody knows how a child has ended, but that.
 */
#include "instances/task.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Headers of that time lack it; it is the same on all machines. */
#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434
#endif

static void forget(struct task *task)
{
	if (task->source.fd < 0)
		return;
	loop_remove(task->loop, &task->source);
	close(task->source.fd);
	task->source.fd = -1;
	task->pid = 0;
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct task *task = container_of(source, struct task, source);
	int status = 0;

	(void)events;
	/* Where it is not ours to wait for, it has ended all the same. */
	if (task->pid && waitpid(task->pid, &status, WNOHANG) == 0)
		return;
	forget(task);
	task->ended(task, status);
}

void task_init(struct task *task, struct loop *loop,
	       void (*ended)(struct task *task, int status))
{
	*task = (struct task){
		.loop = loop,
		.source = { .fd = -1, .ready = ready },
		.ended = ended,
	};
}

static int follow(struct task *task, pid_t pid)
{
	int r;

	task->source.fd = (int)syscall(__NR_pidfd_open, pid, 0);
	if (task->source.fd < 0)
		return -errno;
	r = loop_add(task->loop, &task->source, EPOLLIN);
	if (r == 0)
		return 0;
	close(task->source.fd);
	task->source.fd = -1;
	return r;
}

/* Whether it has ended before it could be waited for. */
static bool is_dead(const struct task *task)
{
	struct pollfd pollfd = { .fd = task->source.fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

int task_follow(struct task *task, pid_t pid)
{
	int r = pid > 0 ? follow(task, pid) : -ESRCH;

	if (r == 0 && is_dead(task)) {
		forget(task);
		r = -ESRCH;
	}
	return r;
}

/* What we ignore or have blocked is for us. 0 or an errno. */
static int spawn(pid_t *pid, char *const *argv)
{
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r = posix_spawnattr_init(&attr);

	if (r)
		return r;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETSID);
	r = posix_spawnp(pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	return r;
}

int task_start(struct task *task, char *const *argv)
{
	pid_t pid = 0;
	int r = -spawn(&pid, argv);

	if (r)
		return r;
	r = follow(task, pid);
	if (r == 0) {
		task->pid = pid;
		return 0;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

bool task_runs(const struct task *task)
{
	return task->source.fd >= 0;
}

void task_forget(struct task *task)
{
	forget(task);
}
