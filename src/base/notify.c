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
 * Failure: what cannot be said is not. A service that is never ready is ended,
 * by whoever did not hear it.
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

/* There is one process, and one thread that tells. */
static struct {
	bool wanted;
	bool ready;
	int fd;
	struct loop *loop;
	struct loop_timer round;
	uint64_t period_ns;
	char status[NOTIFY_STATUS_MAX];
} notify;

static void tell(const char *text)
{
	if (notify.wanted && send(notify.fd, text, strlen(text),
				  MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("the service manager cannot be told %s: %s", text,
			  strerror(errno));
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

void notify_open(struct loop *loop)
{
	static const char *const variables[] = { "NOTIFY_SOCKET",
						 "WATCHDOG_USEC",
						 "WATCHDOG_PID" };
	const char *path = getenv("NOTIFY_SOCKET");
	int r = path ? connect_to(path) : -ENOENT;

	notify.wanted = r == 0;
	notify.loop = loop;
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
	if (!notify.ready)
		tell("READY=1");
	notify.ready = true;
}

void notify_status(const char *format, ...)
{
	char text[sizeof("STATUS=") + NOTIFY_STATUS_MAX] = "STATUS=";
	char *status = text + strlen(text);
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
	tell(text);
}
