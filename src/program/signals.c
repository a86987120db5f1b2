/* SPDX-License-Identifier: MIT */
/*
 * Signals; see program/signals.h.
 *
 * A thread of its own takes them one by one and tells the loop, which does what
 * they ask for:
 *
 *	USR1, HUP	statistics, sizes of images
 *	TERM, INT	the loop is left; the requests in flight are finished
 *	once more	they are given up: the process ends at once
 *
 * Failure: a store that does not answer may hold the loop in a system call, for
 * ever. Then the thread itself ends the process; it needs nothing of the loop.
 * Should that stand still as well, the next signal has its default action.
 */
#include "program/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * Who signals a process and its group, as timeout(1) does, means it once: what
 * comes so soon after the first is no second one.
 */
#define DOUBLE_NS (100 * NS_PER_MS)

/* How long the loop has for ending the process. */
static const struct timespec loop_time = { .tv_sec = 1 };

/* What the loop is told: bits of `news`. */
enum {
	NEWS_STATS = 1,
	NEWS_SIZES = 2,
	NEWS_END = 4,
	NEWS_ABANDON = 8,
};

/* There is one process. */
static struct {
	struct loop_source source; /* eventfd: there is news */
	struct loop *loop;
	const struct signals_owner_ops *ops;
	unsigned int news; /* atomic */
	sigset_t all;      /* that are listened for */
	sigset_t ending;   /* TERM and INT */
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
 * (vhost_user/bus_guard.c). ALRM, VTALRM, PROF and USR2 come only from who may
 * end us by KILL as well, URG and CHLD do nothing.
 */
static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGXCPU,
			       SIGTTOU, SIGTTIN, SIGIO };

static void ignore_signals(void)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* Of the bus guard and of the write guard (src/vhost_user). */
static void unblock_needed(void)
{
	sigset_t needed;

	sigemptyset(&needed);
	sigaddset(&needed, SIGBUS);
	sigaddset(&needed, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &needed, NULL);
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
		signals.ops->abandon();
	if (news & NEWS_STATS)
		signals.ops->log_stats();
	if (news & NEWS_SIZES)
		signals.ops->look();
	if (news & NEWS_END)
		loop_quit(signals.loop);
}

/* ---- in the thread ---- */

static void tell(unsigned int news)
{
	const uint64_t one = 1;

	__atomic_fetch_or(&signals.news, news, __ATOMIC_ACQ_REL);
	/* Only a full counter fails, and that is read as well. */
	while (write(signals.source.fd, &one, sizeof(one)) < 0 &&
	       errno == EINTR)
		continue;
}

static void give_up(void)
{
	log_warning("a second signal: ending without the requests in flight");
	log_flush();
	tell(NEWS_ABANDON);
	/* A third one does not wait for that. */
	sigtimedwait(&signals.ending, NULL, &loop_time);
	pthread_sigmask(SIG_UNBLOCK, &signals.ending, NULL);
	log_warning("the loop stands still, in the store most likely");
	log_flush();
	signals.ops->abandon();
}

static void *listen_for_signals(void *arg)
{
	uint64_t ends_since = 0;
	int signo;

	(void)arg;
	for (;;) {
		if (sigwait(&signals.all, &signo))
			continue;
		if (signo == SIGUSR1) {
			tell(NEWS_STATS);
		} else if (signo == SIGHUP) {
			tell(NEWS_SIZES);
		} else if (!ends_since) {
			ends_since = clock_ns();
			log_info("ending on signal %s; another one ends it at "
				 "once, without the requests in flight",
				 strsignal(signo));
			tell(NEWS_END);
		} else if (clock_ns() - ends_since > DOUBLE_NS) {
			give_up();
		}
	}
	return NULL;
}

static int start_thread(void)
{
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, listen_for_signals, NULL);

	if (r == 0)
		pthread_detach(thread);
	return r;
}

int signals_open(struct loop *loop, const struct signals_owner_ops *ops)
{
	int r;

	signals.loop = loop;
	signals.ops = ops;
	sigemptyset(&signals.ending);
	sigaddset(&signals.ending, SIGTERM);
	sigaddset(&signals.ending, SIGINT);
	signals.all = signals.ending;
	sigaddset(&signals.all, SIGHUP);
	sigaddset(&signals.all, SIGUSR1);
	ignore_signals();
	/* Whoever started us may have blocked what we rely on. */
	unblock_needed();
	/* For this and all later threads. */
	r = -pthread_sigmask(SIG_BLOCK, &signals.all, NULL);
	if (r)
		return r;
	signals.source.ready = news_ready;
	signals.source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals.source.fd < 0)
		return -errno;
	r = loop_add(loop, &signals.source, EPOLLIN);
	return r ? r : start_thread();
}
