/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=link_message_send */
/*
 * Saying something over a link that fails: nobody waits for it for ever, for
 * the link ends, or who has said it is told to give up.
 */
#include "lib/test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/say.h"

static int fd[2];  /* ours, theirs */
static int failed; /* what sending says */

int __wrap_link_message_send(int to, const struct link_message *message,
			     const int *fds);

int __wrap_link_message_send(int to, const struct link_message *message,
			     const int *fds)
{
	(void)message;
	(void)fds;
	assert_int_equal(to, fd[0]);
	return failed;
}

static int open_link(void **state)
{
	(void)state;
	return link_socket_pair(fd);
}

static int close_link(void **state)
{
	(void)state;
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static bool is_ended(int end)
{
	char byte;

	return recv(end, &byte, 1, 0) == 0;
}

static const struct link_message message = { .type = LINK_LEAVE };

static void test_what_is_sent_ends_nothing(void **state)
{
	(void)state;
	failed = 0;
	assert_null(link_say_to_worker(fd[0], &message, NULL));
	link_say_to_monitor(fd[0], &message);
	assert_false(is_ended(fd[0]) || is_ended(fd[1]));
}

/* Whatever it is: a worker that waits for nothing else goes. */
static void to_monitor_fails(int error)
{
	failed = error;
	link_say_to_monitor(fd[0], &message);
	assert_true(is_ended(fd[0]));
	assert_true(is_ended(fd[1]));
}

static void test_monitor_does_not_listen(void **state)
{
	(void)state;
	to_monitor_fails(-EAGAIN);
}

static void test_no_memory_for_the_monitor(void **state)
{
	(void)state;
	to_monitor_fails(-ENOMEM);
}

static void test_monitor_is_gone(void **state)
{
	(void)state;
	to_monitor_fails(-EPIPE);
}

static void test_worker_is_given_up(void **state)
{
	(void)state;
	failed = -EAGAIN;
	assert_string_equal(link_say_to_worker(fd[0], &message, NULL),
			    "it does not listen");
	failed = -ENOMEM;
	assert_non_null(link_say_to_worker(fd[0], &message, NULL));
}

/* What it has said before is heard. */
static void test_worker_is_gone(void **state)
{
	char last;

	(void)state;
	assert_int_equal(send(fd[1], "x", 1, 0), 1);
	failed = -EPIPE;
	assert_null(link_say_to_worker(fd[0], &message, NULL));
	assert_true(is_ended(fd[1]));
	assert_int_equal(recv(fd[0], &last, 1, 0), 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, open_link, close_link)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_what_is_sent_ends_nothing),
		test(test_monitor_does_not_listen),
		test(test_no_memory_for_the_monitor),
		test(test_monitor_is_gone),
		test(test_worker_is_given_up),
		test(test_worker_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
