/* SPDX-License-Identifier: MIT */
/*
 * The socket between a monitor and a worker: a message is there as a whole or
 * not at all, with its descriptors. What is in it is link/message.h.
 */
#ifndef LINK_SOCKET_H
#define LINK_SOCKET_H

#include <stddef.h>

enum { LINK_FDS_MAX = 3 }; /* of a message */

/* Both ends, which do not block. 0 or a negative errno. */
int link_socket_pair(int fd[2]);

/*
 * Send `bytes`, and copies of descriptors, which stay the caller's. 0, or a
 * negative errno: -EAGAIN, there is no room now; -EPIPE, nobody is there.
 */
int link_socket_send(int fd, const void *message, size_t bytes, const int *fds,
		     unsigned int nfds);

/*
 * Take a message of up to `size` bytes: how many, and `fds` are the caller's to
 * close. Or 0: the other end is closed. Or a negative errno: -EAGAIN, there is
 * none; -EPROTO, it was longer, had more descriptors or something else with it;
 * -EMFILE, one of them could not be had; all of it is gone then.
 */
int link_socket_receive(int fd, void *message, size_t size,
			int fds[LINK_FDS_MAX], unsigned int *nfds);

#endif
