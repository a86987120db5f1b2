/* SPDX-License-Identifier: MIT */
/*
 * The nursery, as a monitor sees it; see worker/nursery.h.
 *
 *	start	  an order with the worker's end of the link
 *	   |
 *	report	  how it has ended, or why there is none: gone()
 *
 * Failure modes: a nursery that has ended, by whatever, has no worker any more
 * that we know of; the one that ran sees the end of its link and leaves. None
 * is started from then on.
 */
#include "worker/nursery.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "link/socket.h"
#include "worker/nursery_process.h"

enum { HOW_MAX = 160 };

static struct nursery *of(struct worker_starter *starter)
{
	return container_of(starter, struct nursery, starter);
}

/* ---- how a worker has ended ---- */

static void describe(char how[HOW_MAX], const struct nursery_report *report)
{
	int value = report->value;

	if (report->what == NURSERY_NOT_FORKED)
		snprintf(how, HOW_MAX, "no process can be made: %s",
			 strerror(value));
	else if (report->what == NURSERY_NOT_EXECUTED)
		snprintf(how, HOW_MAX, "the program cannot be executed: %s",
			 strerror(value));
	else if (WIFSIGNALED(value))
		snprintf(how, HOW_MAX, "killed by signal %d (%s)",
			 WTERMSIG(value), strsignal(WTERMSIG(value)));
	else
		snprintf(how, HOW_MAX, "exit status %d", WEXITSTATUS(value));
}

/* 1: there is one. 0: not yet. Or a negative errno: the nursery is gone. */
static int take_report(struct nursery *n, struct nursery_report *report)
{
	int fds[LINK_FDS_MAX];
	unsigned int nfds;
	int r = link_socket_receive(n->source.fd, report, sizeof(*report), fds,
				    &nfds);

	if (r == -EAGAIN)
		return 0;
	if (r == (int)sizeof(*report) && nfds == 0)
		return 1;
	return r < 0 ? r : -EPIPE;
}

/* Its descriptor stays: another thread may be about to use it. */
static void lose(struct nursery *n, int error)
{
	if (n->dead)
		return;
	n->dead = true;
	if (n->loop)
		loop_remove(n->loop, &n->source);
	log_error("the process that starts workers is gone (%s): there will "
		  "be none any more",
		  strerror(-error));
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct nursery *n = container_of(source, struct nursery, source);
	char how[HOW_MAX] = "the process that started it is gone";
	struct nursery_report report;
	int r = take_report(n, &report);

	(void)events;
	if (r == 0)
		return;
	if (r == 1)
		describe(how, &report);
	else
		lose(n, r);
	if (n->starter.runs)
		worker_starter_tell_gone(&n->starter, how);
}

/* ---- the starter ---- */

static int order(struct nursery *n, enum nursery_verb verb, unsigned int domid,
		 int fd)
{
	const struct nursery_order order = { .verb = verb, .domid = domid };

	return link_socket_send(n->source.fd, &order, sizeof(order), &fd,
				fd >= 0);
}

static int start(struct worker_starter *starter, unsigned int domid, int fd)
{
	struct nursery *n = of(starter);
	int r = n->dead ? -EPIPE : order(n, NURSERY_START, domid, fd);

	close(fd);
	return r;
}

/*
 * That it is gone, if so, is told by its socket. One that cannot be told sees
 * the end of it, and kills what does not leave.
 */
static void kill_worker(struct worker_starter *starter)
{
	struct nursery *n = of(starter);

	if (order(n, NURSERY_KILL, 0, -1))
		shutdown(n->source.fd, SHUT_RDWR);
}

static void abandon(struct worker_starter *starter)
{
	order(of(starter), NURSERY_GIVE_UP, 0, -1);
}

static int wait_for_end(struct worker_starter *starter, uint64_t ns)
{
	struct nursery *n = of(starter);
	struct pollfd pollfd = { .fd = n->source.fd, .events = POLLIN };
	uint64_t now = clock_ns(), end = now + ns;
	struct nursery_report report;
	int r;

	while ((r = n->dead ? -EPIPE : take_report(n, &report)) == 0 &&
	       now < end) {
		/* Rounded up, for none is too short. */
		uint64_t ms = (end - now) / NS_PER_MS + 1;

		poll(&pollfd, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
		now = clock_ns();
	}
	if (r < 0)
		lose(n, r);
	return r == 1 ? 0 : r < 0 ? r : -ETIMEDOUT;
}

static const struct worker_starter_ops starter_ops = {
	.start = start,
	.kill = kill_worker,
	.wait = wait_for_end,
	.abandon = abandon,
};

/* ---- from the first to the last ---- */

int nursery_fork(struct nursery *n, const char *program,
		 const char *const *args)
{
	int fd[2], r = link_socket_pair(fd);
	pid_t pid;

	*n = (struct nursery){
		.starter.ops = &starter_ops,
		.source = { .fd = -1, .ready = ready },
	};
	if (r)
		return r;
	pid = fork();
	r = -errno;
	if (pid == 0)
		nursery_process_run(fd[1], program, args);
	close(fd[1]);
	if (pid < 0) {
		close(fd[0]);
		return r;
	}
	n->source.fd = fd[0];
	return 0;
}

int nursery_listen(struct nursery *n, struct loop *loop)
{
	int r = loop_add(loop, &n->source, EPOLLIN);

	if (r == 0)
		n->loop = loop;
	return r;
}

void nursery_close(struct nursery *n)
{
	if (n->source.fd < 0)
		return;
	if (n->loop && !n->dead)
		loop_remove(n->loop, &n->source);
	n->loop = NULL;
	n->dead = true;
	close(n->source.fd);
	n->source.fd = -1;
}
