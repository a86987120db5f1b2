/* SPDX-License-Identifier: MIT */
/*
 * The host's thread, which answers the double's libraries; see host.h.
 *
 * Failure: a program may die at any moment. Its connection is closed then, and
 * what was asked last is done wholly or not at all.
 */
#include "host.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

struct host host;

/* What the epoll's rows point to, besides peers: the lowest bit is its fd. */
static uint64_t listening, ending;

void host_lock(void)
{
	pthread_mutex_lock(&host.lock);
}

void host_unlock(void)
{
	pthread_mutex_unlock(&host.lock);
}

void host_notice(void)
{
	host.changes++;
	pthread_cond_broadcast(&host.changed);
}

unsigned int host_wait(unsigned int seen, uint64_t ns)
{
	uint64_t until = clock_ns() + ns;
	struct timespec limit = { .tv_sec = (time_t)(until / NS_PER_SECOND),
				  .tv_nsec = (long)(until % NS_PER_SECOND) };

	host_lock();
	while (host.changes == seen &&
	       pthread_cond_timedwait(&host.changed, &host.lock, &limit) == 0)
		continue;
	seen = host.changes;
	host_unlock();
	return seen;
}

/* ---- connections --------------------------------------------------------- */

static void watch(int fd, void *what, unsigned int bit)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP };

	e.data.u64 = (uint64_t)(uintptr_t)what | bit;
	if (epoll_ctl(host.epoll, EPOLL_CTL_ADD, fd, &e))
		die("epoll: %s", strerror(errno));
}

static void begin_peer(void)
{
	int sock = accept4(host.listener, NULL, NULL, SOCK_CLOEXEC);
	struct ucred who = { 0 };
	socklen_t n = sizeof(who);
	struct peer *p;

	/* It may be dead already. */
	if (sock < 0)
		return;
	p = calloc(1, sizeof(*p));
	if (!p)
		die("no memory");
	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &n);
	p->sock = sock;
	p->fd = -1;
	p->pid = who.pid;
	p->restricted = -1;
	p->next = host.peers;
	host.peers = p;
	watch(sock, p, 0);
}

static void end_peer(struct peer *p)
{
	struct peer **link = &host.peers;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	domain_lost(p);
	store_lost(p);
	close(p->sock);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	host_notice();
}

static bool is_dead(const struct peer *p)
{
	struct pollfd poller = { .fd = p->sock, .events = POLLRDHUP };

	return poll(&poller, 1, 0) == 1 &&
	       (poller.revents & (POLLRDHUP | POLLHUP));
}

void host_bury(const struct peer *who_asks)
{
	struct peer *p = host.peers;

	while (p) {
		struct peer *next = p->next;

		if (p != who_asks && is_dead(p))
			end_peer(p);
		p = next;
	}
}

unsigned int host_peers(void)
{
	unsigned int n = 0;

	host_lock();
	host_bury(NULL);
	for (const struct peer *p = host.peers; p; p = p->next)
		n++;
	host_unlock();
	return n;
}

/* ---- questions ----------------------------------------------------------- */

/* A pair for the descriptor that comes with a handle: its end, or -1. */
static int make_pair(struct peer *p, int type)
{
	int fd[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		die("socketpair: %s", strerror(errno));
	p->fd = fd[0];
	return fd[1];
}

static int open_handle(struct peer *p, enum wire_call call,
		       struct wire_reply *reply, int *fd)
{
	p->opened = true;
	p->kind = call;
	if (call == WIRE_OPEN_STORE) {
		*fd = make_pair(p, SOCK_STREAM);
	} else if (call == WIRE_OPEN_MEMORY) {
		*fd = dup(host.memory_fd);
		reply->value[0] = host.bytes;
	} else if (call == WIRE_OPEN_EVENTS) {
		*fd = make_pair(p, SOCK_STREAM);
		watch(p->fd, p, 1);
	}
	return 0;
}

/* Whether this call is to fail. */
static bool is_due(const struct wire_request *request)
{
	struct host_fault *f = &host.fault;

	f->seen++;
	if (!f->at || f->seen < f->at || (f->seen > f->at && !f->stays))
		return false;
	if (!f->injected)
		f->call = request->call;
	f->injected = true;
	return true;
}

static int answer(struct peer *p, const struct wire_request *request,
		  struct wire_reply *reply, int *fd)
{
	if (is_due(request))
		return host.fault.error;
	if (request->call <= WIRE_OPEN_CONTROL)
		return p->opened ? EINVAL :
				   open_handle(p, request->call, reply, fd);
	if (!p->opened)
		return EINVAL;
	if (request->call == WIRE_RESTRICT) {
		p->restricted = (int)request->domid;
		return 0;
	}
	if (p->kind == WIRE_OPEN_STORE)
		return store_answer(p, request, reply);
	return domain_answer(p, request, reply, fd);
}

static void send_reply(const struct peer *p, const struct wire_reply *reply,
		       int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)reply,
			     offsetof(struct wire_reply, text) + reply->bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	/* Who is dead needs none, and will be buried. */
	(void)!sendmsg(p->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (fd >= 0)
		close(fd);
}

static void hear(struct peer *p)
{
	struct wire_request request;
	struct wire_reply reply;
	ssize_t n = recv(p->sock, &request, sizeof(request), MSG_DONTWAIT);
	int fd = -1;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end_peer(p);
		return;
	}
	if (n != sizeof(request))
		die("the host was asked %zd bytes by process %d", n, p->pid);
	request.path[sizeof(request.path) - 1] = '\0';
	request.text[sizeof(request.text) - 1] = '\0';
	memset(&reply, 0, offsetof(struct wire_reply, text));
	reply.error = answer(p, &request, &reply, &fd);
	send_reply(p, &reply, fd);
}

static void hear_unmasked(const struct peer *p)
{
	uint32_t port;
	ssize_t n;

	while ((n = recv(p->fd, &port, sizeof(port), MSG_DONTWAIT)) ==
	       sizeof(port))
		domain_unmask(p, port);
	if (n == 0)
		epoll_ctl(host.epoll, EPOLL_CTL_DEL, p->fd, NULL);
}

/* Who looked meanwhile may have buried it. */
static bool is_peer(const struct peer *wanted)
{
	for (const struct peer *p = host.peers; p; p = p->next)
		if (p == wanted)
			return true;
	return false;
}

static void *serve(void *unused)
{
	struct epoll_event e;

	(void)unused;
	for (;;) {
		struct peer *p;
		uint64_t what;

		/* One at a time: a peer that ends has two. */
		if (epoll_wait(host.epoll, &e, 1, -1) != 1)
			continue;
		what = e.data.u64;
		if (what == (uintptr_t)&ending)
			return NULL;
		host_lock();
		p = (void *)(uintptr_t)(what & ~UINT64_C(1));
		if (what == (uintptr_t)&listening)
			begin_peer();
		else if (is_peer(p) && (what & 1))
			hear_unmasked(p);
		else if (is_peer(p))
			hear(p);
		host_unlock();
	}
}

/* ---- life ---------------------------------------------------------------- */

static void listen_in(const char *directory)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(host.directory, sizeof(host.directory), "%s", directory);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", directory,
		 WIRE_SOCKET);
	unlink(sun.sun_path);
	host.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (host.listener < 0 ||
	    bind(host.listener, (struct sockaddr *)&sun, sizeof(sun)) ||
	    listen(host.listener, 16))
		die("%s: %s", sun.sun_path, strerror(errno));
	setenv(WIRE_DIRECTORY, directory, 1);
}

static void make_memory(size_t bytes)
{
	host.bytes = bytes;
	host.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (host.memory_fd < 0 || ftruncate(host.memory_fd, (off_t)bytes))
		die("no memory for a guest");
	host.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			   host.memory_fd, 0);
	if (host.memory == MAP_FAILED)
		die("no memory for a guest");
}

void host_start(const char *directory, size_t bytes)
{
	pthread_condattr_t attr;

	memset(&host, 0, sizeof(host));
	pthread_mutexattr_t recursive;

	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&host.lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&host.changed, &attr);
	pthread_condattr_destroy(&attr);
	host.server.fd = -1;
	host.next_port = 200;
	make_memory(bytes);
	listen_in(directory);
	host.epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(host.listener, &listening, 0);
	if (pthread_create(&host.thread, NULL, serve, NULL))
		die("no thread");
}

void host_stop(void)
{
	int fd[2];

	if (pipe(fd))
		die("pipe: %s", strerror(errno));
	close(fd[1]);
	watch(fd[0], &ending, 0);
	pthread_join(host.thread, NULL);
	close(fd[0]);
	host_lock();
	while (host.peers)
		end_peer(host.peers);
	domain_destroy();
	store_finish();
	host_unlock();
	munmap(host.memory, host.bytes);
	close(host.memory_fd);
	close(host.listener);
	close(host.epoll);
	pthread_cond_destroy(&host.changed);
	pthread_mutex_destroy(&host.lock);
}
