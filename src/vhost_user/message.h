/* SPDX-License-Identifier: MIT */
/*
 * One vhost-user message: received piece by piece without blocking, with its
 * descriptors, and answered.
 */
#ifndef VHOST_USER_MESSAGE_H
#define VHOST_USER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "vhost_user/wire.h"

struct vhost_message {
	struct vhost_header header;
	union vhost_payload payload;
	int fd[VHOST_FDS_MAX]; /* owned; -1 where taken */
	unsigned int nfds;
	size_t got; /* bytes so far, the header's counted */
};

/* An empty message, without descriptors. */
void vhost_message_init(struct vhost_message *m);

/*
 * Go on receiving from `sock`. Returns 1 when the message is complete, 0 when
 * the rest is not there yet, or
 *  -EPIPE    the peer has closed its end
 *  -EPROTO   a version, a flag, a size or a number of descriptors that no
 *            message has
 *  -EMFILE   descriptors were lost, for we may not have more
 * or another negative errno of recvmsg().
 */
int vhost_message_receive(struct vhost_message *m, int sock);

/* Take descriptor `i` over from the message. */
int vhost_message_take_fd(struct vhost_message *m, unsigned int i);

/* Close the descriptors that were not taken; the message is empty again. */
void vhost_message_clear(struct vhost_message *m);

/*
 * Send `m` with its header.size bytes of payload and, unless it is -1, the
 * descriptor `fd`; the flags are set here. Never blocks: -EAGAIN for a peer
 * that does not read. 0 or a negative errno.
 */
int vhost_message_reply(const struct vhost_message *m, int sock, int fd);

#endif
