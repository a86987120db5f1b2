/* SPDX-License-Identifier: MIT */
/*
 * Looks at the states of others; see monitor/state_look.h.
 *
 *	DIR/DOMID/server	is locked by who serves the guest
 *	DIR/watch		is locked by the watcher
 *
 * Whether a file is locked is found by locking it, for a moment, together with
 * others who look. Who wants it for good meets that at worst once, and tries
 * more often (state_dir_take(), and here).
 *
 * Failure: what cannot be looked at is not there. Then an instance is started
 * that finds out better.
 */
#include "monitor/state_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
	PATH_LEN_MAX = 32,
	PID_LEN_MAX = 16,
	CLAIM_TRIES = 20,
};

#define CLAIM_PAUSE_NS 5000000l

static const char watch_name[] = "watch";

static int open_at(int at, const char *name, int flags)
{
	return openat(at, name,
		      flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		      0600);
}

static bool is_locked(int at, const char *name)
{
	int fd = open_at(at, name, O_RDONLY);
	bool locked;

	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

/* "" where it says nothing. */
static void read_word(int at, const char *name, char *text, size_t size)
{
	int fd = open_at(at, name, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

bool state_look_serves(const struct state_dir *dir, unsigned int domid,
		       const char *vm, pid_t *pid)
{
	char name[PATH_LEN_MAX], text[STATE_DIR_VM_MAX];

	if (dir->root_fd < 0)
		return false;
	snprintf(name, sizeof(name), "%u/server", domid);
	if (!is_locked(dir->root_fd, name))
		return false;
	snprintf(name, sizeof(name), "%u/vm", domid);
	read_word(dir->root_fd, name, text, sizeof(text));
	if (vm && strcmp(text, vm) != 0)
		return false;
	snprintf(name, sizeof(name), "%u/pid", domid);
	read_word(dir->root_fd, name, text, PID_LEN_MAX);
	*pid = (pid_t)strtol(text, NULL, 10);
	return true;
}

/*
 * A monitor's filter has no kill() for it; who owns a file that tells nobody
 * anything is no signal. A kernel before Linux 4.13 takes any number.
 */
static bool is_dead(int fd, pid_t pid)
{
	return pid > 0 && fcntl(fd, F_SETOWN, pid) && errno == ESRCH;
}

bool state_look_is_left(const struct state_dir *dir, unsigned int domid)
{
	pid_t pid;

	return state_look_serves(dir, domid, NULL, &pid) &&
	       is_dead(dir->root_fd, pid);
}

int state_look_claim(const struct state_dir *dir)
{
	const struct timespec pause = { .tv_nsec = CLAIM_PAUSE_NS };
	int fd = open_at(dir->root_fd, watch_name, O_RDWR | O_CREAT);
	int r = fd < 0 ? -errno : -EBUSY;

	for (int i = 0; r == -EBUSY && i < CLAIM_TRIES; i++) {
		if (i)
			nanosleep(&pause, NULL);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

bool state_look_is_watched(const struct state_dir *dir)
{
	return dir->root_fd >= 0 && is_locked(dir->root_fd, watch_name);
}
