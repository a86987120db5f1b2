/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=nanosleep,--wrap=open,--wrap=open64 */
/* LDFLAGS: -Wl,--wrap=fstat,--wrap=fstatat */
/*
 * The directory of the states: made, locked, emptied and removed, by one
 * process and by two; and what somebody else may have put there.
 */
#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor/state_dir.h"

enum { DOMID = 5, DEVID = 51712 };

#define VM "/vm/11111111-2222-3333-4444-555555555555"
#define OTHER_VM "/vm/66666666-2222-3333-4444-555555555555"

static char top[64]; /* of the test, with DIR in it */
static char root[80];
static char error[BLOCK_ERROR_MAX];

/* How long would have been waited, where that is only counted. */
static bool waits_in_mind;
static long waited_ms;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	if (!waits_in_mind)
		return __real_nanosleep(time, left);
	waited_ms += (long)time->tv_sec * 1000 + time->tv_nsec / 1000000;
	return 0;
}

static bool proc_is_hidden;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, int) : 0;
	va_end(args);
	if (proc_is_hidden && strncmp(path, "/proc/sys", 9) == 0) {
		errno = ENOENT;
		return -1;
	}
	return __real_open(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, int) : 0;
	va_end(args);
	return __wrap_open(path, flags, mode);
}

/* Of the looks at files this one fails, once; 0: none. */
static unsigned int stat_fails_at;
static int stat_error;

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fstatat(int at, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int at, const char *path, struct stat *st, int flags);

static bool stat_fails(void)
{
	if (!stat_fails_at || --stat_fails_at)
		return false;
	errno = stat_error;
	return true;
}

int __wrap_fstat(int fd, struct stat *st)
{
	return stat_fails() ? -1 : __real_fstat(fd, st);
}

int __wrap_fstatat(int at, const char *path, struct stat *st, int flags)
{
	return stat_fails() ? -1 : __real_fstatat(at, path, st, flags);
}

static const char *path_of(const char *name)
{
	static char path[4][160];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", root, name);
	return p;
}

static bool exists(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/state-dir-XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(root, sizeof(root), "%s/states", top);
	memset(error, 0, sizeof(error));
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

static unsigned int descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void open_dir(struct state_dir *dir)
{
	assert_int_equal(state_dir_open(dir, root, error), 0);
}

static void take(struct state_dir *dir, const char *vm)
{
	open_dir(dir);
	assert_int_equal(state_dir_take(dir, DOMID, vm, error), 0);
	assert_true(state_dir_has_guest(dir));
}

static void make_disk(const struct state_dir *dir, uint64_t devid)
{
	int fd = state_dir_open_disk(dir, devid, true, error);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "state", 5), 5);
	close(fd);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(name), &st), 0);
	return st.st_mode & 07777;
}

static void test_made_private_and_removed(void **state)
{
	const unsigned int before = descriptors();
	mode_t mask = umask(0);
	struct state_dir dir;

	(void)state;
	take(&dir, VM);
	make_disk(&dir, DEVID);
	umask(mask);
	assert_int_equal(mode_of("."), 0700);
	assert_int_equal(mode_of("5"), 0700);
	assert_int_equal(mode_of("5/server"), 0600);
	assert_int_equal(mode_of("5/vm"), 0600);
	assert_int_equal(mode_of("5/pid"), 0600);
	assert_int_equal(mode_of("5/51712"), 0600);
	state_dir_remove(&dir);
	assert_false(state_dir_has_guest(&dir));
	assert_false(exists("5"));
	assert_true(exists("."));
	/* The next one, with the same number or another. */
	assert_int_equal(state_dir_take(&dir, DOMID + 1, VM, error), 0);
	state_dir_remove(&dir);
	state_dir_remove(&dir);
	state_dir_close(&dir);
	state_dir_close(&dir);
	assert_int_equal(descriptors(), before);
}

static void test_closed_has_nothing(void **state)
{
	struct state_dir dir;
	uint64_t devid[STATE_DIR_DISKS_MAX];

	(void)state;
	assert_int_equal(state_dir_open(&dir, "/proc/nowhere", error), -ENOENT);
	assert_non_null(strstr(error, "/proc/nowhere"));
	assert_false(state_dir_has_guest(&dir));
	assert_int_equal(state_dir_list(&dir, devid), 0);
	state_dir_remove_disk(&dir, DEVID);
	state_dir_remove(&dir);
	state_dir_close(&dir);
}

/* Left by one process, found by the next one. */
static void test_left_for_the_next(void **state)
{
	uint64_t devid[STATE_DIR_DISKS_MAX];
	struct state_dir dir;
	char text[8];
	int fd;

	(void)state;
	take(&dir, VM);
	assert_int_equal(ftruncate(dir.server_fd, 4096), 0);
	make_disk(&dir, DEVID);
	make_disk(&dir, 7);
	assert_int_equal(state_dir_open_disk(&dir, 8, false, error), -ENOENT);
	assert_non_null(strstr(error, "/5/8 "));
	state_dir_close(&dir);

	take(&dir, VM);
	assert_int_equal(lseek(dir.server_fd, 0, SEEK_END), 4096);
	assert_int_equal(state_dir_list(&dir, devid), 2);
	assert_int_equal(devid[0] + devid[1], DEVID + 7);
	fd = state_dir_open_disk(&dir, DEVID, false, error);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	close(fd);
	/* One that is made is empty. */
	fd = state_dir_open_disk(&dir, 7, true, error);
	assert_int_equal(read(fd, text, sizeof(text)), 0);
	close(fd);
	state_dir_remove_disk(&dir, DEVID);
	state_dir_remove_disk(&dir, DEVID);
	assert_int_equal(state_dir_list(&dir, devid), 1);
	assert_int_equal(devid[0], 7);
	state_dir_close(&dir);
}

/* Its number is another guest's now, or nobody knows whose it was. */
static void found_empty(const char *vm)
{
	uint64_t devid[STATE_DIR_DISKS_MAX];
	struct state_dir dir;

	take(&dir, vm);
	assert_int_equal(state_dir_list(&dir, devid), 0);
	assert_int_equal(lseek(dir.server_fd, 0, SEEK_END), 0);
	assert_int_equal(ftruncate(dir.server_fd, 4096), 0);
	make_disk(&dir, DEVID);
	state_dir_close(&dir);
}

static void test_another_guest_of_the_number(void **state)
{
	(void)state;
	found_empty(VM);
	found_empty(OTHER_VM);
	assert_int_equal(truncate(path_of("5/vm"), 0), 0);
	found_empty(OTHER_VM);
	assert_int_equal(unlink(path_of("5/vm")), 0);
	found_empty(OTHER_VM);
}

static void write_boot(const char *text)
{
	FILE *f = fopen(path_of("5/boot"), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* With the number and the uuid of a guest that runs now. */
static void test_another_boot_of_the_host(void **state)
{
	struct state_dir dir;
	bool outlives;

	(void)state;
	take(&dir, VM);
	make_disk(&dir, DEVID);
	outlives = exists("5/boot");
	assert_int_equal(strlen(dir.boot), outlives ? 32 : 0);
	state_dir_close(&dir);
	if (!outlives) {
		/* On a tmpfs nobody asks. */
		write_boot("11111111-2222-3333-4444-555555555555\n");
		take(&dir, VM);
		assert_true(exists("5/51712"));
		state_dir_close(&dir);
		return;
	}
	take(&dir, VM);
	assert_true(exists("5/51712"));
	state_dir_close(&dir);
	write_boot("11111111-2222-3333-4444-555555555555\n");
	found_empty(VM);
	write_boot("");
	found_empty(VM);
	assert_int_equal(unlink(path_of("5/boot")), 0);
	found_empty(VM);
	/* From then on it is of this boot. */
	take(&dir, VM);
	assert_true(exists("5/51712"));
	state_dir_close(&dir);
}

static void in(const char *folder)
{
	assert_int_equal(teardown(NULL), 0);
	snprintf(top, sizeof(top), "%s/state-dir-XXXXXX", folder);
	assert_non_null(mkdtemp(top));
	snprintf(root, sizeof(root), "%s/states", top);
}

/* What cannot outlive the host, and what can. */
static void test_boots_by_file_system(void **state)
{
	if (access("/dev/shm", W_OK))
		skip();
	in("/dev/shm");
	test_another_boot_of_the_host(state);
	in("build");
	test_another_boot_of_the_host(state);
}

/* Its number of the boot, as systemd writes it. */
static void tell_boot(const char *text)
{
	char digits[STATE_DIR_BOOT_MAX] = "";
	unsigned int n = 0;

	for (; text && *text && n < sizeof(digits) - 1; text++)
		if (*text != '-' && *text != '\n')
			digits[n++] = *text;
	if (text)
		assert_int_equal(setenv("VIRTIO_DISK_BOOT", digits, 1), 0);
	else
		assert_int_equal(unsetenv("VIRTIO_DISK_BOOT"), 0);
}

/* The unit hides /proc: who has started us says which boot this is. */
static void test_boot_that_is_told(void **state)
{
	struct state_dir dir;
	char boot[64] = "";
	FILE *f;

	(void)state;
	in("build");
	f = fopen("/proc/sys/kernel/random/boot_id", "r");
	assert_non_null(f);
	assert_non_null(fgets(boot, sizeof(boot), f));
	fclose(f);
	/* As an earlier version has noted it. */
	take(&dir, VM);
	make_disk(&dir, DEVID);
	state_dir_close(&dir);
	write_boot(boot);

	proc_is_hidden = true;
	tell_boot(NULL);
	assert_int_equal(state_dir_open(&dir, root, error), -ENODATA);
	assert_non_null(strstr(error, "VIRTIO_DISK_BOOT is not set"));
	tell_boot("");
	assert_int_equal(state_dir_open(&dir, root, error), -ENODATA);
	tell_boot(boot);
	take(&dir, VM);
	assert_true(exists("5/51712"));
	state_dir_close(&dir);
	tell_boot("11111111-2222-3333-4444-555555555555");
	found_empty(VM);
	proc_is_hidden = false;
	/* What the kernel says is believed. */
	found_empty(VM);
	take(&dir, VM);
	assert_true(exists("5/51712"));
	state_dir_close(&dir);
	tell_boot(NULL);
}

static bool gone_if_even(void *arg, unsigned int domid, const char *vm)
{
	(*(unsigned int *)arg)++;
	assert_string_equal(vm, domid == DOMID ? "" : VM);
	return domid % 2 == 0;
}

static void test_sweep(void **state)
{
	const unsigned int before = descriptors();
	struct state_dir dir, other;
	unsigned int asked = 0;

	(void)state;
	for (unsigned int domid = 6; domid < 10; domid++) {
		open_dir(&other);
		assert_int_equal(state_dir_take(&other, domid, VM, error), 0);
		make_disk(&other, DEVID);
		if (domid < 9)
			state_dir_close(&other);
	}
	state_dir_remove(&other);
	state_dir_close(&other);
	/* One that is served, one that was killed at once, and neither. */
	open_dir(&other);
	assert_int_equal(state_dir_take(&other, 10, VM, error), 0);
	assert_int_equal(mkdir(path_of("5"), 0700), 0);
	assert_int_equal(mkdir(path_of("4a"), 0700), 0);
	assert_int_equal(symlink("7", path_of("12")), 0);

	open_dir(&dir);
	state_dir_sweep(&dir, gone_if_even, &asked);
	assert_int_equal(asked, 4);
	assert_true(exists("5"));
	assert_false(exists("6"));
	assert_true(exists("7/51712"));
	assert_false(exists("8"));
	assert_true(exists("10/vm"));
	assert_true(exists("4a"));
	state_dir_close(&dir);
	state_dir_close(&other);
	assert_int_equal(descriptors(), before);
}

/* The process that is asked is slow, and the guest's own one comes. */
static bool gone_and_taken(void *arg, unsigned int domid, const char *vm)
{
	struct state_dir *own = arg;

	open_dir(own);
	if (state_dir_take(own, domid, vm, error))
		fail_msg("%s", error);
	return true;
}

/* ... or that of another guest, which has ended already. */
static bool gone_and_another(void *arg, unsigned int domid, const char *vm)
{
	struct state_dir *own = arg;

	(void)vm;
	open_dir(own);
	if (state_dir_take(own, domid, OTHER_VM, error))
		fail_msg("%s", error);
	make_disk(own, DEVID);
	state_dir_close(own);
	return true;
}

static void test_sweep_is_in_nobodys_way(void **state)
{
	struct state_dir dir, own;

	(void)state;
	take(&dir, VM);
	make_disk(&dir, DEVID);
	state_dir_close(&dir);
	open_dir(&dir);
	state_dir_sweep(&dir, gone_and_taken, &own);
	assert_true(exists("5/51712"));
	assert_true(state_dir_can_be_found(&own));
	state_dir_close(&own);
	state_dir_sweep(&dir, gone_and_another, &own);
	assert_true(exists("5/51712"));
	state_dir_close(&dir);
}

/* Where it cannot be looked at, it was not removed. */
static void test_look_that_fails(void **state)
{
	static const int errors[] = { EIO, ENOMEM, EACCES };
	struct state_dir dir;

	(void)state;
	take(&dir, VM);
	for (unsigned int i = 0; i < 12; i++) {
		stat_error = errors[i % 3];
		stat_fails_at = 1 + i / 3;
		assert_true(state_dir_can_be_found(&dir));
		assert_int_equal(stat_fails_at, 0);
	}
	assert_int_equal(unlinkat(dir.fd, "server", 0), 0);
	assert_false(state_dir_can_be_found(&dir));
	state_dir_close(&dir);
}

static void check_image(const struct state_dir *dir, uint64_t devid,
			const char *file, bool readonly)
{
	char noted[STATE_DIR_FILE_MAX];
	bool reads;

	assert_int_equal(state_dir_read_image(dir, devid, noted, &reads),
			 file ? 0 : -ENOENT);
	if (!file)
		return;
	assert_string_equal(noted, file);
	assert_int_equal(reads, readonly);
}

/* Which image a disk has is there as long as its state, and no longer. */
static void test_note_of_an_image(void **state)
{
	char path[STATE_DIR_FILE_MAX + 1];
	uint64_t devid[STATE_DIR_DISKS_MAX];
	struct state_dir dir;

	(void)state;
	take(&dir, VM);
	make_disk(&dir, DEVID);
	check_image(&dir, DEVID, NULL, false);
	assert_int_equal(state_dir_note_image(&dir, DEVID, "/a b\n", true), 0);
	check_image(&dir, DEVID, "/a b\n", true);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(state_dir_note_image(&dir, DEVID, path, false),
			 -ENAMETOOLONG);
	path[sizeof(path) - 2] = '\0';
	assert_int_equal(state_dir_note_image(&dir, DEVID, path, false), 0);
	check_image(&dir, DEVID, path, false);
	/* It is no disk. */
	assert_int_equal(state_dir_list(&dir, devid), 1);
	state_dir_close(&dir);
	take(&dir, VM);
	check_image(&dir, DEVID, path, false);
	check_image(&dir, DEVID + 1, NULL, false);
	state_dir_remove_disk(&dir, DEVID);
	check_image(&dir, DEVID, NULL, false);
	/* One that was killed while it wrote has noted nothing. */
	assert_int_equal(state_dir_note_image(&dir, DEVID, "/x", true), 0);
	assert_int_equal(truncate(path_of("5/51712.image"), 2), 0);
	check_image(&dir, DEVID, NULL, false);
	/* Another guest knows nothing of it. */
	state_dir_close(&dir);
	take(&dir, OTHER_VM);
	assert_false(exists("5/51712.image"));
	state_dir_remove(&dir);
	state_dir_close(&dir);
}

/* A process that is killed while it says the same loses nothing. */
static void test_note_is_left_alone(void **state)
{
	struct state_dir dir;
	struct stat before, now;

	(void)state;
	take(&dir, VM);
	assert_int_equal(state_dir_note_image(&dir, DEVID, "/x", true), 0);
	assert_int_equal(chmod(path_of("5/51712.image"), 0400), 0);
	assert_int_equal(stat(path_of("5/51712.image"), &before), 0);
	assert_int_equal(state_dir_note_image(&dir, DEVID, "/x", true), 0);
	assert_int_equal(stat(path_of("5/51712.image"), &now), 0);
	assert_memory_equal(&before.st_mtim, &now.st_mtim, sizeof(now.st_mtim));
	state_dir_remove(&dir);
	state_dir_close(&dir);
}

static void test_locked_by_another(void **state)
{
	struct state_dir dir, other;
	char said[64];

	(void)state;
	take(&other, VM);
	make_disk(&other, DEVID);
	open_dir(&dir);
	waits_in_mind = true;
	waited_ms = 0;
	assert_int_equal(state_dir_take(&dir, DOMID, OTHER_VM, error), -EBUSY);
	/* The worker of a dead monitor may take 4 s until it has ended. */
	assert_in_range(waited_ms, 4500, 10000);
	snprintf(said, sizeof(said), "domain 5 is served by process %ld: stop",
		 (long)getpid());
	assert_non_null(strstr(error, said));
	/* Nothing of it was touched. */
	assert_true(exists("5/51712"));
	assert_false(state_dir_has_guest(&dir));
	assert_int_equal(unlink(path_of("5/pid")), 0);
	assert_int_equal(state_dir_take(&dir, DOMID, VM, error), -EBUSY);
	assert_non_null(strstr(error, "is served by another process"));
	waits_in_mind = false;
	state_dir_close(&other);
	assert_int_equal(state_dir_take(&dir, DOMID, VM, error), 0);
	state_dir_close(&dir);
}

/* So many descriptors more, or as before. */
static void allow_descriptors(int more)
{
	static struct rlimit all;
	struct rlimit few;
	int lowest = dup(0);

	close(lowest);
	if (more < 0) {
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
		return;
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)(lowest + more);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

/* Whose it is cannot be read now: nothing is removed for that. */
static void test_not_known_whose(void **state)
{
	struct state_dir dir;
	unsigned int asked = 0;
	int r;

	(void)state;
	take(&dir, VM);
	assert_int_equal(ftruncate(dir.server_fd, 4096), 0);
	make_disk(&dir, DEVID);
	state_dir_close(&dir);

	open_dir(&dir);
	allow_descriptors(3); /* two directories and the lock */
	state_dir_sweep(&dir, gone_if_even, &asked);
	allow_descriptors(-1);
	assert_int_equal(asked, 0);
	assert_true(exists("5/51712"));
	allow_descriptors(2); /* the directory and the lock */
	r = state_dir_take(&dir, DOMID, VM, error);
	allow_descriptors(-1);
	assert_int_equal(r, -EMFILE);
	assert_non_null(strstr(error, "/5 cannot be read or written"));
	assert_true(exists("5/51712"));
	assert_int_equal(state_dir_take(&dir, DOMID, VM, error), 0);
	assert_int_equal(lseek(dir.server_fd, 0, SEEK_END), 4096);
	state_dir_close(&dir);
}

/* Nothing can be written any more, as on a full tmpfs: what is there serves. */
static void test_taken_where_nothing_can_be_written(void **state)
{
	struct rlimit all, none;
	struct state_dir dir;

	(void)state;
	take(&dir, VM);
	make_disk(&dir, DEVID);
	state_dir_close(&dir);

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	none = all;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	open_dir(&dir);
	assert_int_equal(state_dir_take(&dir, DOMID, VM, error), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_true(exists("5/51712"));
	/* It would be that of another one. */
	assert_false(exists("5/pid"));
	state_dir_close(&dir);
}

/* Who waits for the lock of one that is removed gets a new one. */
static void test_waits_for_one_that_ends(void **state)
{
	struct state_dir dir, other;
	int status;
	pid_t pid;

	(void)state;
	take(&other, VM);
	make_disk(&other, DEVID);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		usleep(100000);
		state_dir_remove(&other);
		_exit(0);
	}
	state_dir_close(&other);
	open_dir(&dir);
	assert_int_equal(state_dir_take(&dir, DOMID, VM, error), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(exists("5/server"));
	assert_false(exists("5/51712"));
	state_dir_close(&dir);
}

static void refused(int rc, const char *words)
{
	const unsigned int before = descriptors();
	struct state_dir dir;
	int r = state_dir_open(&dir, root, error);

	if (r == 0)
		r = state_dir_take(&dir, DOMID, VM, error);
	state_dir_close(&dir);
	assert_int_equal(r, rc);
	if (!strstr(error, words) || !strstr(error, root))
		fail_msg("%s", error);
	assert_int_equal(descriptors(), before);
}

static void test_what_others_have_put_there(void **state)
{
	(void)state;
	assert_int_equal(symlink("/tmp", root), 0);
	refused(-ENOTDIR, "is something else");
	assert_int_equal(unlink(root), 0);
	assert_int_equal(mkdir(root, 0700), 0);
	assert_int_equal(chmod(root, 0777), 0);
	refused(-EPERM, "others may write it");
	assert_int_equal(chmod(root, 0755), 0);

	assert_int_equal(symlink("/tmp", path_of("5")), 0);
	refused(-ENOTDIR, "/5 is something else");
	assert_int_equal(unlink(path_of("5")), 0);
	assert_int_equal(mkdir(path_of("5"), 0700), 0);
	assert_int_equal(chmod(path_of("5"), 0720), 0);
	refused(-EPERM, "/5 belongs to somebody else, or others");
	assert_int_equal(chmod(path_of("5"), 0700), 0);

	assert_int_equal(mkfifo(path_of("5/server"), 0600), 0);
	refused(-EEXIST, "/5 is something else");
	assert_int_equal(unlink(path_of("5/server")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("5/server")), 0);
	refused(-ELOOP, "/5 is something else");
	assert_int_equal(unlink(path_of("5/server")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("5/vm")), 0);
	refused(-ELOOP, "/5 cannot be read or written");
}

static void test_directory_of_another_owner(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(root, 0700), 0);
	assert_int_equal(chown(root, 65534, 65534), 0);
	refused(-EPERM, "belongs to somebody else");
	assert_int_equal(chown(root, 0, 0), 0);
	assert_int_equal(mkdir(path_of("5"), 0700), 0);
	assert_int_equal(chown(path_of("5"), 65534, 0), 0);
	refused(-EPERM, "/5 belongs to somebody else");
}

/* A disk's file that is a link, of a process that had the same rights. */
static void test_disk_that_is_no_file(void **state)
{
	struct state_dir dir;

	(void)state;
	take(&dir, VM);
	assert_int_equal(symlink("server", path_of("5/51712")), 0);
	assert_int_equal(state_dir_open_disk(&dir, DEVID, false, error),
			 -ELOOP);
	assert_non_null(strstr(error, "/5/51712 is something else"));
	assert_int_equal(state_dir_open_disk(&dir, DEVID, true, error), -ELOOP);
	state_dir_remove(&dir);
	assert_false(exists("5"));
	state_dir_close(&dir);
}

#define state_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		state_test(test_made_private_and_removed),
		state_test(test_closed_has_nothing),
		state_test(test_left_for_the_next),
		state_test(test_another_guest_of_the_number),
		state_test(test_another_boot_of_the_host),
		state_test(test_boots_by_file_system),
		state_test(test_boot_that_is_told),
		state_test(test_sweep),
		state_test(test_sweep_is_in_nobodys_way),
		state_test(test_look_that_fails),
		state_test(test_note_of_an_image),
		state_test(test_note_is_left_alone),
		state_test(test_locked_by_another),
		state_test(test_not_known_whose),
		state_test(test_taken_where_nothing_can_be_written),
		state_test(test_waits_for_one_that_ends),
		state_test(test_what_others_have_put_there),
		state_test(test_directory_of_another_owner),
		state_test(test_disk_that_is_no_file),
	};

	return cmocka_run_group_tests_name("monitor_state_dir", tests, NULL,
					   NULL);
}
