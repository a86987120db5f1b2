/* SPDX-License-Identifier: MIT */
/* Saying something over a link; see link/say.h. */
#include "link/say.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"

static const char *explain(int error)
{
	return error == -EAGAIN ? "it does not listen" : strerror(-error);
}

const char *link_say_to_worker(int fd, const struct link_message *m,
			       const int *fds)
{
	int r = link_message_send(fd, m, fds);

	if (r == 0)
		return NULL;
	if (r != -EPIPE)
		return explain(r);
	/* That it is gone is heard, for certain. */
	shutdown(fd, SHUT_WR);
	return NULL;
}

void link_say_to_monitor(int fd, const struct link_message *m)
{
	int r = link_message_send(fd, m, NULL);

	if (r == 0)
		return;
	if (r != -EPIPE)
		log_error("the worker cannot speak to its monitor: %s",
			  explain(r));
	/* Seen where it is listened to, as if the monitor was gone. */
	shutdown(fd, SHUT_RDWR);
}
