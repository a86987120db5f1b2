/* SPDX-License-Identifier: MIT */
/*
 * The socket between a monitor and a worker; see link/socket.h.
 *
 * It keeps the bounds of messages. The kernel gives descriptors to whoever
 * receives, wanted or not: each that came is either the caller's or closed.
 *
 * Failure modes: a message that is cut off, by its bytes or its descriptors, is
 * none. A message of no bytes reads as the end, which is what follows from one.
 */
#include "link/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* More than are allowed, to know what came. */
enum { FDS_ROOM = LINK_FDS_MAX + 1 };

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDS_ROOM * sizeof(int))];
};

int link_socket_pair(int fd[2])
{
	return socketpair(AF_UNIX,
			  SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			  fd) ?
		       -errno :
		       0;
}

int link_socket_send(int fd, const void *message, size_t bytes, const int *fds,
		     unsigned int nfds)
{
	struct iovec iov = { .iov_base = (void *)message, .iov_len = bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	memset(&control, 0, sizeof(control));
	if (nfds) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

/* All descriptors that came with it: how many, into `fds` of FDS_ROOM. */
static unsigned int collect(struct msghdr *msg, int *fds, int *fault)
{
	unsigned int n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			*fault = -EPROTO;
			continue;
		}
		/* There is no room for more: the kernel has not given them. */
		memcpy(fds + n, CMSG_DATA(c), bytes);
		n += (unsigned int)(bytes / sizeof(int));
	}
	return n;
}

int link_socket_receive(int fd, void *message, size_t size,
			int fds[LINK_FDS_MAX], unsigned int *nfds)
{
	struct iovec iov = { .iov_base = message, .iov_len = size };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int came[FDS_ROOM], fault = 0;
	unsigned int n;
	ssize_t got;

	*nfds = 0;
	do
		got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	/*
	 * Who has closed the other end unread may have said something before.
	 */
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0)
		return -errno;
	n = collect(&msg, came, &fault);
	if (n > LINK_FDS_MAX || (msg.msg_flags & MSG_TRUNC))
		fault = -EPROTO;
	else if (msg.msg_flags & MSG_CTRUNC)
		fault = -EMFILE;
	if (fault || got == 0) {
		while (n)
			close(came[--n]);
		return fault;
	}
	memcpy(fds, came, n * sizeof(int));
	*nfds = n;
	return (int)got;
}
