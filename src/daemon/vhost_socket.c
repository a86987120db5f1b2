/* SPDX-License-Identifier: MIT */
/*
 * The socket on which front ends come; see daemon/vhost_socket.h.
 *
 * Failures: a path where something else lives is left alone. A socket there is
 * replaced only if nobody listens on it, which is what a killed daemon leaves.
 */
#include "daemon/vhost_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	SYSTEMD_FIRST_FD = 3,
	/* One session at a time; who comes meanwhile waits here. */
	BACKLOG = 8,
};

static bool env_is(const char *name, long min, long max)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (!text || !*text)
		return false;
	n = strtol(text, &end, 10);
	return !*end && n >= min && n <= max;
}

bool vhost_socket_is_inherited(void)
{
	return env_is("LISTEN_PID", getpid(), getpid()) &&
	       env_is("LISTEN_FDS", 1, 1);
}

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

static int set_path(struct sockaddr_un *sun, const char *path,
		    char error[BLOCK_ERROR_MAX])
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun->sun_path)) {
		snprintf(error, BLOCK_ERROR_MAX, "%s: longer than the path of "
			 "a socket can be (%zu)", path,
			 sizeof(sun->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(sun->sun_path, path, strlen(path));
	return 0;
}

/* Whether `path` is a socket that nobody listens on. */
static bool is_stale(const struct sockaddr_un *sun)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(sun->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* Only our own user may connect: the file is made with mode 0600. */
static int bind_private(int fd, const struct sockaddr_un *sun)
{
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) ? -errno :
								       0;

	umask(mask);
	return r;
}

static int make(struct vhost_socket *vs, const char *path,
		char error[BLOCK_ERROR_MAX])
{
	struct sockaddr_un sun;
	int r = set_path(&sun, path, error);

	if (r)
		return r;
	vs->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (vs->fd < 0) {
		snprintf(error, BLOCK_ERROR_MAX, "no socket: %s",
			 strerror(errno));
		return -errno;
	}
	r = bind_private(vs->fd, &sun);
	if (r == -EADDRINUSE && is_stale(&sun) && unlink(path) == 0)
		r = bind_private(vs->fd, &sun);
	if (r == 0) {
		vs->path = path;
		r = listen(vs->fd, BACKLOG) ? -errno : 0;
	}
	if (r == -EADDRINUSE)
		snprintf(error, BLOCK_ERROR_MAX, "%s: exists already and is in "
			 "use, or is no socket; remove it or choose another",
			 path);
	else if (r)
		snprintf(error, BLOCK_ERROR_MAX, "%s: %s", path, strerror(-r));
	return r;
}

int vhost_socket_open(struct vhost_socket *vs, const struct options *options,
		      char error[BLOCK_ERROR_MAX])
{
	vs->fd = -1;
	vs->connected = false;
	vs->path = NULL;
	if (options->vhost_socket)
		return make(vs, options->vhost_socket, error);
	return adopt(vs, options->vhost_fd >= 0 ? options->vhost_fd :
						  SYSTEMD_FIRST_FD, error);
}

void vhost_socket_close(struct vhost_socket *vs)
{
	if (vs->path)
		unlink(vs->path);
	if (vs->fd >= 0)
		close(vs->fd);
	vs->path = NULL;
	vs->fd = -1;
}
