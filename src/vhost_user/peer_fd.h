/* SPDX-License-Identifier: MIT */
/*
 * What a descriptor of a peer is, found out and given up without being held up:
 * a file may be on a file system that the peer serves itself (FUSE), where even
 * fstat() and close() wait for it, and so does every access to a mapping.
 */
#ifndef VHOST_USER_PEER_FD_H
#define VHOST_USER_PEER_FD_H

#include <stdbool.h>

/* Whether `fd` is an eventfd. */
bool peer_fd_is_event(int fd);

/*
 * Whether `fd` is a file that may be mapped: 0, -EINVAL if it is no regular
 * file, or -EREMOTE if it is on a file system that may be the peer's.
 */
int peer_fd_check_file(int fd);

/* Close `fd`, in a thread of its own if it may wait for the peer. */
void peer_fd_close(int fd);

#endif
