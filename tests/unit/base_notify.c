/* SPDX-License-Identifier: MIT */
/*
 * What a service manager hears: each thing once, a line each, and that the loop
 * goes round as often as it wants. The test is the service manager.
 */
#include "lib/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/notify.h"

static int manager;
static char path[64];
static struct loop loop;

static void listen_at(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				  strlen(name));

	memcpy(sun.sun_path, name, strlen(name));
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&sun, n), 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

/* What was said next; NULL: nothing. */
static const char *heard(void)
{
	static char text[512];
	ssize_t n = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static void test_each_thing_once(void)
{
	listen_at(path);
	notify_open(&loop);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(heard());
	notify_status("%u disks", 0u);
	assert_string_equal(heard(), "STATUS=0 disks");
	notify_status("0 disks");
	assert_null(heard());
	notify_ready();
	assert_string_equal(heard(), "READY=1");
	notify_ready();
	assert_null(heard());
	notify_status("1 disk");
	assert_string_equal(heard(), "STATUS=1 disk");
	/* Nobody wants rounds. */
	assert_null(loop.timers);
}

static void test_name_without_a_file(void)
{
	char name[64];

	snprintf(name, sizeof(name), "@virtio-disk-notify-%d", (int)getpid());
	listen_at(name);
	notify_open(&loop);
	notify_ready();
	assert_string_equal(heard(), "READY=1");
}

/* A guest's name is said, too. */
static void test_one_line(void)
{
	char name[NOTIFY_STATUS_MAX + 64];
	const char *text;

	listen_at(path);
	notify_open(&loop);
	notify_status("web\nREADY=1");
	assert_string_equal(heard(), "STATUS=web?READY=1");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	notify_status("%s", name);
	text = heard();
	assert_non_null(text);
	assert_int_equal(strlen(text), strlen("STATUS=") + sizeof("x") - 2 +
					       NOTIFY_STATUS_MAX - 1);
}

static void quit_due(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(&loop);
}

static void test_rounds(void)
{
	struct loop_timer quit = { .due = quit_due };
	unsigned int n = 0;
	char pid[16];

	listen_at(path);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "400000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify_open(&loop);
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	/* At a moment that others have as well. */
	assert_non_null(loop.timers);
	assert_int_equal(loop.timers->at_ns / NS_PER_MS % 200, 0);
	loop_arm(&loop, &quit, 900 * NS_PER_MS);
	assert_int_equal(loop_run(&loop), 0);
	for (const char *text; (text = heard()); n++)
		assert_string_equal(text, "WATCHDOG=1");
	/* A busy machine has fewer; never more. */
	assert_in_range(n, 1, 5);
}

static void test_rounds_of_another_process(void)
{
	listen_at(path);
	setenv("WATCHDOG_USEC", "400000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_open(&loop);
	assert_null(loop.timers);
}

static void test_odd_numbers(void)
{
	static const char *const odd[] = { "",
					   "0",
					   "-1",
					   "x",
					   "1000x",
					   "99999999999999999999",
					   "18446744073709551615" };

	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		listen_at(path);
		setenv("WATCHDOG_USEC", odd[i], 1);
		notify_open(&loop);
		assert_null(loop.timers);
		close(manager);
		unlink(path);
	}
}

/* All is as if it were wanted. */
static void test_nobody(void)
{
	static const char *const names[] = { "relative", "",
					     "/no/such/socket" };

	unsetenv("NOTIFY_SOCKET");
	for (size_t i = 0; i <= sizeof(names) / sizeof(*names); i++) {
		setenv("WATCHDOG_USEC", "400000", 1);
		notify_open(&loop);
		notify_ready();
		notify_status("fine");
		assert_null(loop.timers);
		assert_null(getenv("NOTIFY_SOCKET"));
		if (i < sizeof(names) / sizeof(*names))
			setenv("NOTIFY_SOCKET", names[i], 1);
	}
}

/* A manager that does not listen is not waited for. */
static void test_full_socket(void)
{
	listen_at(path);
	notify_open(&loop);
	for (unsigned int i = 0; i < 5000; i++)
		notify_status("%u", i);
	assert_string_equal(heard(), "STATUS=0");
}

/* It hears what counts when it listens again: else a service is never ready. */
static void test_full_socket_that_is_read(void)
{
	struct loop_timer quit = { .due = quit_due };
	const char *text;
	bool ready = false;
	char last[512] = "";

	listen_at(path);
	notify_open(&loop);
	for (unsigned int i = 0; i < 5000; i++)
		notify_status("%u", i);
	notify_ready();
	while ((text = heard()))
		assert_string_not_equal(text, "READY=1");
	loop_arm(&loop, &quit, 500 * NS_PER_MS);
	assert_int_equal(loop_run(&loop), 0);
	while ((text = heard())) {
		ready |= !strcmp(text, "READY=1");
		snprintf(last, sizeof(last), "%s", text);
	}
	assert_true(ready);
	assert_string_equal(last, "STATUS=4999");
	assert_null(loop.timers);
}

/* There is one process: each has one. */
static void run(void **state)
{
	void (*f)(void) = *(void (**)(void)) * state;
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/tmp/virtio-disk-notify-%d",
		 (int)getpid());
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		assert_int_equal(loop_init(&loop), 0);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	assert_int_equal(status, 0);
}

#define process_test(f)                                \
	{                                              \
#f, run, NULL, NULL, &(void (*)(void)) \
		{                                      \
			f                              \
		}                                      \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		process_test(test_each_thing_once),
		process_test(test_name_without_a_file),
		process_test(test_one_line),
		process_test(test_rounds),
		process_test(test_rounds_of_another_process),
		process_test(test_odd_numbers),
		process_test(test_nobody),
		process_test(test_full_socket),
		process_test(test_full_socket_that_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
