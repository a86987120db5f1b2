/* SPDX-License-Identifier: MIT */
/*
 * What a service manager is told; see base/notify.h.
 *
 *	NOTIFY_SOCKET	where: a path, or @ and a name; connected to once
 *	WATCHDOG_USEC	how often at least, if
 *	WATCHDOG_PID	... it is for this process
 *
 * That the loop goes round is said twice as often as is needed, and at the same
 * moments by all processes that have the same time: an idle host wakes for all
 * of them once.
 *
 * Failure: what cannot be said is not. Where too much waits to be heard, as on
 * a host whose services all begin at once, it is said again a little later, for
 * a service that is never ready is ended.
 */
#include "base/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* More often costs more than it tells. */
#define PERIOD_MIN_NS (100 * NS_PER_MS)
/* Until there may be room for what was not heard: later each time. */
#define AGAIN_MIN_NS (100 * NS_PER_MS)
#define AGAIN_MAX_NS (10 * NS_PER_SECOND)

/* There is one process, and one thread that tells. */
static struct {
	bool wanted;
	bool ready;
	int fd;
	struct loop *loop;
	struct loop_timer round;
	uint64_t period_ns;
	struct loop_timer again;
	uint64_t again_ns;
	bool owes_ready, owes_status; /* said, and not heard */
	char status[NOTIFY_STATUS_MAX];
} notify;

/* Whether that was all, for there is room or nobody. */
static bool tell(const char *text)
{
	int error;

	if (!notify.wanted || send(notify.fd, text, strlen(text),
				   MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return true;
	error = errno;
	log_debug("the service manager cannot be told %s: %s", text,
		  strerror(error));
	return error != EAGAIN && error != ENOBUFS;
}

/* ---- the rounds ---- */

static void arm(void)
{
	loop_arm(notify.loop, &notify.round,
		 notify.period_ns - clock_ns() % notify.period_ns);
}

static void round_due(struct loop_timer *timer)
{
	(void)timer;
	tell("WATCHDOG=1");
	arm();
}

/* A number, or 0. */
static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	uint64_t n;

	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	return errno || *end ? 0 : n;
}

static void begin_rounds(void)
{
	uint64_t us = number_of("WATCHDOG_USEC");
	uint64_t pid = number_of("WATCHDOG_PID");

	if (!us || us > UINT64_MAX / NS_PER_US ||
	    (getenv("WATCHDOG_PID") && pid != (uint64_t)getpid()))
		return;
	notify.period_ns = us * NS_PER_US / 2;
	if (notify.period_ns < PERIOD_MIN_NS)
		notify.period_ns = PERIOD_MIN_NS;
	notify.round.due = round_due;
	arm();
}

/* ---- what is said ---- */

/* 0 or a negative errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(sun.sun_path))
		return -EINVAL;
	memcpy(sun.sun_path, path, n);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   0);
	if (notify.fd < 0)
		return -errno;
	if (connect(notify.fd, (const struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) ==
	    0)
		return 0;
	n = (size_t)errno;
	close(notify.fd);
	return -(int)n;
}

static void tell_later(void)
{
	notify.again_ns = ns_within(2 * notify.again_ns, AGAIN_MIN_NS,
				    AGAIN_MAX_NS);
	loop_arm(notify.loop, &notify.again, notify.again_ns);
}

static void tell_all(void)
{
	char text[sizeof("STATUS=") + NOTIFY_STATUS_MAX];

	if (notify.owes_ready)
		notify.owes_ready = !tell("READY=1");
	snprintf(text, sizeof(text), "STATUS=%s", notify.status);
	if (notify.owes_status)
		notify.owes_status = !tell(text);
	if (!notify.owes_ready && !notify.owes_status)
		notify.again_ns = 0;
	else if (!notify.again.armed)
		tell_later();
}

static void again_due(struct loop_timer *timer)
{
	(void)timer;
	tell_all();
}

void notify_open(struct loop *loop)
{
	static const char *const variables[] = { "NOTIFY_SOCKET",
						 "WATCHDOG_USEC",
						 "WATCHDOG_PID" };
	const char *path = getenv("NOTIFY_SOCKET");
	int r = path ? connect_to(path) : -ENOENT;

	notify.wanted = r == 0;
	notify.loop = loop;
	notify.again.due = again_due;
	if (path && r)
		log_warning("the service manager's socket %s: %s", path,
			    strerror(-r));
	if (notify.wanted)
		begin_rounds();
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
}

void notify_ready(void)
{
	if (notify.ready)
		return;
	notify.ready = true;
	notify.owes_ready = true;
	tell_all();
}

void notify_status(const char *format, ...)
{
	char status[NOTIFY_STATUS_MAX] = "";
	va_list args;

	if (!notify.wanted)
		return;
	va_start(args, format);
	vsnprintf(status, NOTIFY_STATUS_MAX, format, args);
	va_end(args);
	/* A line each: what somebody named must not say READY=1. */
	for (char *c = status; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	if (!strcmp(status, notify.status))
		return;
	memcpy(notify.status, status, NOTIFY_STATUS_MAX);
	notify.owes_status = true;
	tell_all();
}
