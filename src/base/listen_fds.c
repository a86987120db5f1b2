/* SPDX-License-Identifier: MIT */
/*
 * Sockets that systemd passes on; see base/listen_fds.h.
 *
 * The variables are inherited by whoever is started later, so they say for
 * which process they are. More than one socket is more than we know what to do
 * with.
 */
#include "base/listen_fds.h"

#include <stdlib.h>
#include <unistd.h>

static bool env_is(const char *name, long wanted)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (!text || !*text)
		return false;
	n = strtol(text, &end, 10);
	return !*end && n == wanted;
}

bool listen_fds_has_one(void)
{
	return env_is("LISTEN_PID", getpid()) && env_is("LISTEN_FDS", 1);
}
