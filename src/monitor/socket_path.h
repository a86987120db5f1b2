/* SPDX-License-Identifier: MIT */
/*
 * The path of a socket that we listen on, and whose it is.
 *
 * A path belongs to who holds the lock of PATH.lock, for as long as it serves
 * there. So a second start knows that the path is taken without connecting to
 * it, and of two starts over what a killed one left, one gets it.
 */
#ifndef MONITOR_SOCKET_PATH_H
#define MONITOR_SOCKET_PATH_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "block/part.h"

struct socket_path {
	int dir_fd;  /* of the folder that it lies in, or -1 */
	int lock_fd; /* or -1 */
	bool made;   /* the socket is there, and is this one: */
	dev_t dev;
	ino_t ino;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *name; /* last part of `path` */
};

/* Before anything else: nothing is taken. */
void socket_path_init(struct socket_path *sp);

/*
 * Take `path` and bind `fd` to it, an unbound Unix stream socket, which listens
 * before anybody can find it; its mode is 0600. Returns 0, or a negative errno
 * and in `error` a sentence that names the path and, if known, who holds it.
 * What was taken until then is given back by socket_path_drop().
 */
int socket_path_take(struct socket_path *sp, const char *path, int fd,
		     char error[BLOCK_ERROR_MAX]);

/* Remove what we made, and nothing else; also for what was never taken. */
void socket_path_drop(struct socket_path *sp);

#endif
