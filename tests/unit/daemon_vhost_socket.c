/* SPDX-License-Identifier: MIT */
/*
 * Whose the path of a socket is: who listens there, what a killed process
 * leaves, and what is not ours to remove.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/front_ends.h"
#include "monitor/vhost_socket.h"

static char folder[64];
static char error[BLOCK_ERROR_MAX];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/virtio-disk-socket.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

/* Whatever a test was about, nothing may be left. */
static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static const char *at(const char *name)
{
	static char path[2][256];
	static unsigned int i;

	i ^= 1;
	snprintf(path[i], sizeof(path[i]), "%s/%s", folder, name);
	return path[i];
}

static int open_at(struct vhost_socket *vs, const char *path)
{
	int r;

	error[0] = '\0';
	r = vhost_socket_open(vs, path, -1, error);
	if (r)
		vhost_socket_close(vs);
	return r;
}

static void check_refused(const char *path, const char *words)
{
	struct vhost_socket vs;

	assert_true(open_at(&vs, path) < 0);
	if (!strstr(error, words))
		print_error("not \"%s\": %s\n", words, error);
	assert_non_null(strstr(error, words));
	assert_memory_equal(error, path, strlen(path));
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Connect: 0 or an errno. */
static int knock(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r;

	assert_true(fd >= 0);
	strcpy(sun.sun_path, path);
	r = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ? errno : 0;
	close(fd);
	return r;
}

/* Whether somebody has connected. */
static bool knocked(const struct vhost_socket *vs)
{
	int fd = accept(vs->fd, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Run `body` in a process that is killed then, as it stands. */
static void die_after(void (*body)(const char *path), const char *path)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		body(path);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void listen_there(const char *path)
{
	static struct vhost_socket vs;

	if (open_at(&vs, path))
		_exit(1);
}

/* What another program does: no lock. */
static int listen_without_lock(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	    listen(fd, 1))
		_exit(1);
	return fd;
}

static void foreign(const char *path)
{
	listen_without_lock(path);
}

/* ---- tests ---- */

static void test_made_and_removed(void **state)
{
	struct vhost_socket vs;
	struct stat st;

	(void)state;
	assert_int_equal(open_at(&vs, at("s")), 0);
	assert_false(vs.connected);
	assert_int_equal(stat(at("s"), &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	/* No other name of it is left. */
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(knock(at("s")), 0);
	assert_true(knocked(&vs));
	vhost_socket_close(&vs);
	assert_int_equal(vs.fd, -1);
	vhost_socket_close(&vs);
}

/* The second start does not touch the first one: it may be a --once one. */
static void test_second_start(void **state)
{
	struct vhost_socket vs;
	char words[64];

	(void)state;
	snprintf(words, sizeof(words), "in use by another process (pid %ld)",
		 (long)getpid());
	assert_int_equal(open_at(&vs, at("s")), 0);
	check_refused(at("s"), words);
	assert_false(knocked(&vs));
	assert_int_equal(knock(at("s")), 0);
	/* Nor does one come in whose path somebody has removed. */
	unlink(at("s"));
	check_refused(at("s"), words);
	vhost_socket_close(&vs);
}

static void test_after_a_kill(void **state)
{
	struct vhost_socket vs;

	(void)state;
	die_after(listen_there, at("s"));
	assert_int_equal(knock(at("s")), ECONNREFUSED);
	assert_int_equal(open_at(&vs, at("s")), 0);
	assert_int_equal(knock(at("s")), 0);
	vhost_socket_close(&vs);
}

/* Killed after the lock, or between the two names. */
static void stop_halfway(const char *path)
{
	char first[256];
	struct stat st;

	listen_there(path);
	snprintf(first, sizeof(first), "%s.lock", path);
	if (stat(first, &st))
		_exit(1);
	snprintf(first, sizeof(first), "%s.%ju.new", path,
		 (uintmax_t)st.st_ino);
	if (rename(path, first))
		_exit(1);
}

static void test_killed_halfway(void **state)
{
	struct vhost_socket vs;

	(void)state;
	die_after(stop_halfway, at("s"));
	assert_false(exists(at("s")));
	assert_int_equal(open_at(&vs, at("s")), 0);
	assert_int_equal(knock(at("s")), 0);
	vhost_socket_close(&vs);
}

/* The name that the socket has before it gets its path. */
static void make_new_name(char *name, size_t size)
{
	struct stat st;

	write_file(at("s.lock"), "");
	assert_int_equal(stat(at("s.lock"), &st), 0);
	snprintf(name, size, "%s.%ju.new", at("s"), (uintmax_t)st.st_ino);
}

static void test_first_name_not_ours(void **state)
{
	char name[512];

	(void)state;
	make_new_name(name, sizeof(name));
	write_file(name, "precious");
	check_refused(at("s"), "no socket can be made there");
	assert_int_equal(unlink(name), 0);

	make_new_name(name, sizeof(name));
	assert_int_equal(symlink("elsewhere", name), 0);
	check_refused(at("s"), "no socket can be made there");
	assert_int_equal(unlink(name), 0);
	assert_false(exists(at("s")));
}

/* Of several starts over what was left, one serves, and it is found. */
static void test_starts_at_once(void **state)
{
	enum { STARTS = 8 };
	int go[2], done[2], status, good = 0;
	pid_t pid[STARTS];
	char byte;

	(void)state;
	die_after(listen_there, at("s"));
	assert_int_equal(pipe(go) | pipe(done), 0);
	for (unsigned int i = 0; i < STARTS; i++) {
		struct vhost_socket vs;

		pid[i] = fork();
		if (pid[i])
			continue;
		close(go[1]);
		if (read(go[0], &byte, 1) < 0 || open_at(&vs, at("s")))
			byte = 0;
		else
			byte = 1;
		if (write(done[1], &byte, 1) != 1)
			_exit(1);
		if (!byte)
			_exit(0);
		/* Whoever serves there is found there. */
		for (int n = 0; n < 1000 && !knocked(&vs); n++)
			usleep(10000);
		vhost_socket_close(&vs);
		_exit(0);
	}
	close(go[0]);
	close(go[1]);
	for (unsigned int i = 0; i < STARTS; i++) {
		assert_int_equal(read(done[0], &byte, 1), 1);
		good += byte;
	}
	assert_int_equal(good, 1);
	assert_int_equal(knock(at("s")), 0);
	for (unsigned int i = 0; i < STARTS; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	close(done[0]);
	close(done[1]);
}

/* The end removes what was made, not what lies there now. */
static void test_successor_stays(void **state)
{
	struct vhost_socket vs;
	int fd;

	(void)state;
	assert_int_equal(open_at(&vs, at("s")), 0);
	unlink(at("s"));
	fd = listen_without_lock(at("s"));
	vhost_socket_close(&vs);
	assert_int_equal(knock(at("s")), 0);
	close(fd);
	unlink(at("s"));

	assert_int_equal(open_at(&vs, at("s")), 0);
	unlink(at("s"));
	unlink(at("s.lock"));
	write_file(at("s"), "precious");
	write_file(at("s.lock"), "precious");
	vhost_socket_close(&vs);
	assert_int_equal(unlink(at("s")), 0);
	assert_int_equal(unlink(at("s.lock")), 0);
}

static void test_not_ours(void **state)
{
	struct vhost_socket vs;
	int fd;

	(void)state;
	write_file(at("s"), "precious");
	check_refused(at("s"), "is no socket");
	unlink(at("s"));
	assert_int_equal(symlink("elsewhere", at("s")), 0);
	check_refused(at("s"), "is no socket");
	unlink(at("s"));

	write_file(at("s.lock"), "precious");
	check_refused(at("s"), "that is something else");
	assert_false(exists(at("s")));
	assert_int_equal(unlink(at("s.lock")), 0);

	fd = listen_without_lock(at("s"));
	check_refused(at("s"), "in use by another process (pid");
	close(fd);
	/* Now it is as what a killed program leaves. */
	assert_int_equal(open_at(&vs, at("s")), 0);
	vhost_socket_close(&vs);
	die_after(foreign, at("s"));
	assert_int_equal(open_at(&vs, at("s")), 0);
	vhost_socket_close(&vs);
}

/* The folder's path may take nearly all of the room; so may the name. */
static void test_long_paths(void **state)
{
	char path[512];
	struct vhost_socket vs;
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
	size_t n = strlen(folder);

	(void)state;
	path[0] = '\0';
	snprintf(path, sizeof(path), "%s/%0*d", folder, (int)(room - n - 2), 0);
	assert_int_equal(strlen(path), room - 1);
	assert_int_equal(open_at(&vs, path), 0);
	assert_int_equal(knock(path), 0);
	vhost_socket_close(&vs);

	strcat(path, "0");
	check_refused(path, "longer than the path of a socket");

	snprintf(path, sizeof(path), "%s/%0*d", folder, (int)(room - n - 4), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/s");
	assert_int_equal(strlen(path), room - 1);
	assert_int_equal(open_at(&vs, path), 0);
	assert_int_equal(knock(path), 0);
	vhost_socket_close(&vs);
	path[room - 3] = '\0';
	assert_int_equal(rmdir(path), 0);

	check_refused(at("absent/s"), "its folder cannot be opened: No such");
	check_refused(at(""), "is no name for a socket");
}

static void test_relative(void **state)
{
	struct vhost_socket vs;

	(void)state;
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(open_at(&vs, "s"), 0);
	assert_int_equal(knock("s"), 0);
	/* It stays its socket wherever the process goes. */
	assert_int_equal(chdir("/"), 0);
	vhost_socket_close(&vs);
}

/* Whoever shares a listener may have made it wait: we never do. */
static void test_inherited_listener(void **state)
{
	int listener = listen_without_lock(at("s"));
	struct vhost_socket vs;
	int fd;

	(void)state;
	assert_int_equal(vhost_socket_open(&vs, NULL, listener, error), 0);
	assert_false(vs.connected);
	alarm(30);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fcntl(listener, F_SETFL, O_RDWR), 0);
		assert_int_equal(front_ends_accept(vs.fd), -EAGAIN);
	}
	assert_int_equal(knock(at("s")), 0);
	assert_int_equal(fcntl(listener, F_SETFL, O_RDWR), 0);
	fd = front_ends_accept(vs.fd);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	alarm(0);
	close(fd);
	/* The path is not ours. */
	vhost_socket_close(&vs);
	assert_true(exists(at("s")));
	unlink(at("s"));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_made_and_removed),    TEST(test_second_start),
		TEST(test_after_a_kill),        TEST(test_killed_halfway),
		TEST(test_first_name_not_ours), TEST(test_starts_at_once),
		TEST(test_successor_stays),     TEST(test_not_ours),
		TEST(test_long_paths),          TEST(test_relative),
		TEST(test_inherited_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
