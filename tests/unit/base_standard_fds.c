/* SPDX-License-Identifier: MIT */
/*
 * Descriptors 0 to 2 are taken, whichever of them were closed, and those that
 * were open stay what they are.
 */
#include "lib/model_memory.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/standard_fds.h"

static bool is_null(int fd)
{
	struct stat st, null;

	return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 &&
	       S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev;
}

/* In a process of its own: the exit status says what is wrong. */
static int reserve_without(unsigned int closed)
{
	int fd = memfd_create("marked", 0), next;

	for (int i = 0; i < 3; i++) {
		dup2(fd, i);
		if (closed & (1u << i))
			close(i);
	}
	if (standard_fds_reserve())
		return 1;
	for (int i = 0; i < 3; i++)
		if (is_null(i) != !!(closed & (1u << i)))
			return 10 + i;
	next = open("/dev/null", O_RDWR);
	/* Nothing is left open by it. */
	return next == fd + 1 ? 0 : 20;
}

static void test_closed_ones_are_reserved(void **state)
{
	(void)state;
	for (unsigned int closed = 0; closed < 8; closed++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(reserve_without(closed));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* The log must not go to a front end; a file may be input and log at once. */
static void test_log_is_a_socket(void **state)
{
	int pair[2], keep = dup(STDERR_FILENO), file = memfd_create("log", 0);
	bool same, other, plain;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	dup2(pair[0], STDERR_FILENO);
	same = standard_fds_log_is(pair[0]);
	other = standard_fds_log_is(pair[1]);
	dup2(file, STDERR_FILENO);
	plain = standard_fds_log_is(file);
	dup2(keep, STDERR_FILENO);
	assert_true(same);
	assert_false(other);
	assert_false(plain);
	assert_false(standard_fds_log_is(-1));
	close(pair[0]);
	close(pair[1]);
	close(file);
	close(keep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_ones_are_reserved),
		cmocka_unit_test(test_log_is_a_socket),
	};

	return cmocka_run_group_tests_name("base_standard_fds", tests, NULL,
					   NULL);
}
