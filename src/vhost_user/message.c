/* SPDX-License-Identifier: MIT */
/*
 * One vhost-user message; see vhost_user/message.h.
 *
 * The socket is a stream: header and payload may come in any pieces. Never more
 * is read than the message has, so that the next one keeps its descriptors.
 *
 * Failure: descriptors beyond VHOST_FDS_MAX are closed at once and make the
 * message wrong, as does a payload that no message is large enough for.
 */
#include "vhost_user/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vhost_user/peer_fd.h"

enum {
	/* Room for more than is allowed, so that too many are noticed. */
	FDS_ROOM = 2 * VHOST_FDS_MAX,
};

static void empty(struct vhost_message *m)
{
	m->nfds = 0;
	m->got = 0;
	m->reply_fd = -1;
}

void vhost_message_init(struct vhost_message *m, int sock)
{
	m->sock = sock;
	empty(m);
}

void vhost_message_clear(struct vhost_message *m)
{
	for (unsigned int i = 0; i < m->nfds; i++)
		if (m->fd[i] >= 0)
			peer_fd_close(m->fd[i]);
	if (m->reply_fd >= 0)
		close(m->reply_fd);
	empty(m);
}

int vhost_message_take_fd(struct vhost_message *m, unsigned int i)
{
	int fd = m->fd[i];

	m->fd[i] = -1;
	return fd;
}

/* Keep the descriptors of one control message: false if there are too many. */
static bool keep_fds(struct vhost_message *m, const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (m->nfds < VHOST_FDS_MAX) {
			m->fd[m->nfds++] = fd;
		} else {
			peer_fd_close(fd);
			ok = false;
		}
	}
	return ok;
}

/*
 * Take the descriptors: 0, -EPROTO for more than a message may have, or -EMFILE
 * if some were lost though there was room for them: for want of free ones here.
 */
static int take_control(struct vhost_message *m, struct msghdr *msg)
{
	size_t n = 0;
	bool ok = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n += (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		ok &= keep_fds(m, c);
	}
	if ((msg->msg_flags & MSG_CTRUNC) && n < FDS_ROOM)
		return -EMFILE;
	return ok && !(msg->msg_flags & MSG_CTRUNC) ? 0 : -EPROTO;
}

/* Receive up to `len` bytes at `to`: how many, 0 for later, or an errno. */
static int receive(struct vhost_message *m, void *to, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_ROOM * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = to, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(m->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	r = take_control(m, &msg);
	if (r)
		return r;
	if (n == 0)
		return -EPIPE;
	m->got += (size_t)n;
	return (int)n;
}

static bool header_ok(const struct vhost_header *h)
{
	return (h->flags & VHOST_HEADER_VERSION_MASK) == VHOST_HEADER_VERSION &&
	       !(h->flags & VHOST_HEADER_REPLY) &&
	       h->size <= sizeof(union vhost_payload);
}

int vhost_message_receive(struct vhost_message *m)
{
	while (m->got < sizeof(m->header)) {
		int r = receive(m, (char *)&m->header + m->got,
				sizeof(m->header) - m->got);

		if (r <= 0)
			return r;
		if (m->got < sizeof(m->header))
			continue;
		if (!header_ok(&m->header))
			return -EPROTO;
		memset(&m->payload, 0, sizeof(m->payload));
	}
	while (m->got < sizeof(m->header) + m->header.size) {
		size_t at = m->got - sizeof(m->header);
		int r = receive(m, (char *)&m->payload + at,
				m->header.size - at);

		if (r <= 0)
			return r;
	}
	return 1;
}

int vhost_message_reply(const struct vhost_message *m)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct vhost_header header = {
		.request = m->header.request,
		.flags = VHOST_HEADER_VERSION | VHOST_HEADER_REPLY,
		.size = m->header.size,
	};
	struct iovec iov[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)&m->payload, .iov_len = header.size },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (m->reply_fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(m->reply_fd));
		memcpy(CMSG_DATA(&control.align), &m->reply_fd,
		       sizeof(m->reply_fd));
	}
	n = sendmsg(m->sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	/* A message this small does not fit only if nobody reads. */
	return (size_t)n == sizeof(header) + header.size ? 0 : -EAGAIN;
}
