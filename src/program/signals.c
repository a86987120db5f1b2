/* SPDX-License-Identifier: MIT */
/*
 * Signals; see program/signals.h.
 *
 * The watcher (base/watcher.h) takes them one by one and tells the loop, which
 * does what they ask for:
 *
 *	USR1, HUP	statistics, sizes of images
 *	USR2		the last events of all disks
 *	RTMIN+1, +2	requests are traced, or not any more
 *	TERM, INT	the loop is left; the requests in flight are finished
 *	once more	they are given up: the process ends at once
 *
 * Failure: a store that does not answer may hold the loop in a system call, for
 * ever. Then the watcher itself ends the process; it needs nothing of the loop.
 * Should that stand still as well, the next signal has its default action.
 */
#include "program/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace_signals.h"
#include "base/watcher.h"

/*
 * Who signals a process and its group, as timeout(1) does, means it once: what
 * comes so soon after the first is no second one.
 */
#define DOUBLE_NS (100 * NS_PER_MS)

/* How long the loop has for ending the process. */
#define PATIENCE_NS NS_PER_SECOND

/* What the loop is told: bits of `news`. */
enum {
	NEWS_STATS = 1,
	NEWS_SIZES = 2,
	NEWS_END = 4,
	NEWS_ABANDON = 8,
	NEWS_EVENTS = 16,
	NEWS_TRACE = 32, /* it is on, or off: as it was said last */
};

/* There is one process. */
static struct {
	struct loop_source news_told; /* eventfd */
	struct loop *loop;
	const struct signals_owner_ops *ops;
	unsigned int news; /* atomic */
	bool traces;       /* atomic */
	sigset_t ending;   /* TERM and INT */

	/* The watcher's: */
	struct loop *watcher;
	struct loop_source arrived; /* signalfd */
	struct loop_timer patience; /* armed by the second signal */
	uint64_t ends_since;        /* the first signal; or 0 */
} signals;

/*
 * Signals that a store, a peer, a terminal or a limit raises while they have
 * their error code as well, or none is needed. By default each would end or
 * stop us:
 *
 *	PIPE		nobody reads what is written
 *	XFSZ		a write behind the limit on the size of files; EFBIG
 *	XCPU		a limit on processor time; the hard one kills
 *	TTOU, TTIN	the log's terminal belongs to another job; EIO
 *	IO		of a descriptor whose other users asked for signals
 *
 * BUS, of memory that a peer or a failed device takes away, has a handler
 * (vhost_user/bus_guard.c). ALRM, VTALRM and PROF come only from who may end us
 * by KILL as well, URG and CHLD do nothing.
 */
static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGXCPU,
			       SIGTTOU, SIGTTIN, SIGIO };

void signals_ignore(void)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/*
 * Of the bus guard and of the write guard (src/vhost_user). Where CHLD is
 * ignored nobody knows how a child has ended.
 */
static void unblock_needed(void)
{
	sigset_t needed;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&needed);
	sigaddset(&needed, SIGBUS);
	sigaddset(&needed, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &needed, NULL);
}

/* With what was said of it. Does not return. */
static void abandon(void)
{
	log_flush();
	signals.ops->abandon();
}

/* ---- in the loop ---- */

static void news_ready(struct loop_source *source, uint32_t events)
{
	unsigned int news;
	uint64_t n;

	(void)events;
	if (read(source->fd, &n, sizeof(n)) != sizeof(n))
		return;
	news = __atomic_exchange_n(&signals.news, 0, __ATOMIC_ACQ_REL);
	if (news & NEWS_ABANDON)
		abandon();
	if (news & NEWS_STATS)
		signals.ops->log_stats();
	if (news & NEWS_SIZES)
		signals.ops->look();
	/* A watcher has no disks. */
	if ((news & NEWS_TRACE) && signals.ops->trace)
		signals.ops->trace(
			__atomic_load_n(&signals.traces, __ATOMIC_RELAXED));
	if ((news & NEWS_EVENTS) && signals.ops->log_events)
		signals.ops->log_events();
	if (news & NEWS_END)
		loop_quit(signals.loop);
}

/* ---- in the watcher's thread ---- */

static void tell(unsigned int news)
{
	const uint64_t one = 1;

	__atomic_fetch_or(&signals.news, news, __ATOMIC_ACQ_REL);
	/* Only a full counter fails, and that is read as well. */
	while (write(signals.news_told.fd, &one, sizeof(one)) < 0 &&
	       errno == EINTR)
		continue;
}

static void stands_still(struct loop_timer *timer)
{
	(void)timer;
	/* The next one ends us without our help. */
	pthread_sigmask(SIG_UNBLOCK, &signals.ending, NULL);
	log_warning("the loop stands still, in the store most likely");
	abandon();
}

/* TERM or INT: the first, the second, or one more, which does not wait. */
static void end(int signo)
{
	if (signals.patience.armed) {
		stands_still(&signals.patience);
	} else if (!signals.ends_since) {
		signals.ends_since = clock_ns();
		log_info("ending on signal %s; another one ends it at once, "
			 "without the requests in flight",
			 strsignal(signo));
		tell(NEWS_END);
	} else if (clock_ns() - signals.ends_since > DOUBLE_NS) {
		log_warning("a second signal: ending without the requests in "
			    "flight");
		tell(NEWS_ABANDON);
		loop_arm(signals.watcher, &signals.patience, PATIENCE_NS);
	}
}

static void switch_trace(bool on)
{
	if (!signals.ops->trace) {
		log_info("there is nothing to trace in this process; its "
			 "instances are told by their own signals");
		return;
	}
	log_info("the trace is switched %s", on ? "on" : "off");
	__atomic_store_n(&signals.traces, on, __ATOMIC_RELAXED);
	tell(NEWS_TRACE);
}

static void take(int signo)
{
	if (signo == SIGUSR1)
		tell(NEWS_STATS);
	else if (signo == SIGHUP)
		tell(NEWS_SIZES);
	else if (signo == TRACE_SIGNAL_LOG)
		tell(NEWS_EVENTS);
	else if (signo == TRACE_SIGNAL_ON || signo == TRACE_SIGNAL_OFF)
		switch_trace(signo == TRACE_SIGNAL_ON);
	else
		end(signo);
}

static void arrived(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == sizeof(info))
		take((int)info.ssi_signo);
}

/* ---- beginning ---- */

/* `fd` is a new descriptor, or -1 with errno. */
static int listen_to(struct loop *loop, struct loop_source *source, int fd)
{
	source->fd = fd;
	return fd < 0 ? -errno : loop_add(loop, source, EPOLLIN);
}

static int start(const sigset_t *all)
{
	int r = listen_to(signals.loop, &signals.news_told,
			  eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

	if (r == 0)
		r = watcher_start(&signals.watcher);
	if (r == 0)
		r = listen_to(signals.watcher, &signals.arrived,
			      signalfd(-1, all, SFD_CLOEXEC | SFD_NONBLOCK));
	return r;
}

int signals_open(struct loop *loop, const struct signals_owner_ops *ops)
{
	sigset_t all;
	int r;

	signals.loop = loop;
	signals.ops = ops;
	signals.news_told.ready = news_ready;
	signals.arrived.ready = arrived;
	signals.patience.due = stands_still;
	sigemptyset(&signals.ending);
	sigaddset(&signals.ending, SIGTERM);
	sigaddset(&signals.ending, SIGINT);
	all = signals.ending;
	sigaddset(&all, SIGHUP);
	sigaddset(&all, SIGUSR1);
	sigaddset(&all, TRACE_SIGNAL_LOG);
	sigaddset(&all, TRACE_SIGNAL_ON);
	sigaddset(&all, TRACE_SIGNAL_OFF);
	signals_ignore();
	/* Whoever started us may have blocked what we rely on. */
	unblock_needed();
	/* For this and all later threads. */
	r = -pthread_sigmask(SIG_BLOCK, &all, NULL);
	return r ? r : start(&all);
}
