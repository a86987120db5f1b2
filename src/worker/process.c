/* SPDX-License-Identifier: MIT */
/*
 * The process of a worker; see worker/process.h.
 *
 *	handles	  Xen's, if it needs any, are opened, while there is anything
 *	   |	  to open
 *	   |
 *	confine	  all else is given up, before anything of the guest is seen
 *	   |
 *	listen	  to the link, until it ends or says so
 *	   |
 *	leave	  what is in flight ends, the guest goes on with the next one
 *
 * The watcher's thread (base/watcher.h) sees the end of the link as well, and
 * the signal by which a nursery has a worker give up: it ends the process where
 * the loop stands still in the store, or does not get done. So it does where
 * the loop is at one thing without end (worker/endless.h).
 *
 * Failure modes: what keeps it from serving is logged and is exit status 1. To
 * give up is status 1, too.
 */
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/watcher.h"
#include "worker/confine.h"
#include "worker/endless.h"
#include "worker/nursery_process.h"

/* As ps(1) shows it. */
#define PROCESS_NAME "vdisk-worker"

/*
 * How long it takes at most to leave once the monitor is gone. The next one
 * waits for that, and a nursery kills after twice as long.
 */
#define LEAVES_NS (2 * NS_PER_SECOND)

static struct {
	struct loop loop;
	const struct worker_process_kind *kind;

	/* The watcher's: */
	struct loop *watcher;
	struct loop_source link;    /* another descriptor of it */
	struct loop_source abandon; /* signalfd */
	struct loop_timer patience; /* armed by the end of the link */
} process = { .loop = { .epoll_fd = -1 } };

/* ---- the end ---- */

static void ended(void)
{
	loop_quit(&process.loop);
}

/* In the watcher's thread. */
static void give_up(void) __attribute__((noreturn));
static void give_up(void)
{
	if (process.kind->abandon)
		process.kind->abandon();
	log_flush();
	_exit(1);
}

static void told_to_abandon(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	give_up();
}

static void link_ended(struct loop_source *source, uint32_t events)
{
	(void)events;
	loop_remove(process.watcher, source);
	loop_arm(process.watcher, &process.patience, LEAVES_NS);
}

static void patience_over(struct loop_timer *timer)
{
	(void)timer;
	log_warning("the worker's monitor is gone, and the store does not "
		    "answer: ending without the requests in flight");
	give_up();
}

/* ---- the beginning ---- */

static bool is_link(int fd)
{
	int domain, type;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
	       domain == AF_UNIX && type == SOCK_SEQPACKET;
}

static int errno_of(long result)
{
	return result < 0 ? -errno : 0;
}

/* What the watcher needs, while it can be had. */
static int open_watched(void)
{
	sigset_t signals;

	process.link.ready = link_ended;
	process.abandon.ready = told_to_abandon;
	process.patience.due = patience_over;
	sigemptyset(&signals);
	sigaddset(&signals, NURSERY_ABANDON);
	process.abandon.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (process.abandon.fd < 0)
		return -errno;
	process.link.fd = fcntl(NURSERY_LINK_FD, F_DUPFD_CLOEXEC, 0);
	return errno_of(process.link.fd);
}

/* The end of a link is told without being asked for. */
static int watch(void)
{
	int r = watcher_start(&process.watcher);

	if (r == 0)
		r = loop_add(process.watcher, &process.abandon, EPOLLIN);
	if (r == 0)
		r = loop_add(process.watcher, &process.link, 0);
	if (r == 0)
		r = endless_watch(process.watcher);
	return r;
}

/* 0; or a negative errno, logged, and there is nothing but the process. */
static int begin(const struct worker_process_settings *settings)
{
	const struct confine_settings confine = {
		.calls = settings->kind->calls,
		.id = settings->id,
		.user = settings->user,
		.restrict_handles = settings->kind->restrict_handles,
		.domid = settings->domid,
	};
	int r = open_watched();

	process.kind = settings->kind;
	if (r == 0)
		r = loop_init(&process.loop);
	process.loop.polling.max_ns = settings->poll_max_ns;
	endless_open(&process.loop, settings->endless_ns ?
					    settings->endless_ns :
					    WORKER_ENDLESS_NS);
	if (r == 0)
		r = process.kind->open(&process.loop, NURSERY_LINK_FD, ended);
	if (r == 0 && settings->confined)
		r = confine_enter(&confine);
	/* Threads only now. */
	if (r == 0)
		r = watch();
	if (r == 0)
		r = log_detach();
	if (r)
		log_error("the worker cannot start: %s", strerror(-r));
	return r;
}

int worker_process_run(const struct worker_process_settings *settings)
{
	int r;

	if (!is_link(NURSERY_LINK_FD)) {
		log_error("--worker is for the processes that virtio-disk "
			  "starts itself: use --domain or --vhost-user");
		return 2;
	}
	prctl(PR_SET_NAME, PROCESS_NAME);
	fcntl(NURSERY_LINK_FD, F_SETFD, FD_CLOEXEC);
	if (!settings->confined)
		log_warning("the worker is not confined");
	r = begin(settings);
	if (r == 0)
		r = loop_run(&process.loop);
	if (r == 0)
		process.kind->close();
	loop_finish(&process.loop);
	return r ? 1 : 0;
}
