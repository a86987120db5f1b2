/* SPDX-License-Identifier: MIT */
/*
 * Sockets that systemd passes on: only one, and only to this process.
 */
#include "lib/model_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/listen_fds.h"

static bool has_one(const char *pid, const char *fds)
{
	if (pid)
		setenv("LISTEN_PID", pid, 1);
	else
		unsetenv("LISTEN_PID");
	if (fds)
		setenv("LISTEN_FDS", fds, 1);
	else
		unsetenv("LISTEN_FDS");
	return listen_fds_has_one();
}

static void test_one_socket_for_this_process(void **state)
{
	char ours[32], others[32];

	(void)state;
	snprintf(ours, sizeof(ours), "%d", getpid());
	snprintf(others, sizeof(others), "%d", getppid());
	assert_true(has_one(ours, "1"));
	assert_false(has_one(ours, "0"));
	assert_false(has_one(ours, "2"));
	assert_false(has_one(ours, ""));
	assert_false(has_one(ours, "1x"));
	assert_false(has_one(ours, NULL));
	assert_false(has_one(others, "1"));
	assert_false(has_one("", "1"));
	assert_false(has_one(NULL, "1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_socket_for_this_process),
	};

	return cmocka_run_group_tests_name("base_listen_fds", tests, NULL,
					   NULL);
}
