/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a peer; see vhost_user/peer_fd.h.
 *
 * A file is taken for local if it is in memory, on hugetlbfs, or on a file
 * system that has a block device (a peer cannot mount one of those), or if it
 * has a handle of another type than FUSE's. None of these questions goes to the
 * file system's server. What is left (overlays, 9p) is refused, as nobody can
 * tell what is below.
 *
 * Failure: a descriptor whose close waits for ever costs a thread. When a few
 * are lost so, the others wait for one that may come back, and beyond a number
 * of these they stay open.
 */
#include "vhost_user/peer_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"

enum {
	CLOSERS_MAX = 8,   /* threads */
	WAITING_MAX = 512, /* descriptors */
	/* Types of file handles: an inode's number and generation, of FUSE. */
	FUSE_HANDLE = 0x81,
	FUSE_HANDLE_PARENT = 0x82,
};

/* What waits to be closed, and who does that. */
static struct {
	pthread_mutex_t lock;
	unsigned int threads;
	unsigned int n;
	int fd[WAITING_MAX];
} closing = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What is known without asking the file's server. */
static bool look(int fd, struct statx *stx)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_TYPE | STATX_INO, stx) == 0;
}

/* Of the one inode that files without a name share. */
static bool is_anonymous(const struct statx *stx)
{
	static uint64_t anonymous; /* atomic; 0: not known yet */
	uint64_t inode = __atomic_load_n(&anonymous, __ATOMIC_RELAXED);
	struct statx own;
	int fd;

	if (stx->stx_mode & S_IFMT)
		return false;
	if (!inode) {
		fd = eventfd(0, EFD_CLOEXEC);
		if (fd >= 0 && look(fd, &own))
			inode = own.stx_ino;
		if (fd >= 0)
			close(fd);
		__atomic_store_n(&anonymous, inode, __ATOMIC_RELAXED);
	}
	/* Without a descriptor to compare with, the behaviour has to do. */
	return !inode || stx->stx_ino == inode;
}

/*
 * By its behaviour, since its name is to be had from /proc only. It has no room
 * for less than a counter; it takes an addition of 0, which never waits. The
 * first says no for what cannot be read without waiting, the second for what
 * is read only: timers, signals, epoll.
 */
bool peer_fd_is_event(int fd)
{
	const uint64_t zero = 0;
	uint32_t half;
	const struct iovec iov = { .iov_base = &half, .iov_len = sizeof(half) };
	struct statx stx;

	return look(fd, &stx) && is_anonymous(&stx) &&
	       preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0 && errno == EINVAL &&
	       write(fd, &zero, sizeof(zero)) == sizeof(zero);
}

/* Tells memfd, tmpfs and hugetlbfs from all else. */
static bool has_seals(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

static bool has_local_handle(int fd)
{
	struct {
		struct file_handle handle;
		unsigned char bytes[MAX_HANDLE_SZ];
	} h = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	return name_to_handle_at(fd, "", &h.handle, &mount, AT_EMPTY_PATH) ==
		       0 &&
	       h.handle.handle_type != FUSE_HANDLE &&
	       h.handle.handle_type != FUSE_HANDLE_PARENT;
}

int peer_fd_check_file(int fd)
{
	struct statx stx;

	if (!look(fd, &stx))
		return -EREMOTE;
	if (!S_ISREG(stx.stx_mode))
		return -EINVAL;
	return stx.stx_dev_major || has_seals(fd) || has_local_handle(fd) ?
		       0 :
		       -EREMOTE;
}

static bool is_quiet_socket(int fd)
{
	struct linger linger = { 0 };
	socklen_t len = sizeof(linger);

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 &&
	       !linger.l_onoff;
}

/* Whether closing it does not wait. */
static bool is_quiet(int fd)
{
	struct statx stx;

	if (!look(fd, &stx))
		return false;
	if (S_ISSOCK(stx.stx_mode))
		return is_quiet_socket(fd);
	return S_ISFIFO(stx.stx_mode) || peer_fd_is_event(fd) ||
	       peer_fd_check_file(fd) == 0;
}

/* Close what waits until there is nothing more. */
static void *run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&closing.lock);
	while (closing.n) {
		int fd = closing.fd[--closing.n];

		pthread_mutex_unlock(&closing.lock);
		close(fd);
		pthread_mutex_lock(&closing.lock);
	}
	closing.threads--;
	pthread_mutex_unlock(&closing.lock);
	return NULL;
}

static bool start_closer(void)
{
	pthread_t thread;

	if (thread_start(&thread, run, NULL))
		return false;
	pthread_detach(thread);
	return true;
}

/* Leave it to a closer: false if there is none, or no place. */
static bool close_later(int fd)
{
	bool ok;

	pthread_mutex_lock(&closing.lock);
	ok = closing.n < WAITING_MAX;
	if (ok) {
		closing.fd[closing.n++] = fd;
		if (closing.threads < CLOSERS_MAX)
			closing.threads += start_closer();
		ok = closing.threads > 0;
		closing.n -= !ok;
	}
	pthread_mutex_unlock(&closing.lock);
	return ok;
}

void peer_fd_close(int fd)
{
	static struct log_limit limit;

	if (is_quiet(fd))
		close(fd);
	else if (!close_later(fd))
		log_limited(&limit, LOG_LEVEL_WARNING,
			    "descriptor %d of a front end stays open: closing "
			    "those before it does not end",
			    fd);
}
