/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=xen_worker_open,--wrap=xen_worker_begin */
/* LDFLAGS: -Wl,--wrap=xen_worker_close,--wrap=xen_worker_leave */
/* LDFLAGS: -Wl,--wrap=xen_worker_abandon,--wrap=confine_enter */
/*
 * The process of a worker, without Xen: the order in which it begins, and how
 * it ends, also where its loop stands still. Each is a child; what happens in
 * it is noted in a pipe, a letter for each.
 */
#include "lib/test.h"

#include "config.h"

#ifdef HAVE_XEN

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "link/message.h"
#include "worker/confine.h"
#include "worker/nursery_process.h"
#include "worker/process.h"
#include "worker/xen_worker.h"

enum {
	WAIT_S = 30, /* for what takes two seconds at most */
	DOMID = 7,
	NOTES_MAX = 32,
};

static struct worker_process_settings settings = {
	.kind = &worker_process_xen,
	.domid = DOMID,
	.confined = true,
};

/* What goes otherwise than well. */
static struct {
	int open;
	int confine;
	bool stands_still; /* as the store may have it */
	bool is_endless;   /* as a fault of ours may have it */
} fault;

/* ---- in the worker ------------------------------------------------------- */

static int notes[2];

static void note(char what)
{
	if (write(notes[1], &what, 1) != 1)
		_exit(99);
}

int __wrap_xen_worker_open(struct xen_worker **worker, struct loop *loop,
			   struct xen_worker_owner *owner);
int __wrap_xen_worker_begin(struct xen_worker *worker, unsigned int domid,
			    int state_fd, char error[BLOCK_ERROR_MAX]);
void __wrap_xen_worker_close(struct xen_worker **worker);
void __wrap_xen_worker_leave(struct xen_worker **worker);
void __wrap_xen_worker_abandon(struct xen_worker *worker);
int __wrap_confine_enter(const struct confine_settings *confine);

int __wrap_xen_worker_open(struct xen_worker **worker, struct loop *loop,
			   struct xen_worker_owner *owner)
{
	static char some;

	(void)loop;
	(void)owner;
	note('o');
	*worker = fault.open ? NULL : (void *)&some;
	return fault.open;
}

static unsigned int threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* It is of the guest, and of the only thread. */
int __wrap_confine_enter(const struct confine_settings *confine)
{
	note(confine->domid == DOMID && threads() == 1 ? 'c' : '?');
	return fault.confine;
}

int __wrap_xen_worker_begin(struct xen_worker *worker, unsigned int domid,
			    int state_fd, char error[BLOCK_ERROR_MAX])
{
	(void)worker;
	(void)state_fd;
	(void)error;
	note(domid == DOMID ? 'b' : '?');
	while (fault.stands_still)
		pause();
	while (fault.is_endless)
		__asm__ volatile("" ::: "memory");
	/* No worker was before this one, whatever the model looks like. */
	return -EIO;
}

void __wrap_xen_worker_close(struct xen_worker **worker)
{
	if (*worker)
		note('e');
	*worker = NULL;
}

void __wrap_xen_worker_leave(struct xen_worker **worker)
{
	note('l');
	*worker = NULL;
}

void __wrap_xen_worker_abandon(struct xen_worker *worker)
{
	(void)worker;
	note('a');
}

/* ---- around it ----------------------------------------------------------- */

static struct {
	pid_t pid;
	int link; /* our end */
} w;

static void hold_abandon(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, NURSERY_ABANDON);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void start(void)
{
	int fd[2];

	assert_int_equal(link_socket_pair(fd), 0);
	assert_int_equal(pipe(notes), 0);
	fflush(NULL);
	w.link = fd[0];
	w.pid = fork();
	assert_true(w.pid >= 0);
	if (w.pid > 0) {
		close(fd[1]);
		close(notes[1]);
		return;
	}
	alarm(WAIT_S);
	hold_abandon();
	close(w.link);
	/* Elsewhere, for the link may be there. */
	notes[1] = fcntl(notes[1], F_DUPFD, 100);
	if (dup2(fd[1], NURSERY_LINK_FD) < 0)
		_exit(98);
	if (fd[1] != NURSERY_LINK_FD)
		close(fd[1]);
	_exit(worker_process_run(&settings));
}

/* Ask it to begin, with a file for the guest's state or without. */
static void say(enum link_type type, bool kept)
{
	struct link_message m = { .type = type };
	int fd = -1;

	if (type == LINK_BEGIN) {
		m.begin.domid = DOMID;
		m.begin.kept = kept;
		fd = kept ? memfd_create("state", MFD_CLOEXEC) : -1;
	}
	assert_int_equal(link_message_send(w.link, &m, &fd), 0);
	if (fd >= 0)
		close(fd);
}

static void end_link(void)
{
	close(w.link);
	w.link = -1;
}

/* Until it notes that. */
static void wait_for(char what)
{
	char c;

	do
		assert_int_equal(read(notes[0], &c, 1), 1);
	while (c != what);
}

/* It has ended so, and has noted no more than this. */
static void check_end(int wanted, const char *noted)
{
	char text[NOTES_MAX] = "";
	size_t n = 0;
	ssize_t got;
	int status;

	while ((got = read(notes[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	assert_string_equal(text, noted);
	assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), wanted);
	close(notes[0]);
	if (w.link >= 0)
		end_link();
}

static int reset(void **state)
{
	(void)state;
	memset(&fault, 0, sizeof(fault));
	settings.confined = true;
	settings.endless_ns = 0;
	return 0;
}

/* ---- the beginning ------------------------------------------------------- */

static void test_by_hand(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int status, fd[2];
		pid_t pid;

		assert_int_equal(pipe(fd), 0);
		fflush(NULL);
		pid = fork();
		if (pid == 0) {
			alarm(WAIT_S);
			if (i == 0)
				close(NURSERY_LINK_FD);
			else if (dup2(fd[0], NURSERY_LINK_FD) < 0)
				_exit(98);
			_exit(worker_process_run(&settings));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), 2);
		close(fd[0]);
		close(fd[1]);
	}
}

static void test_order(void **state)
{
	(void)state;
	start();
	say(LINK_BEGIN, false);
	wait_for('b');
	end_link();
	/* Nothing is kept, so that nobody can go on. */
	check_end(0, "e");
	start();
	end_link();
	check_end(0, "oce");
	settings.confined = false;
	start();
	end_link();
	check_end(0, "oe");
}

static void test_cannot_begin(void **state)
{
	(void)state;
	fault.confine = -EPERM;
	start();
	check_end(1, "oc");
	fault.open = -ENOENT;
	start();
	check_end(1, "o");
}

/* ---- the end ------------------------------------------------------------- */

static void test_told_to_end(void **state)
{
	(void)state;
	start();
	say(LINK_BEGIN, false);
	say(LINK_CLOSE, false);
	check_end(0, "ocbe");
}

static void test_monitor_gone_while_still(void **state)
{
	(void)state;
	fault.stands_still = true;
	start();
	say(LINK_BEGIN, true);
	wait_for('b');
	end_link();
	check_end(1, "a");
}

static void test_gives_up(void **state)
{
	(void)state;
	fault.stands_still = true;
	start();
	say(LINK_BEGIN, true);
	wait_for('b');
	assert_int_equal(kill(w.pid, NURSERY_ABANDON), 0);
	check_end(1, "a");
	/* While there is nothing to do, too. */
	start();
	wait_for('c');
	assert_int_equal(kill(w.pid, NURSERY_ABANDON), 0);
	check_end(1, "a");
}

/* Its monitor is there, and asks for nothing. */
static void test_does_one_thing_without_end(void **state)
{
	(void)state;
	settings.endless_ns = 50 * NS_PER_MS;
	fault.is_endless = true;
	start();
	say(LINK_BEGIN, true);
	wait_for('b');
	check_end(1, "");
}

/* One that has much to do, in many turns. */
static void test_much_is_not_without_end(void **state)
{
	(void)state;
	settings.endless_ns = 20 * NS_PER_MS;
	start();
	for (unsigned int i = 0; i < 20000; i++) {
		struct link_message m = { .type = LINK_PING };
		struct pollfd pollfd = { .fd = w.link, .events = POLLIN };
		int fds[LINK_FDS_MAX];
		const char *why;

		assert_int_equal(link_message_send(w.link, &m, NULL), 0);
		assert_int_equal(poll(&pollfd, 1, WAIT_S * 1000), 1);
		assert_int_equal(link_message_receive(w.link, LINK_TO_MONITOR,
						      &m, fds, &why),
				 1);
		assert_int_equal(m.type, LINK_PONG);
	}
	say(LINK_CLOSE, false);
	check_end(0, "oce");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_by_hand, reset),
		cmocka_unit_test_setup(test_order, reset),
		cmocka_unit_test_setup(test_cannot_begin, reset),
		cmocka_unit_test_setup(test_told_to_end, reset),
		cmocka_unit_test_setup(test_monitor_gone_while_still, reset),
		cmocka_unit_test_setup(test_gives_up, reset),
		cmocka_unit_test_setup(test_does_one_thing_without_end, reset),
		cmocka_unit_test_setup(test_much_is_not_without_end, reset),
	};

	return cmocka_run_group_tests_name("worker_process", tests, NULL, NULL);
}

#else

#include "lib/model_needs_xen.h"

#endif
