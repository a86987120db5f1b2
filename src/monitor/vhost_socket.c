/* SPDX-License-Identifier: MIT */
/*
 * The socket on which front ends come; see monitor/vhost_socket.h.
 *
 * Failures: a descriptor that is no Unix stream socket is refused. What can go
 * wrong with a path is in socket_path.c.
 */
#include "monitor/vhost_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/listen_fds.h"

static bool option_is(int fd, int option, int wanted)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 &&
	       value == wanted;
}

/* A stream socket of this machine, whether it listens or is connected. */
static int adopt(struct vhost_socket *vs, int fd, char error[BLOCK_ERROR_MAX])
{
	if (!option_is(fd, SO_DOMAIN, AF_UNIX) ||
	    !option_is(fd, SO_TYPE, SOCK_STREAM)) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "descriptor %d is not a Unix stream socket", fd);
		return -ENOTSOCK;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	vs->fd = fd;
	vs->connected = !option_is(fd, SO_ACCEPTCONN, 1);
	return 0;
}

static int make(struct vhost_socket *vs, const char *path,
		char error[BLOCK_ERROR_MAX])
{
	vs->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (vs->fd < 0) {
		snprintf(error, BLOCK_ERROR_MAX, "no socket: %s",
			 strerror(errno));
		return -errno;
	}
	return socket_path_take(&vs->path, path, vs->fd, error);
}

int vhost_socket_open(struct vhost_socket *vs, const char *path, int fd,
		      char error[BLOCK_ERROR_MAX])
{
	vhost_socket_init(vs);
	if (path)
		return make(vs, path, error);
	return adopt(vs, fd >= 0 ? fd : LISTEN_FDS_START, error);
}

void vhost_socket_init(struct vhost_socket *vs)
{
	vs->fd = -1;
	vs->connected = false;
	socket_path_init(&vs->path);
}

void vhost_socket_close(struct vhost_socket *vs)
{
	socket_path_drop(&vs->path);
	if (vs->fd >= 0)
		close(vs->fd);
	vs->fd = -1;
}

void vhost_socket_abandon(struct vhost_socket *vs)
{
	socket_path_drop(&vs->path);
}
