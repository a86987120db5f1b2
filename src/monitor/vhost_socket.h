/* SPDX-License-Identifier: MIT */
/*
 * The socket on which front ends come: made by us, or inherited from systemd
 * (LISTEN_FDS) or from whoever started us (--fd).
 */
#ifndef MONITOR_VHOST_SOCKET_H
#define MONITOR_VHOST_SOCKET_H

#include <stdbool.h>

#include "block/part.h"
#include "monitor/socket_path.h"

struct vhost_socket {
	int fd;         /* or -1 */
	bool connected; /* it is a front end, not a listener for some */
	struct socket_path path; /* of what we made */
};

/* Before anything else: nothing is open. */
void vhost_socket_init(struct vhost_socket *vs);

/*
 * Listen at `path`, or if that is NULL take the inherited descriptor `fd`; -1:
 * the one of systemd. 0, or a negative errno and a sentence in `error`.
 */
int vhost_socket_open(struct vhost_socket *vs, const char *path, int fd,
		      char error[BLOCK_ERROR_MAX]);

/* Close, and remove what we made. Also for one that failed to open. */
void vhost_socket_close(struct vhost_socket *vs);

/* The process ends: only the path is removed, for another one to use. */
void vhost_socket_abandon(struct vhost_socket *vs);

#endif
