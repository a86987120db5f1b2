/* SPDX-License-Identifier: MIT */
/*
 * Endless loops; see worker/endless.h.
 *
 *	timer	of the thread's processor time: a signal, now and then while
 *	  |	there is work, and none while there is not
 *	watcher	has the loop looked at its descriptors since the last one?
 *	  |
 *	end	it has not
 *
 * A store that does not answer is waited for asleep, so that is not counted.
 *
 * Failure modes: a loop that waits for what never comes, in a deadlock, is not
 * found; it is when the monitor tells it something (worker/client.c).
 */
#include "worker/endless.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"

/* No other part of a worker has it. */
#define SIGNAL SIGPROF

static struct {
	struct loop *loop;
	struct loop_source source; /* signalfd; of the watcher */
	uint64_t looked_ns;        /* when the loop had looked, last time */
	uint64_t cpu_ns;
} endless;

static void elapsed(struct loop_source *source, uint32_t events)
{
	uint64_t looked_ns = __atomic_load_n(&endless.loop->looked_ns,
					     __ATOMIC_RELAXED);
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == sizeof(info))
		continue;
	if (looked_ns != endless.looked_ns) {
		endless.looked_ns = looked_ns;
		return;
	}
	log_error("the worker does one thing without end, for %u ms of "
		  "processor time: it ends, and the next one goes on",
		  (unsigned int)(endless.cpu_ns / NS_PER_MS));
	log_flush();
	_exit(1);
}

static int start_timer(uint64_t cpu_ns)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGNAL,
	};
	struct itimerspec every = {
		.it_interval.tv_sec = (time_t)(cpu_ns / NS_PER_SECOND),
		.it_interval.tv_nsec = (long)(cpu_ns % NS_PER_SECOND),
	};
	timer_t timer;

	every.it_value = every.it_interval;
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) ||
	    timer_settime(timer, 0, &every, NULL))
		return -errno;
	return 0;
}

static int open_signal(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGNAL);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		return -errno;
	endless.source.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return endless.source.fd < 0 ? -errno : 0;
}

void endless_open(struct loop *loop, uint64_t cpu_ns)
{
	int r = open_signal();

	endless.loop = loop;
	endless.cpu_ns = cpu_ns;
	endless.source.ready = elapsed;
	if (r == 0)
		r = start_timer(cpu_ns);
	if (r)
		log_warning("an endless loop of the worker will not be found "
			    "out: %s",
			    strerror(-r));
}

int endless_watch(struct loop *watcher)
{
	return endless.source.fd < 0 ?
		       0 :
		       loop_add(watcher, &endless.source, EPOLLIN);
}
