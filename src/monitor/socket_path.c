/* SPDX-License-Identifier: MIT */
/*
 * The path of a socket that we listen on; see monitor/socket_path.h.
 *
 *	lock	PATH.lock, for life; it says our pid. The kernel lets go of it
 *		however we end
 *	bind	under a name beside PATH, and listen: who finds PATH is served
 *	link	to PATH, which fails if anything is there. A socket that nobody
 *		listens on is what a killed process left, and goes before
 *
 * At the end PATH is removed if it is still what we made; somebody may have put
 * something else there. The lock file goes last.
 *
 * The name beside it has the number of the lock file, which no other path's
 * lock file has: a start after one that was killed finds the same and removes
 * it.
 *
 * Failures: all of them have their sentence, and leave alone what is not ours:
 * what is no socket, what somebody listens on, a PATH.lock with other content.
 */
#include "monitor/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	/* One session at a time; who comes meanwhile waits here. */
	BACKLOG = 8,
	/* A process that is ending holds its lock for a moment. */
	LOCK_TRIES = 250,
	PID_MAX = 16,        /* bytes of a lock file at most */
	NAME_SHOWN_MAX = 40, /* of the name, in that of the first bind */
	FIRST_NAME_MAX = 80,
};

#define LOCK_PAUSE_NS 2000000l

static const char lock_suffix[] = ".lock";

__attribute__((format(printf, 4, 5))) static int
explain(char error[BLOCK_ERROR_MAX], int rc, const struct socket_path *sp,
	const char *format, ...)
{
	int n = snprintf(error, BLOCK_ERROR_MAX, "%s: ", sp->path);
	va_list args;

	va_start(args, format);
	vsnprintf(error + n, BLOCK_ERROR_MAX - (size_t)n, format, args);
	va_end(args);
	return rc;
}

/* By whom, if that is known: else `pid` is 0. */
static int explain_in_use(char error[BLOCK_ERROR_MAX],
			  const struct socket_path *sp, long pid)
{
	char who[32] = "";

	if (pid > 0)
		snprintf(who, sizeof(who), " (pid %ld)", pid);
	return explain(error, -EADDRINUSE, sp,
		       "in use by another process%s: "
		       "stop it, or choose another path",
		       who);
}

/* ---- the lock ---- */

static void lock_name(const struct socket_path *sp, char *to, size_t size)
{
	snprintf(to, size, "%s%s", sp->name, lock_suffix);
}

/* The pid that a lock file has, 0 if it has none, -1 if it is not one. */
static long lock_pid(int fd)
{
	char text[PID_MAX + 1], *end;
	struct stat st;
	ssize_t n;
	long pid;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > PID_MAX)
		return -1;
	n = pread(fd, text, PID_MAX, 0);
	if (n <= 0)
		return n;
	text[n] = '\0';
	pid = strtol(text, &end, 10);
	return pid > 0 && !strcmp(end, "\n") ? pid : -1;
}

/* Whether what `fd` has open is what is called `name` now. */
static bool is_named(const struct socket_path *sp, int fd, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(sp->dir_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* 0, -EAGAIN while another process has it, whose pid is told, or an errno. */
static int lock_once(struct socket_path *sp, const char *name, long *pid)
{
	char text[PID_MAX + 1];
	size_t len = (size_t)snprintf(text, sizeof(text), "%ld\n",
				      (long)getpid());
	int fd = openat(sp->dir_fd, name,
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
				O_NOCTTY,
			0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	*pid = lock_pid(fd);
	if (*pid < 0)
		r = -EEXIST;
	else if (flock(fd, LOCK_EX | LOCK_NB))
		r = -errno;
	/* Its last holder has removed it since we opened it. */
	else if (!is_named(sp, fd, name))
		r = -EAGAIN;
	if (r) {
		close(fd);
		return r;
	}
	/* Only for people: the lock holds without it. */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, len, 0) < 0)
		*pid = 0;
	sp->lock_fd = fd;
	return 0;
}

static int lock(struct socket_path *sp, char error[BLOCK_ERROR_MAX])
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	char name[sizeof(sp->path) + sizeof(lock_suffix)];
	long pid;
	int r;

	lock_name(sp, name, sizeof(name));
	for (unsigned int try = 0;; try++) {
		r = lock_once(sp, name, &pid);
		if (r == 0)
			return 0;
		if (r != -EAGAIN || try == LOCK_TRIES)
			break;
		nanosleep(&pause, NULL);
	}
	if (r == -EEXIST || r == -ELOOP || r == -EISDIR || r == -ENXIO)
		return explain(error, r, sp,
			       "its lock would be %s%s, but that "
			       "is something else: remove it, or choose "
			       "another path",
			       sp->path, lock_suffix);
	if (r != -EAGAIN)
		return explain(error, r, sp, "its lock %s%s cannot be had: %s",
			       sp->path, lock_suffix, strerror(-r));
	return explain_in_use(error, sp, pid);
}

/* ---- the socket ---- */

/*
 * The address of `name` in the folder, whose own path may be too long beside
 * it.
 */
static int address(const struct socket_path *sp, const char *name,
		   struct sockaddr_un *sun)
{
	size_t room = sizeof(sun->sun_path);
	int dir = (int)(sp->name - sp->path);
	int n;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	n = snprintf(sun->sun_path, room, "%.*s%s", dir, sp->path, name);
	if ((size_t)n >= room)
		n = snprintf(sun->sun_path, room, "/proc/self/fd/%d/%s",
			     sp->dir_fd, name);
	return (size_t)n < room ? 0 : -ENAMETOOLONG;
}

/* Only our own user may connect: the file is made with mode 0600. */
static int bind_private(int fd, const struct sockaddr_un *sun)
{
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) ? -errno :
								       0;

	umask(mask);
	return r;
}

static bool is_socket(const struct socket_path *sp, const char *name)
{
	struct stat st;

	return fstatat(sp->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISSOCK(st.st_mode);
}

/* Whether nobody listens on the socket; else who, if that is known. */
static bool is_stale(const struct socket_path *sp, long *pid)
{
	struct sockaddr_un sun;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	bool stale = false;
	int fd;

	*pid = 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (address(sp, sp->name, &sun) == 0)
		stale = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) &&
			errno == ECONNREFUSED;
	if (!stale && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		*pid = cred.pid;
	close(fd);
	return stale;
}

/*
 * Remove the socket that a process left which was killed. No instance of ours
 * is disturbed by the attempt to connect: the lock says that there is none.
 */
static int clear(const struct socket_path *sp, char error[BLOCK_ERROR_MAX])
{
	long pid;

	if (!is_socket(sp, sp->name))
		return explain(error, -EEXIST, sp,
			       "exists and is no socket: "
			       "remove it, or choose another path");
	if (!is_stale(sp, &pid))
		return explain_in_use(error, sp, pid);
	if (unlinkat(sp->dir_fd, sp->name, 0) && errno != ENOENT)
		return explain(error, -errno, sp,
			       "a socket that nobody "
			       "listens on cannot be removed: %s",
			       strerror(errno));
	return 0;
}

static int link_to_path(const struct socket_path *sp, const char *first)
{
	return linkat(sp->dir_fd, first, sp->dir_fd, sp->name, 0) ? -errno : 0;
}

/* Give the socket called `first` its path. */
static int show(struct socket_path *sp, const char *first,
		char error[BLOCK_ERROR_MAX])
{
	struct stat st;
	int r = fstatat(sp->dir_fd, first, &st, AT_SYMLINK_NOFOLLOW) ? -errno :
								       0;

	if (r == 0)
		r = link_to_path(sp, first);
	if (r == -EEXIST) {
		r = clear(sp, error);
		if (r)
			return r;
		r = link_to_path(sp, first);
	}
	if (r)
		return explain(error, r, sp, "no socket can be made there: %s",
			       strerror(-r));
	sp->dev = st.st_dev;
	sp->ino = st.st_ino;
	sp->made = true;
	return 0;
}

static int make(struct socket_path *sp, int fd, char error[BLOCK_ERROR_MAX])
{
	char first[FIRST_NAME_MAX];
	struct sockaddr_un sun;
	struct stat st;
	int r;

	if (fstat(sp->lock_fd, &st))
		return explain(error, -errno, sp, "%s", strerror(errno));
	snprintf(first, sizeof(first), "%.*s.%" PRIuMAX ".new", NAME_SHOWN_MAX,
		 sp->name, (uintmax_t)st.st_ino);
	if (is_socket(sp, first))
		unlinkat(sp->dir_fd, first, 0);
	r = address(sp, first, &sun);
	if (r == 0)
		r = bind_private(fd, &sun);
	if (r)
		return explain(error, r, sp, "no socket can be made there: %s",
			       strerror(-r));
	if (listen(fd, BACKLOG))
		r = explain(error, -errno, sp,
			    "no socket can be made there: "
			    "%s",
			    strerror(errno));
	else
		r = show(sp, first, error);
	unlinkat(sp->dir_fd, first, 0);
	return r;
}

/* ---- life ---- */

void socket_path_init(struct socket_path *sp)
{
	*sp = (struct socket_path){ .dir_fd = -1, .lock_fd = -1 };
}

static int open_dir(struct socket_path *sp, const char *path,
		    char error[BLOCK_ERROR_MAX])
{
	char dir[sizeof(sp->path)];
	const char *slash;

	if (strlen(path) >= sizeof(sp->path)) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s: longer than the path of "
			 "a socket can be (%zu)",
			 path, sizeof(sp->path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(sp->path, path, strlen(path) + 1);
	slash = strrchr(sp->path, '/');
	sp->name = slash ? slash + 1 : sp->path;
	if (!*sp->name || !strcmp(sp->name, ".") || !strcmp(sp->name, ".."))
		return explain(error, -EISDIR, sp, "is no name for a socket");
	snprintf(dir, sizeof(dir), "%.*s", (int)(sp->name - sp->path),
		 sp->path);
	sp->dir_fd = open(slash ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (sp->dir_fd < 0)
		return explain(error, -errno, sp,
			       "its folder cannot be "
			       "opened: %s",
			       strerror(errno));
	return 0;
}

int socket_path_take(struct socket_path *sp, const char *path, int fd,
		     char error[BLOCK_ERROR_MAX])
{
	int r = open_dir(sp, path, error);

	if (r == 0)
		r = lock(sp, error);
	if (r == 0)
		r = make(sp, fd, error);
	return r;
}

void socket_path_drop(struct socket_path *sp)
{
	char name[sizeof(sp->path) + sizeof(lock_suffix)];
	struct stat st;

	if (sp->made &&
	    fstatat(sp->dir_fd, sp->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == sp->dev && st.st_ino == sp->ino)
		unlinkat(sp->dir_fd, sp->name, 0);
	if (sp->lock_fd >= 0) {
		lock_name(sp, name, sizeof(name));
		if (is_named(sp, sp->lock_fd, name))
			unlinkat(sp->dir_fd, name, 0);
		close(sp->lock_fd);
	}
	if (sp->dir_fd >= 0)
		close(sp->dir_fd);
	socket_path_init(sp);
}
