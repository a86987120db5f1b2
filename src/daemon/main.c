/* SPDX-License-Identifier: MIT */
/*
 * The program: options, signals, loop. What is served decides the rest.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/standard_fds.h"
#include "daemon/guest.h"
#include "daemon/options.h"
#include "daemon/size_watch.h"
#include "daemon/vhost.h"

struct signals {
	struct loop_source source;
	struct loop *loop;
};

static void signal_ready(struct loop_source *source, uint32_t events)
{
	struct signals *signals = container_of(source, struct signals, source);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1) {
		guest_log_stats();
		vhost_log_stats();
		return;
	}
	if (info.ssi_signo == SIGHUP) {
		size_watch_look();
		return;
	}
	log_info("ending on signal %s", strsignal((int)info.ssi_signo));
	loop_quit(signals->loop);
}

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
static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGXCPU, SIGTTOU, SIGTTIN,
			       SIGIO };

static void ignore_signals(void)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* Signals become a descriptor of the loop, for this and all later threads. */
static int signals_open(struct signals *signals, struct loop *loop)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	ignore_signals();
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signals->loop = loop;
	signals->source.ready = signal_ready;
	signals->source.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->source.fd < 0)
		return -errno;
	return loop_add(loop, &signals->source, EPOLLIN);
}

static int run(const struct options *options)
{
	struct signals signals = { .source.fd = -1 };
	struct loop loop;
	int status = 1;
	int r = loop_init(&loop);

	if (r == 0)
		r = signals_open(&signals, &loop);
	if (r == 0)
		r = log_detach();
	if (r == 0) {
		loop.poll_max_ns = options->poll_max_us * NS_PER_US;
		status = options->vhost ? vhost_serve(&loop, options) :
					  guest_serve(&loop, options);
	} else {
		log_error("cannot start: %s", strerror(-r));
	}
	if (signals.source.fd >= 0)
		close(signals.source.fd);
	loop_finish(&loop);
	return status;
}

int main(int argc, char **argv)
{
	struct options options;
	int status;

	/* Without them there is nowhere to say so. */
	if (standard_fds_reserve())
		return 1;
	status = options_parse(&options, argc, argv);
	if (status < 0) {
		if (options.verbose)
			log_set_level(LOG_LEVEL_DEBUG);
		status = run(&options);
	}
	options_finish(&options);
	log_flush();
	return status;
}
