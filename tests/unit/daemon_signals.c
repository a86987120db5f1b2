/* SPDX-License-Identifier: MIT */
/*
 * Signals that we need, whatever those have blocked who started us; and those
 * that are for one thread only.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/trace_signals.h"
#include "program/signals.h"

static volatile sig_atomic_t heard;

static void hear(int signo)
{
	heard = signo;
}

static void unused(void)
{
}

/* As a watcher's, which has no disks. */
static const struct signals_owner_ops ops = {
	.log_stats = unused,
	.look = unused,
	.abandon = unused,
};

/*
 * The guard of memory that a peer truncates hears SIGBUS, which kills where it
 * is blocked; the guard of writes that do not end interrupts by SIGURG.
 */
static void test_blocked_before(void **state)
{
	static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	const int others[] = { TRACE_SIGNAL_LOG, TRACE_SIGNAL_ON,
			       TRACE_SIGNAL_OFF };
	struct loop loop;
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	sigaddset(&set, SIGURG);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(signals_open(&loop, &ops), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	assert_false(sigismember(&set, SIGBUS));
	assert_false(sigismember(&set, SIGURG));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_true(sigismember(&set, ours[i]));
	assert_ptr_equal(signal(SIGCHLD, SIG_DFL), SIG_DFL);
	signal(SIGURG, hear);
	raise(SIGURG);
	assert_int_equal(heard, SIGURG);
	/* What it has no use for does not end it. */
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(kill(getpid(), others[i]), 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(loop_run(&loop), 0);
	loop_finish(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocked_before),
	};

	return cmocka_run_group_tests_name("daemon_signals", tests, NULL, NULL);
}
