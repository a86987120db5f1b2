/* SPDX-License-Identifier: MIT */
/*
 * The states of the guests' devices; see monitor/state_dir.h.
 *
 *	open	DIR, for life
 *	take	DIR/DOMID; lock `server`; compare `vm` and `boot`
 *	remove	the disks' files as they end, then all of it with the guest
 *
 * The lock (flock) is of the open file, so it stays while anybody has it mapped
 * or open, and the kernel lets go of it however a process ends. Who removes a
 * guest's directory has its lock, and removes `server` as the last file: who
 * has the lock of a file that is not called so any more begins again.
 *
 * Nothing is done by a path after DIR was opened. What lies there must be ours,
 * and nobody else may be able to write it: a directory or a file that somebody
 * else has prepared is refused, for what it says would be believed.
 *
 * Failure modes: a process that is killed between `vm` and its first disk
 * leaves a directory without disks, which is as good as none. One of another
 * guest or another boot, or with no `vm`, is emptied before it is used; one
 * whose `vm` or `boot` cannot be read now is left as it is. A disk of a guest
 * whose directory somebody has removed has a state without a name. Where a boot
 * of the host cannot be told from another one, there are no states.
 */
#include "monitor/state_dir.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
	NAME_LEN_MAX = 24, /* of a number, with its NUL */
	PID_LEN_MAX = 16,
	/*
	 * A process that is ending holds its lock for a moment; and the worker
	 * of one that was killed for longer: it leaves in 2 s
	 * (worker/process.c) or is killed after 4 s (worker/nursery_process.c).
	 */
	LOCK_TRIES = 1000,
};

#define LOCK_PAUSE_NS 5000000l

static const char server_name[] = "server";
static const char vm_name[] = "vm";
static const char boot_name[] = "boot";
static const char pid_name[] = "pid";
static const char note_suffix[] = ".image";
/* What a note of an image begins with; of one length. */
static const char note_reads[] = "ro ";
static const char note_writes[] = "rw ";
static const char boot_id[] = "/proc/sys/kernel/random/boot_id";
static const char boot_variable[] = "VIRTIO_DISK_BOOT";

__attribute__((format(printf, 3, 4))) static int
explain(char error[BLOCK_ERROR_MAX], int rc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, BLOCK_ERROR_MAX, format, args);
	va_end(args);
	return rc;
}

/* ---- what lies there ---- */

/* Whether what `fd` has open is ours alone to write: 0 or a negative errno. */
static int check_ours(int fd, mode_t type)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((st.st_mode & S_IFMT) != type)
		return -EEXIST;
	return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) ?
		       0 :
		       -EPERM;
}

/* A descriptor, or a negative errno. */
static int open_ours(int at, const char *name, int flags, mode_t type)
{
	int fd = openat(at, name,
			flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
			0600);
	int r;

	if (fd < 0)
		return -errno;
	r = check_ours(fd, type);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* The same, made where it is not there. */
static int open_dir(int at, const char *name)
{
	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return -errno;
	return open_ours(at, name, O_RDONLY | O_DIRECTORY, S_IFDIR);
}

static int explain_open(char error[BLOCK_ERROR_MAX], int rc, const char *path,
			const char *name)
{
	const char *slash = *name ? "/" : "";

	if (rc == -EPERM)
		return explain(error, rc,
			       "%s%s%s belongs to somebody else, or others may "
			       "write it: remove it, or choose another "
			       "--state-dir",
			       path, slash, name);
	if (rc == -EEXIST || rc == -ENOTDIR || rc == -ELOOP)
		return explain(error, rc,
			       "%s%s%s is something else: remove it, or choose "
			       "another --state-dir",
			       path, slash, name);
	return explain(error, rc, "%s%s%s cannot be opened: %s", path, slash,
		       name, strerror(-rc));
}

/*
 * What a small file says; "" where it says nothing, or is not there. 0, or a
 * negative errno: what it says is not known, and `text` is "".
 */
static int read_text(int at, const char *name, char *text, size_t size)
{
	int fd = open_ours(at, name, O_RDONLY, S_IFREG);
	ssize_t n;
	int r = 0;

	text[0] = '\0';
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	n = read(fd, text, size - 1);
	if (n < 0)
		r = -errno;
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return r;
}

static int write_text(int at, const char *name, const char *text)
{
	size_t n = strlen(text);
	int fd = open_ours(at, name, O_WRONLY | O_CREAT | O_TRUNC, S_IFREG);
	int r = fd < 0 ? fd : 0;

	if (fd >= 0 && write(fd, text, n) != (ssize_t)n)
		r = errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	return r;
}

static bool is_number(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return n > 0 && n < NAME_LEN_MAX && name[n] == '\0';
}

/* Of the image of a disk. */
static bool is_note(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return n > 0 && n < NAME_LEN_MAX && strcmp(name + n, note_suffix) == 0;
}

/* Call `f` with each name in a directory until it says false. */
static void for_each(int at, bool (*f)(void *arg, int at, const char *name),
		     void *arg)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0 &&
		    !f(arg, at, entry->d_name))
			break;
	closedir(stream);
}

/* ---- the lock ---- */

/* Whether what `fd` has open is what is called `name` now. */
static bool is_named(int fd, int at, const char *name)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(at, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * `server` of a guest's directory, locked; or a negative errno: -EAGAIN while
 * another process has it, or the directory was removed meanwhile.
 */
static int lock_server(int at, int flags)
{
	int fd = open_ours(at, server_name, O_RDWR | flags, S_IFREG);
	int r = 0;

	if (fd < 0)
		return fd == -ENOENT ? -EAGAIN : fd;
	if (flock(fd, LOCK_EX | LOCK_NB))
		r = errno == EWOULDBLOCK ? -EAGAIN : -errno;
	else if (!is_named(fd, at, server_name))
		r = -EAGAIN;
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* ---- removing ---- */

static bool remove_file(void *arg, int at, const char *name)
{
	(void)arg;
	if (strcmp(name, server_name) != 0)
		unlinkat(at, name, 0);
	return true;
}

static bool remove_disk(void *arg, int at, const char *name)
{
	(void)arg;
	if (is_number(name) || is_note(name))
		unlinkat(at, name, 0);
	return true;
}

/* All of a guest whose lock we have. */
static void remove_guest(int root_fd, int fd, unsigned int domid)
{
	char name[NAME_LEN_MAX];

	snprintf(name, sizeof(name), "%u", domid);
	for_each(fd, remove_file, NULL);
	unlinkat(fd, server_name, 0);
	unlinkat(root_fd, name, AT_REMOVEDIR);
}

struct sweep {
	bool (*gone)(void *arg, unsigned int domid, const char *vm);
	void *arg;
};

/*
 * Whose states they are that nobody serves: 0 and a text, with `server` locked.
 * Or a negative errno, of what cannot be read now as well: nobody knows whether
 * it is needed.
 */
static int lock_unserved(int fd, int *server_fd, char vm[STATE_DIR_VM_MAX])
{
	int r;

	/* Also of a guest that never had one. */
	*server_fd = lock_server(fd, O_CREAT);
	if (*server_fd < 0)
		return *server_fd;
	r = read_text(fd, vm_name, vm, STATE_DIR_VM_MAX);
	if (r)
		close(*server_fd);
	return r;
}

/* Unless somebody has come for it meanwhile. */
static void remove_unserved(int at, int fd, unsigned int domid, const char *vm)
{
	char now[STATE_DIR_VM_MAX];
	int server_fd;

	if (lock_unserved(fd, &server_fd, now))
		return;
	if (strcmp(now, vm) == 0)
		remove_guest(at, fd, domid);
	close(server_fd);
}

/* Who is asked may take long, and its guest's next process needs the lock. */
static bool sweep_one(void *arg, int at, const char *name)
{
	const struct sweep *sweep = arg;
	unsigned int domid = (unsigned int)strtoul(name, NULL, 10);
	char vm[STATE_DIR_VM_MAX];
	int fd, server_fd;

	if (!is_number(name))
		return true;
	fd = open_ours(at, name, O_RDONLY | O_DIRECTORY, S_IFDIR);
	if (fd < 0)
		return true;
	if (lock_unserved(fd, &server_fd, vm) == 0) {
		close(server_fd);
		if (sweep->gone(sweep->arg, domid, vm))
			remove_unserved(at, fd, domid, vm);
	}
	close(fd);
	return true;
}

void state_dir_sweep(const struct state_dir *dir,
		     bool (*gone)(void *arg, unsigned int domid,
				  const char *vm),
		     void *arg)
{
	struct sweep sweep = { .gone = gone, .arg = arg };

	for_each(dir->root_fd, sweep_one, &sweep);
}

/* ---- from the first to the last ---- */

/* Whether nothing of it outlives the host. */
static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The kernel has dashes and a line's end in it, systemd has not. */
static void keep_digits(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (isxdigit((unsigned char)*text))
			*to++ = *text;
	*to = '\0';
}

static void read_boot(char boot[STATE_DIR_BOOT_MAX])
{
	int fd = open(boot_id, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, boot, STATE_DIR_BOOT_MAX - 1);
		close(fd);
	}
	boot[n > 0 ? n : 0] = '\0';
}

/*
 * Which boot of the host this is: domain ids are the same after another one.
 * Who sees nothing of /proc but its own part is told by who has started it.
 */
static int find_boot(struct state_dir *dir, char error[BLOCK_ERROR_MAX])
{
	const char *told = getenv(boot_variable);

	read_boot(dir->boot);
	if (!*dir->boot && told)
		snprintf(dir->boot, sizeof(dir->boot), "%s", told);
	keep_digits(dir->boot);
	if (*dir->boot)
		return 0;
	return explain(error, -ENODATA,
		       "%s is not on a tmpfs, and this boot of the host cannot "
		       "be told from others, as %s cannot be read and %s is "
		       "not set: choose another --state-dir, on a tmpfs",
		       dir->path, boot_id, boot_variable);
}

int state_dir_open(struct state_dir *dir, const char *path,
		   char error[BLOCK_ERROR_MAX])
{
	int r;

	*dir = STATE_DIR_CLOSED;
	dir->path = path;
	dir->root_fd = open_dir(AT_FDCWD, path);
	if (dir->root_fd < 0)
		return explain_open(error, dir->root_fd, path, "");
	r = is_in_memory(dir->root_fd) ? 0 : find_boot(dir, error);
	if (r)
		state_dir_close(dir);
	return r;
}

static void let_go(struct state_dir *dir)
{
	if (dir->server_fd >= 0)
		close(dir->server_fd);
	if (dir->fd >= 0)
		close(dir->fd);
	dir->server_fd = -1;
	dir->fd = -1;
}

void state_dir_close(struct state_dir *dir)
{
	let_go(dir);
	if (dir->root_fd >= 0)
		close(dir->root_fd);
	dir->root_fd = -1;
}

/* 0; -EAGAIN: to be tried again; or another negative errno and a sentence. */
static int take_once(struct state_dir *dir, char error[BLOCK_ERROR_MAX])
{
	char name[NAME_LEN_MAX];

	snprintf(name, sizeof(name), "%u", dir->domid);
	dir->fd = open_dir(dir->root_fd, name);
	if (dir->fd == -ENOENT)
		return -EAGAIN;
	if (dir->fd < 0)
		return explain_open(error, dir->fd, dir->path, name);
	dir->server_fd = lock_server(dir->fd, O_CREAT);
	if (dir->server_fd >= 0 || dir->server_fd == -EAGAIN)
		return dir->server_fd < 0 ? -EAGAIN : 0;
	return explain_open(error, dir->server_fd, dir->path, name);
}

/* Say who has it. */
static int explain_busy(const struct state_dir *dir,
			char error[BLOCK_ERROR_MAX])
{
	char pid[PID_LEN_MAX];

	read_text(dir->fd, pid_name, pid, sizeof(pid));
	pid[strcspn(pid, "\n")] = '\0';
	return explain(error, -EBUSY,
		       "domain %u is served by %sprocess%s%s: stop that first",
		       dir->domid, *pid ? "" : "another ", *pid ? " " : "",
		       pid);
}

/* Whether the states are of another boot: 0 or 1, or a negative errno. */
static int is_of_another_boot(const struct state_dir *dir)
{
	char text[STATE_DIR_BOOT_MAX];
	int r;

	if (!*dir->boot)
		return 0;
	r = read_text(dir->fd, boot_name, text, sizeof(text));
	keep_digits(text);
	return r ? r : strcmp(text, dir->boot) != 0;
}

/* Without the states that are there. 0 or a negative errno. */
static int begin(const struct state_dir *dir, const char *vm)
{
	int r = 0;

	for_each(dir->fd, remove_disk, NULL);
	if (ftruncate(dir->server_fd, 0))
		return -errno;
	if (*dir->boot)
		r = write_text(dir->fd, boot_name, dir->boot);
	return r ? r : write_text(dir->fd, vm_name, vm);
}

/* Those of another guest or boot are removed. 0 or a negative errno. */
static int claim(const struct state_dir *dir, const char *vm)
{
	char text[STATE_DIR_VM_MAX];
	int r = read_text(dir->fd, vm_name, text, sizeof(text));
	int other = is_of_another_boot(dir);

	if (r || other < 0)
		return r ? r : other;
	if (other && *text)
		log_warning("%s/%u is of another boot of the host: it is "
			    "removed",
			    dir->path, dir->domid);
	if (other || strcmp(text, vm) != 0)
		r = begin(dir, vm);
	if (r)
		return r;
	/* Only for who is told of us: a full tmpfs takes no guest away. */
	snprintf(text, PID_LEN_MAX, "%ld\n", (long)getpid());
	if (write_text(dir->fd, pid_name, text))
		unlinkat(dir->fd, pid_name, 0);
	return 0;
}

int state_dir_take(struct state_dir *dir, unsigned int domid, const char *vm,
		   char error[BLOCK_ERROR_MAX])
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	int r;

	assert(dir->root_fd >= 0 && dir->fd < 0 && *vm);
	dir->domid = domid;
	for (unsigned int try = 0;; try++) {
		r = take_once(dir, error);
		if (r == 0)
			break;
		if (r == -EAGAIN && try == LOCK_TRIES)
			r = explain_busy(dir, error);
		let_go(dir);
		if (r != -EAGAIN)
			return r;
		nanosleep(&pause, NULL);
	}
	r = claim(dir, vm);
	if (r == 0)
		return 0;
	explain(error, r, "%s/%u cannot be read or written: %s", dir->path,
		domid, strerror(-r));
	let_go(dir);
	return r;
}

void state_dir_remove(struct state_dir *dir)
{
	if (dir->fd >= 0)
		remove_guest(dir->root_fd, dir->fd, dir->domid);
	let_go(dir);
}

bool state_dir_has_guest(const struct state_dir *dir)
{
	return dir->fd >= 0;
}

/* A look that fails says nothing of it. */
static bool is_removed(int fd, int at, const char *name)
{
	struct stat a, b;

	if (fstat(fd, &a))
		return false;
	if (fstatat(at, name, &b, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT || errno == ENOTDIR;
	return a.st_dev != b.st_dev || a.st_ino != b.st_ino;
}

bool state_dir_can_be_found(const struct state_dir *dir)
{
	char name[NAME_LEN_MAX];

	snprintf(name, sizeof(name), "%u", dir->domid);
	return dir->fd >= 0 && !is_removed(dir->fd, dir->root_fd, name) &&
	       !is_removed(dir->server_fd, dir->fd, server_name);
}

/* ---- disks ---- */

/* Nobody finds it again: only who has it open goes on with it. */
static int open_nameless(const struct state_dir *dir,
			 char error[BLOCK_ERROR_MAX])
{
	int fd = memfd_create("virtio-disk", MFD_CLOEXEC);

	log_warning("%s/%u has been removed: no next process can go on with "
		    "the disks of domain %u, which loses them with this one",
		    dir->path, dir->domid, dir->domid);
	return fd >= 0 ? fd :
			 explain(error, -errno,
				 "no memory for the state of a disk");
}

int state_dir_open_disk(const struct state_dir *dir, uint64_t devid, bool make,
			char error[BLOCK_ERROR_MAX])
{
	char name[2 * NAME_LEN_MAX];
	int fd;

	if (make && !state_dir_can_be_found(dir))
		return open_nameless(dir, error);
	snprintf(name, sizeof(name), "%" PRIu64, devid);
	fd = open_ours(dir->fd, name, O_RDWR | (make ? O_CREAT | O_TRUNC : 0),
		       S_IFREG);
	if (fd >= 0)
		return fd;
	snprintf(name, sizeof(name), "%u/%" PRIu64, dir->domid, devid);
	return explain_open(error, fd, dir->path, name);
}

static void name_note(char name[2 * NAME_LEN_MAX], uint64_t devid)
{
	snprintf(name, 2ul * NAME_LEN_MAX, "%" PRIu64 "%s", devid, note_suffix);
}

/*
 * One that says the same is left alone: a process that is killed meanwhile
 * leaves what was there.
 */
int state_dir_note_image(const struct state_dir *dir, uint64_t devid,
			 const char *file, bool readonly)
{
	char text[sizeof(note_writes) + STATE_DIR_FILE_MAX];
	char now[sizeof(text)];
	char name[2 * NAME_LEN_MAX];

	if (strlen(file) >= STATE_DIR_FILE_MAX)
		return -ENAMETOOLONG;
	snprintf(text, sizeof(text), "%s%s",
		 readonly ? note_reads : note_writes, file);
	name_note(name, devid);
	if (read_text(dir->fd, name, now, sizeof(now)) == 0 &&
	    strcmp(text, now) == 0)
		return 0;
	return write_text(dir->fd, name, text);
}

int state_dir_read_image(const struct state_dir *dir, uint64_t devid,
			 char file[STATE_DIR_FILE_MAX], bool *readonly)
{
	enum { HEAD = sizeof(note_writes) - 1 };
	char text[HEAD + STATE_DIR_FILE_MAX];
	char name[2 * NAME_LEN_MAX];
	int r;

	name_note(name, devid);
	r = read_text(dir->fd, name, text, sizeof(text));
	if (r)
		return r;
	*readonly = strncmp(text, note_reads, HEAD) == 0;
	if (!*readonly && strncmp(text, note_writes, HEAD) != 0)
		return -ENOENT;
	memcpy(file, text + HEAD, strlen(text + HEAD) + 1);
	return 0;
}

/* The note last: what has a state has one. */
void state_dir_remove_disk(const struct state_dir *dir, uint64_t devid)
{
	char name[2 * NAME_LEN_MAX];

	if (dir->fd < 0)
		return;
	snprintf(name, sizeof(name), "%" PRIu64, devid);
	unlinkat(dir->fd, name, 0);
	name_note(name, devid);
	unlinkat(dir->fd, name, 0);
}

struct list {
	uint64_t *devid;
	unsigned int n;
};

static bool list_one(void *arg, int at, const char *name)
{
	struct list *list = arg;

	(void)at;
	if (is_number(name))
		list->devid[list->n++] = strtoull(name, NULL, 10);
	return list->n < STATE_DIR_DISKS_MAX;
}

unsigned int state_dir_list(const struct state_dir *dir,
			    uint64_t devid[STATE_DIR_DISKS_MAX])
{
	struct list list = { .n = 0 };

	list.devid = devid;
	if (dir->fd >= 0)
		for_each(dir->fd, list_one, &list);
	return list.n;
}
