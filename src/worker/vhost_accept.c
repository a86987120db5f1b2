/* SPDX-License-Identifier: MIT */
/*
 * Accepting a front end; see worker/vhost_accept.h.
 *
 * A listener is shared with whoever gave it to us, and maybe with others who
 * accept on it: who loses a race for a connection would wait for the next one
 * in accept(), out of reach of any signal. There is no accept() that does not
 * wait but on a socket that says so, and that flag is shared as well. So it is
 * set, and, as others may clear it, each time anew; a process that cannot bear
 * it cannot share its listener with one that serves more than that.
 */
#include "worker/vhost_accept.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>

int vhost_accept(int listener)
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
