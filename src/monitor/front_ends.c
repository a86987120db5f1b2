/* SPDX-License-Identifier: MIT */
/*
 * Front ends that connect to a listener; see monitor/front_ends.h.
 *
 * They are the monitor's to accept, not the worker's: a worker whose monitor
 * was killed is there for a while beside the next one, and a front end that it
 * accepted then would be nobody's.
 *
 * A listener is shared with whoever gave it to us, and maybe with others who
 * accept on it: who loses a race for a connection would wait for the next one
 * in accept(), out of reach of any signal. There is no accept() that does not
 * wait but on a socket that says so, and that flag is shared as well. So it is
 * set, and, as others may clear it, each time anew; a process that cannot bear
 * it cannot share its listener with one that serves more than that.
 *
 * Failure: without a descriptor for the next front end it is asked for again
 * every second.
 */
#include "monitor/front_ends.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/descriptors.h"

/* Between two attempts to accept, when there is no descriptor for it. */
#define RETRY_NS NS_PER_SECOND

int front_ends_accept(int listener)
{
	int flags = fcntl(listener, F_GETFL);
	int fd;

	if (flags < 0 || (!(flags & O_NONBLOCK) &&
			  fcntl(listener, F_SETFL, flags | O_NONBLOCK) < 0))
		return -errno;
	do {
		fd = accept4(listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd < 0 ? -errno : fd;
}

static void stop_watching(struct front_ends *fe)
{
	loop_disarm(fe->loop, &fe->retry);
	if (fe->source.fd >= 0)
		loop_remove(fe->loop, &fe->source);
	fe->source.fd = -1;
}

/* They wait in the backlog, and it would be an event without end. */
static void failed(struct front_ends *fe, int r)
{
	if (!fe->failing)
		log_limited(&fe->failures, LOG_LEVEL_ERROR,
			    "%s: a front end cannot be accepted: %s%s",
			    fe->name, strerror(-r), descriptors_advice(-r));
	fe->failing = true;
	loop_remove(fe->loop, &fe->source);
	loop_arm(fe->loop, &fe->retry, RETRY_NS);
}

/*
 * An edge for each front end that comes, also while one is served; to watch
 * anew is an edge for who has come before.
 */
static void watch(struct front_ends *fe)
{
	int r = loop_add(fe->loop, &fe->source, EPOLLIN | EPOLLET);

	if (r)
		failed(fe, r);
}

static void again(struct loop_timer *timer)
{
	watch(container_of(timer, struct front_ends, retry));
}

static void accept_one(struct front_ends *fe)
{
	int fd = front_ends_accept(fe->source.fd);

	if (fd == -EAGAIN)
		return;
	if (fd < 0) {
		failed(fe, fd);
		return;
	}
	fe->failing = false;
	fe->wanted = false;
	log_limited(&fe->connections, LOG_LEVEL_INFO,
		    "%s: a front end has connected", fe->name);
	fe->came(fe, fd);
}

static void somebody_came(struct loop_source *source, uint32_t events)
{
	struct front_ends *fe = container_of(source, struct front_ends, source);

	(void)events;
	if (fe->wanted)
		accept_one(fe);
	else
		log_limited(&fe->waiting, LOG_LEVEL_WARNING,
			    "%s: another front end waits until the present "
			    "one has gone",
			    fe->name);
}

void front_ends_init(struct front_ends *fe, struct loop *loop)
{
	fe->loop = loop;
	fe->source = (struct loop_source){ .fd = -1, .ready = somebody_came };
	fe->retry.due = again;
}

void front_ends_want(struct front_ends *fe, int listener)
{
	stop_watching(fe);
	fe->wanted = true;
	fe->source.fd = listener;
	watch(fe);
}

void front_ends_stop(struct front_ends *fe)
{
	fe->wanted = false;
	stop_watching(fe);
}
