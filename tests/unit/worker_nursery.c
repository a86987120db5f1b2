/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=sendmsg */
/*
 * Workers as processes: what they find, how their end is told whatever it was,
 * and what becomes of the others where one of the three processes dies. The
 * workers are this program again, which does what its first argument says.
 */
#include "lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "link/socket.h"
#include "worker/nursery.h"
#include "worker/nursery_process.h"

enum {
	WAIT_S = 60, /* for what takes milliseconds */
	DOMID = 7,
	STARTS = 200,
	STARTS_EXHAUSTIVE = 1000, /* with EXHAUSTIVE in the environment */
};

#define PROGRAM "/proc/self/exe"
#define WORKER "worker of a test"

/* ---- the workers --------------------------------------------------------- */

/* What one has found; sent over its link. */
struct findings {
	unsigned int domid;
	unsigned int descriptors; /* its own */
	unsigned int siblings;    /* children of the nursery, with itself */
	bool ignores;
	bool holds; /* the signal to abandon */
	bool is_told;
	bool has_other; /* what is in the environment else */
};

static unsigned int entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static unsigned int words(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned int n = 0;
	char word[16];

	while (file && fscanf(file, "%15s", word) == 1)
		n++;
	if (file)
		fclose(file);
	return n;
}

static bool ignores_all(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT,
				       SIGUSR1 };
	struct sigaction action;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (sigaction(ignored[i], NULL, &action) ||
		    action.sa_handler != SIG_IGN)
			return false;
	return true;
}

/* Only that one is, and it would do something. */
static bool holds_abandon(void)
{
	struct sigaction action;
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	if (!sigismember(&set, NURSERY_ABANDON) ||
	    sigaction(NURSERY_ABANDON, NULL, &action) ||
	    action.sa_handler != SIG_DFL)
		return false;
	for (int i = 1; i < SIGRTMIN; i++)
		if (i != NURSERY_ABANDON && sigismember(&set, i) == 1)
			return false;
	return true;
}

static void look(const char *domid)
{
	struct findings found = {
		.domid = (unsigned int)atoi(domid),
		/* But for the one that looks. */
		.descriptors = entries("/proc/self/fd") - 1,
		.ignores = ignores_all(),
		.holds = holds_abandon(),
		.is_told = getenv("NOTIFY_SOCKET") || getenv("LISTEN_FDS"),
		.has_other = getenv("OTHER") != NULL,
	};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
		 (int)getppid(), (int)getppid());
	found.siblings = words(path);
	link_socket_send(NURSERY_LINK_FD, &found, sizeof(found), NULL, 0);
}

static void wait_for_abandon(void)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, NURSERY_ABANDON);
	sigwait(&set, &signo);
}

/* Whatever is said, until the monitor's end is closed. */
static void wait_for_link(void)
{
	char byte;

	/* It does not block, being one for a loop. */
	while (recv(NURSERY_LINK_FD, &byte, 1, 0) < 0 && errno == EAGAIN)
		usleep(1000);
}

static void die(int signo)
{
	signal(signo, SIG_DFL);
	raise(signo);
}

static int be_worker(const char *what, const char *domid)
{
	if (!strcmp(what, "look"))
		look(domid);
	else if (!strcmp(what, "ill"))
		die(SIGILL);
	else if (!strcmp(what, "sys"))
		die(SIGSYS);
	else if (!strcmp(what, "abandon"))
		wait_for_abandon();
	else if (!strcmp(what, "link"))
		wait_for_link();
	else if (!strcmp(what, "hang"))
		pause();
	else if (!strcmp(what, "orphan")) {
		kill(getppid(), SIGKILL);
		wait_for_link();
	} else {
		return atoi(what);
	}
	return 0;
}

/* ---- the monitor's side -------------------------------------------------- */

static struct {
	struct loop loop;
	struct nursery nursery;
	struct worker_starter *starter;
	struct loop_timer limit;
	int link; /* our end */
	unsigned int gone;
	char how[160];
} m;

static void gone(void *arg, const char *how)
{
	(void)arg;
	m.gone++;
	snprintf(m.how, sizeof(m.how), "%s", how);
	loop_quit(&m.loop);
}

static void limit_due(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("the worker does not end");
}

static void begin_program(const char *program, const char *what)
{
	const char *const args[] = { WORKER, what, NULL };

	memset(&m, 0, sizeof(m));
	m.link = -1;
	m.limit.due = limit_due;
	assert_int_equal(nursery_fork(&m.nursery, program, args), 0);
	assert_int_equal(loop_init(&m.loop), 0);
	assert_int_equal(nursery_listen(&m.nursery, &m.loop), 0);
	m.starter = &m.nursery.starter;
	m.starter->gone = gone;
}

static void begin(const char *what)
{
	begin_program(PROGRAM, what);
}

static int start(void)
{
	int fd[2];

	if (m.link >= 0)
		close(m.link);
	assert_int_equal(link_socket_pair(fd), 0);
	m.link = fd[0];
	return worker_starter_start(m.starter, DOMID, fd[1]);
}

static void close_link(void)
{
	close(m.link);
	m.link = -1;
}

/* All of them: no process is left that any of them has made. */
static void bury_all(void)
{
	alarm(WAIT_S);
	while (wait(NULL) > 0 || errno == EINTR)
		continue;
	alarm(0);
}

static void finish(void)
{
	nursery_close(&m.nursery);
	loop_finish(&m.loop);
	if (m.link >= 0)
		close(m.link);
	bury_all();
}

static void wait_gone(void)
{
	loop_arm(&m.loop, &m.limit, WAIT_S * NS_PER_SECOND);
	assert_int_equal(loop_run(&m.loop), 0);
	loop_disarm(&m.loop, &m.limit);
}

static void start_and_wait(void)
{
	assert_int_equal(start(), 0);
	wait_gone();
}

static struct findings found(void)
{
	struct findings f;

	assert_int_equal(recv(m.link, &f, sizeof(f), 0), sizeof(f));
	return f;
}

/* Nothing can be sent: by us, or by the nursery, which is another process. */
static bool we_fail, others_fail;
static pid_t us;

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (getpid() == us ? we_fail : others_fail) {
		errno = ENOBUFS;
		return -1;
	}
	return __real_sendmsg(fd, msg, flags);
}

/* ---- what a worker finds ------------------------------------------------- */

static void test_found(void **state)
{
	int stray = dup(STDIN_FILENO);
	struct findings f;

	(void)state;
	setenv("NOTIFY_SOCKET", "/run/notify", 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("OTHER", "1", 1);
	begin("look");
	start_and_wait();
	assert_string_equal(m.how, "exit status 0");
	f = found();
	assert_int_equal(f.domid, DOMID);
	assert_int_equal(f.descriptors, 4);
	assert_int_equal(f.siblings, 1);
	assert_true(f.ignores);
	assert_true(f.holds);
	assert_false(f.is_told);
	assert_true(f.has_other);
	finish();
	close(stray);
}

/* ---- how it ends --------------------------------------------------------- */

static void test_ends(void **state)
{
	static const struct {
		const char *what;
		const char *how;
	} ends[] = {
		{ "0", "exit status 0" },
		{ "3", "exit status 3" },
		{ "ill", "killed by signal 4 (Illegal instruction)" },
		{ "sys", "killed by signal 31 (Bad system call)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		begin(ends[i].what);
		start_and_wait();
		assert_string_equal(m.how, ends[i].how);
		assert_int_equal(m.gone, 1);
		finish();
	}
}

static void test_kill(void **state)
{
	(void)state;
	begin("hang");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(start(), 0);
		worker_starter_kill(m.starter);
		wait_gone();
		assert_string_equal(m.how, "killed by signal 9 (Killed)");
		/* Nobody. */
		worker_starter_kill(m.starter);
	}
	assert_int_equal(m.gone, 2);
	finish();
}

static void test_abandon(void **state)
{
	(void)state;
	begin("abandon");
	worker_starter_abandon(m.starter);
	assert_int_equal(start(), 0);
	worker_starter_abandon(m.starter);
	wait_gone();
	assert_string_equal(m.how, "exit status 0");
	finish();
	/* Nor does it end. */
	begin("hang");
	assert_int_equal(start(), 0);
	worker_starter_abandon(m.starter);
	wait_gone();
	assert_memory_equal(m.how, "killed by", 9);
	finish();
}

static void test_wait(void **state)
{
	(void)state;
	begin("link");
	assert_int_equal(worker_starter_wait(m.starter, 0), 0);
	assert_int_equal(start(), 0);
	assert_int_equal(worker_starter_wait(m.starter, NS_PER_MS), -ETIMEDOUT);
	assert_true(m.starter->runs);
	close_link();
	assert_int_equal(worker_starter_wait(m.starter, WAIT_S * NS_PER_SECOND),
			 0);
	assert_false(m.starter->runs);
	assert_int_equal(m.gone, 0);
	finish();
}

/* ---- what keeps it from beginning ---------------------------------------- */

static void test_no_program(void **state)
{
	static const char *const programs[] = { "/nowhere/at/all",
						"/etc/passwd" };
	static const char sentence[] = "the program cannot be executed: ";

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin_program(programs[i], "0");
		for (unsigned int n = 1; n <= 3; n++) {
			start_and_wait();
			assert_memory_equal(m.how, sentence,
					    sizeof(sentence) - 1);
			assert_int_equal(m.gone, n);
		}
		finish();
	}
}

/* The program is the one that was there when the nursery was made. */
static void test_replaced_program(void **state)
{
	char path[] = "/tmp/worker_nursery.XXXXXX", command[128];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s && chmod +x %s",
		 (int)getpid(), path, path);
	assert_int_equal(system(command), 0);
	begin_program(path, "3");
	/* That it has begun is seen by a worker. */
	start_and_wait();
	assert_string_equal(m.how, "exit status 3");
	assert_int_equal(unlink(path), 0);
	start_and_wait();
	assert_string_equal(m.how, "exit status 3");
	finish();
}

/* ---- the others die ------------------------------------------------------ */

static void test_nursery_dies(void **state)
{
	int fd[2];

	(void)state;
	begin("orphan");
	start_and_wait();
	assert_string_equal(m.how, "the process that started it is gone");
	assert_int_equal(m.gone, 1);
	/* The link that is given is not kept. */
	assert_int_equal(link_socket_pair(fd), 0);
	assert_int_equal(worker_starter_start(m.starter, DOMID, fd[1]), -EPIPE);
	assert_int_equal(close(fd[1]), -1);
	close(fd[0]);
	worker_starter_kill(m.starter);
	worker_starter_abandon(m.starter);
	finish();
	/* While it is waited for. */
	begin("orphan");
	assert_int_equal(start(), 0);
	assert_int_equal(worker_starter_wait(m.starter, WAIT_S * NS_PER_SECOND),
			 -EPIPE);
	finish();
}

/* What cannot be said is told by the end of the socket. */
static void test_no_buffers(void **state)
{
	(void)state;
	us = getpid();
	others_fail = true;
	begin("0");
	start_and_wait();
	assert_string_equal(m.how, "the process that started it is gone");
	finish();
	others_fail = false;
	begin("hang");
	assert_int_equal(start(), 0);
	we_fail = true;
	worker_starter_kill(m.starter);
	wait_gone();
	we_fail = false;
	assert_string_equal(m.how, "the process that started it is gone");
	/* Nobody is left. */
	finish();
	begin("0");
	we_fail = true;
	assert_int_equal(start(), -ENOBUFS);
	we_fail = false;
	start_and_wait();
	finish();
}

/* A monitor that has a worker and is killed; what it leaves is ours. */
static void kill_monitor(const char *what)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		begin(what);
		/* It is there. */
		_exit(start() ||
		      worker_starter_wait(m.starter, NS_PER_MS) != -ETIMEDOUT);
	}
	bury_all();
}

static void test_monitor_dies(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	kill_monitor("link");
	/* One that does not look at its link is killed. */
	kill_monitor("hang");
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

/* ---- many ---------------------------------------------------------------- */

/* Our only child. */
static int nursery_pid(void)
{
	FILE *file = fopen("/proc/thread-self/children", "r");
	int pid;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

static unsigned int descriptors_of(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return entries(path);
}

static unsigned int children_of(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	return words(path);
}

/* Whether one of its descriptors is of that kind. */
static bool has_descriptor(int pid, const char *kind)
{
	char path[64], link[128];
	ssize_t n;

	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		if (strstr(link, kind))
			return true;
	}
	return false;
}

/* What it waits for is there: it sleeps, and does not ask again and again. */
static void test_sleeps(void **state)
{
	(void)state;
	begin_program("/bin/true", "");
	start_and_wait();
	assert_true(has_descriptor(nursery_pid(), "[signalfd]"));
	assert_true(has_descriptor(nursery_pid(), "socket:"));
	finish();
}

static void test_no_leak(void **state)
{
	unsigned int starts = getenv("EXHAUSTIVE") ? STARTS_EXHAUSTIVE : STARTS;
	unsigned int ours, of_nursery;

	(void)state;
	begin_program("/bin/true", "");
	start_and_wait();
	ours = entries("/proc/self/fd");
	of_nursery = descriptors_of(nursery_pid());
	for (unsigned int i = 0; i < starts; i++)
		start_and_wait();
	assert_int_equal(m.gone, starts + 1);
	assert_int_equal(entries("/proc/self/fd"), ours);
	assert_int_equal(descriptors_of(nursery_pid()), of_nursery);
	assert_int_equal(children_of(nursery_pid()), 0);
	finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_abandon),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_replaced_program),
		cmocka_unit_test(test_nursery_dies),
		cmocka_unit_test(test_sleeps),
		cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_monitor_dies),
		cmocka_unit_test(test_no_leak),
	};

	if (argc == 3 && !strcmp(argv[0], WORKER))
		_exit(be_worker(argv[1], argv[2]));
	return cmocka_run_group_tests_name("worker_nursery", tests, NULL, NULL);
}
