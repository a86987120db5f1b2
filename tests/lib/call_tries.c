/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/call_tries.h"

struct tries_list tries;
unsigned int tries_number;

int errno_of(long result)
{
	return result < 0 ? errno : 0;
}

int tries_answer(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return TRIES_KILLED;
	}
	assert_int_not_equal(WEXITSTATUS(status), TRIES_BROKEN);
	return WEXITSTATUS(status);
}

int tries_in_child(int (*give_up)(void), int (*call)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(TRIES_WAIT_S);
		_exit(give_up() ? TRIES_BROKEN : call());
	}
	return tries_answer(pid);
}

/* ---- every number ---- */

static enum call_filter_verdict verdict(void)
{
	return call_filter_verdict(tries.list, tries.who, tries_number);
}

int tries_call_number(void)
{
	return errno_of(syscall(tries_number, -1L, -1L, -1L, -1L, -1L, -1L));
}

/*
 * The kernel's own traps for tracing user space are calls that no filter is
 * asked of; from elsewhere than its trampoline they raise SIGILL.
 */
static bool is_trap(void)
{
#ifdef __x86_64__
	return tries_number == 335 || tries_number == 336;
#else
	return false;
#endif
}

/* All that are refused, in one child: the first one that is not, or 0. */
static int call_denied(void)
{
	for (tries_number = 0; tries_number < tries.numbers; tries_number++)
		if (verdict() == CALL_FILTER_DENIED && !is_trap() &&
		    tries_call_number() != EPERM) {
			fprintf(stderr, "# %u is not refused\n", tries_number);
			return TRIES_WRONG;
		}
	return 0;
}

void tries_check_all(int (*in)(int (*call)(void)), unsigned int allowed_max)
{
	unsigned int n[3] = { 0 };

	assert_int_equal(in(call_denied), 0);
	for (tries_number = 0; tries_number < tries.numbers; tries_number++) {
		n[verdict()]++;
		if (verdict() == CALL_FILTER_KILLS)
			assert_int_equal(in(tries_call_number), TRIES_KILLED);
	}
	print_message("# of %u: %u allowed, %u refused, %u kill\n",
		      tries.numbers, n[CALL_FILTER_ALLOWED],
		      n[CALL_FILTER_DENIED], n[CALL_FILTER_KILLS]);
	assert_in_range(n[CALL_FILTER_ALLOWED], 1, allowed_max);
}
