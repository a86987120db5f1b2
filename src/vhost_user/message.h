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

/* How a message is answered, once it is handled. */
enum vhost_answer {
	VHOST_ANSWER_OK,      /* done; acknowledge if that is wanted */
	VHOST_ANSWER_REFUSED, /* not done, and said so; the session goes on */
	VHOST_ANSWER_REPLY,   /* the message is the reply now */
};

struct vhost_message {
	int sock; /* by which it comes and is answered; not owned */
	struct vhost_header header;
	union vhost_payload payload;
	int fd[VHOST_FDS_MAX]; /* owned; -1 where taken */
	unsigned int nfds;
	size_t got;   /* bytes so far, the header's counted */
	int reply_fd; /* owned; goes with the reply; or -1 */
};

/* An empty message of `sock`, without descriptors. */
void vhost_message_init(struct vhost_message *m, int sock);

/*
 * Go on receiving. Returns 1 when the message is complete, 0 when
 * the rest is not there yet, or
 *  -EPIPE    the peer has closed its end
 *  -EPROTO   a version, a flag, a size or a number of descriptors that no
 *            message has
 *  -EMFILE   descriptors were lost, for we may not have more
 * or another negative errno of recvmsg().
 */
int vhost_message_receive(struct vhost_message *m);

/* Take descriptor `i` over from the message. */
int vhost_message_take_fd(struct vhost_message *m, unsigned int i);

/* Close the descriptors that were not taken or sent; it is empty again. */
void vhost_message_clear(struct vhost_message *m);

/* The message becomes a number: VHOST_ANSWER_REPLY. */
static inline int vhost_message_number(struct vhost_message *m, uint64_t number)
{
	m->header.size = sizeof(m->payload.u64);
	m->payload.u64 = number;
	return VHOST_ANSWER_REPLY;
}

/*
 * Send it with its header.size bytes of payload and, unless it is -1, reply_fd;
 * the flags are set here. Never blocks: -EAGAIN for a peer that does not read.
 * 0 or a negative errno.
 */
int vhost_message_reply(const struct vhost_message *m);

#endif
