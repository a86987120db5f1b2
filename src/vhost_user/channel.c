/* SPDX-License-Identifier: MIT */
/*
 * The channel for requests of the back end; see vhost_user/channel.h.
 *
 * It is the only descriptor of a front end that we keep and that can be
 * anything. If it led back to the session's own connection, that would never
 * end, even with the front end long gone. So nothing is ever received by it (we
 * want no answers), not even what is in its queue now: descriptors, maybe.
 */
#include "vhost_user/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

static bool option_is(int fd, int option, int wanted)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 &&
	       value == wanted;
}

int channel_check(int fd, int sock)
{
	char bytes[256];

	if (!option_is(fd, SO_DOMAIN, AF_UNIX) ||
	    !option_is(fd, SO_TYPE, SOCK_STREAM) ||
	    !option_is(fd, SO_ACCEPTCONN, 0) || shutdown(fd, SHUT_RD))
		return -EINVAL;
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
	/* Was that the end to which this one sends? */
	if (send(sock, bytes, 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    errno == EPIPE)
		return -ELOOP;
	return 0;
}

int channel_send(int fd, enum vhost_backend_request request)
{
	struct vhost_header header = {
		.request = request,
		.flags = VHOST_HEADER_VERSION,
	};
	ssize_t n = send(fd, &header, sizeof(header),
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return n == sizeof(header) ? 0 : -EAGAIN;
}
