/* SPDX-License-Identifier: MIT */
/*
 * The process that starts workers; see worker/nursery.h.
 *
 *	order	  from the monitor: start, kill, give up
 *	   |
 *	child	  SIGCHLD: how it has ended is reported
 *
 * It has no threads, no filter, and opens nothing but the program. A worker is
 * executed with the descriptors 0 to 2 and its link, and without what a service
 * manager has told its monitor by the environment.
 *
 * Failure modes: what keeps a worker from being started is reported as its end.
 * Where the monitor is gone, the worker sees the end of its link and has some
 * time; then it is killed, and the nursery ends. So is one that does not give
 * up. What ends only the nursery leaves the worker to its link.
 */
#include "worker/nursery_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace_signals.h"
#include "link/socket.h"

/* As ps(1) shows it. */
#define PROCESS_NAME "vdisk-nursery"

/* How long a worker has for leaving by itself: more than it takes itself. */
#define LEAVES_NS (4 * NS_PER_SECOND)
/* ... and for saying what it gives up. */
#define GIVES_UP_NS NS_PER_SECOND

/* Where there is no close_range(), descriptors are closed up to this. */
#define DESCRIPTORS_MAX 65536

static struct {
	int socket;   /* of the monitor; -1: it is gone */
	int children; /* signalfd */
	int program;  /* or a negative errno */
	const char *args[NURSERY_ARGS_MAX + 2];
	unsigned int nargs;
	pid_t worker;    /* or 0 */
	uint64_t end_ns; /* when it is killed; or 0 */
} nursery;

/* ---- a worker ---- */

/* Of whoever started us, for us alone. */
static const char *const told[] = {
	"NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
	"LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
};

/* The file itself, whatever has its name now. Why not, if it returns. */
static int execute_program(void)
{
	syscall(__NR_execveat, nursery.program, "", nursery.args, environ,
		AT_EMPTY_PATH);
	return errno;
}

/* In the child: ends, or is the worker. */
static void execute(const struct nursery_order *order, int link, int failed)
{
	char domid[16];
	sigset_t held;
	int error;

	snprintf(domid, sizeof(domid), "%u", order->domid);
	nursery.args[nursery.nargs] = domid;
	sigemptyset(&held);
	sigaddset(&held, NURSERY_ABANDON);
	sigprocmask(SIG_SETMASK, &held, NULL);
	/* The socket had this number, and is not ours any more. */
	if (nursery.program < 0)
		error = -nursery.program;
	else if (dup2(link, NURSERY_LINK_FD) < 0)
		error = errno;
	else
		error = execute_program();
	if (write(failed, &error, sizeof(error)) != sizeof(error))
		error = 0;
	_exit(1);
}

static void end_within(uint64_t ns)
{
	uint64_t at = clock_ns() + ns;

	if (nursery.worker && (!nursery.end_ns || nursery.end_ns > at))
		nursery.end_ns = at;
}

static void leave_monitor(void)
{
	if (nursery.socket >= 0)
		close(nursery.socket);
	nursery.socket = -1;
	end_within(LEAVES_NS);
}

/* A monitor that cannot be told is told by the end of the socket. */
static void report(int what, int value)
{
	const struct nursery_report report = { what, value };

	if (nursery.socket >= 0 &&
	    link_socket_send(nursery.socket, &report, sizeof(report), NULL, 0))
		leave_monitor();
}

/* Whether `fd`, which closes as the program begins, says that it does not. */
static bool is_executed(int fd)
{
	int error;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(error))
		return true;
	report(NURSERY_NOT_EXECUTED, error);
	return false;
}

static void start(const struct nursery_order *order, int link)
{
	int failed[2];
	pid_t pid = -1;

	if (pipe2(failed, O_CLOEXEC)) {
		report(NURSERY_NOT_FORKED, errno);
		return;
	}
	pid = fork();
	if (pid == 0)
		execute(order, link, failed[1]);
	if (pid < 0)
		report(NURSERY_NOT_FORKED, errno);
	close(failed[1]);
	if (pid > 0 && is_executed(failed[0]))
		nursery.worker = pid;
	else if (pid > 0)
		waitpid(pid, NULL, 0);
	close(failed[0]);
}

static void send_signal(int signo)
{
	if (nursery.worker && kill(nursery.worker, signo))
		log_error("the worker, process %d, cannot be ended: %s",
			  (int)nursery.worker, strerror(errno));
}

static void bury(void)
{
	struct signalfd_siginfo info;
	int status;

	while (read(nursery.children, &info, sizeof(info)) == sizeof(info))
		continue;
	if (!nursery.worker ||
	    waitpid(nursery.worker, &status, WNOHANG) != nursery.worker)
		return;
	nursery.worker = 0;
	nursery.end_ns = 0;
	report(NURSERY_ENDED, status);
}

/* ---- the monitor ---- */

static void obey(const struct nursery_order *order, int link)
{
	if (order->verb == NURSERY_KILL) {
		send_signal(SIGKILL);
	} else if (order->verb == NURSERY_GIVE_UP) {
		send_signal(NURSERY_ABANDON);
		end_within(GIVES_UP_NS);
	} else if (link >= 0 && !nursery.worker) {
		start(order, link);
	} else {
		report(NURSERY_NOT_FORKED, EINVAL);
	}
}

static void listen_to_monitor(void)
{
	struct nursery_order order;
	int fds[LINK_FDS_MAX];
	unsigned int nfds;
	int r = link_socket_receive(nursery.socket, &order, sizeof(order), fds,
				    &nfds);

	if (r == -EAGAIN)
		return;
	if (r == (int)sizeof(order))
		obey(&order, nfds ? fds[0] : -1);
	while (nfds)
		close(fds[--nfds]);
	if (r == (int)sizeof(order))
		return;
	leave_monitor();
}

/* ---- the process ---- */

static int wait_ms(void)
{
	uint64_t now = clock_ns();

	if (!nursery.worker || !nursery.end_ns)
		return -1;
	return now >= nursery.end_ns ?
		       0 :
		       (int)((nursery.end_ns - now) / NS_PER_MS + 1);
}

static void turn(void)
{
	struct pollfd fds[] = {
		{ .fd = nursery.children, .events = POLLIN },
		{ .fd = nursery.socket, .events = POLLIN },
	};

	if (poll(fds, 2, wait_ms()) < 0) {
		/* It would go round for ever. The monitor ends, too. */
		if (errno != EINTR)
			_exit(1);
		return;
	}
	bury();
	if (fds[1].revents)
		listen_to_monitor();
	if (nursery.worker && wait_ms() == 0) {
		log_warning("the worker, process %d, does not end: killing it",
			    (int)nursery.worker);
		send_signal(SIGKILL);
		/* It may be in a system call that no signal ends. */
		nursery.end_ns = clock_ns() + LEAVES_NS;
	}
}

/* The socket gets the number that a worker's link will have. */
static void close_others(int fd)
{
	if (fd != NURSERY_LINK_FD)
		dup3(fd, NURSERY_LINK_FD, O_CLOEXEC);
	nursery.socket = NURSERY_LINK_FD;
	if (syscall(__NR_close_range, NURSERY_LINK_FD + 1, ~0u, 0) == 0)
		return;
	for (int other = NURSERY_LINK_FD + 1; other < DESCRIPTORS_MAX; other++)
		close(other);
}

/* What is ignored or blocked is so in a worker, too. */
static void set_signals(void)
{
	const int ignored[] = { SIGTERM,         SIGINT,
				SIGHUP,          SIGQUIT,
				SIGUSR1,         SIGPIPE,
				TRACE_SIGNAL_ON, TRACE_SIGNAL_OFF,
				TRACE_SIGNAL_LOG };
	sigset_t held;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	signal(NURSERY_ABANDON, SIG_DFL);
	sigemptyset(&held);
	sigaddset(&held, SIGCHLD);
	sigaddset(&held, NURSERY_ABANDON);
	sigprocmask(SIG_SETMASK, &held, NULL);
}

/* After close_others(), which would close it. */
static void listen_to_children(void)
{
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	nursery.children = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void keep_args(const char *const *args)
{
	while (nursery.nargs < NURSERY_ARGS_MAX && args[nursery.nargs]) {
		nursery.args[nursery.nargs] = args[nursery.nargs];
		nursery.nargs++;
	}
}

void nursery_process_run(int fd, const char *program, const char *const *args)
{
	set_signals();
	close_others(fd);
	listen_to_children();
	prctl(PR_SET_NAME, PROCESS_NAME);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		unsetenv(told[i]);
	keep_args(args);
	/* Without it the monitor sees the end of the socket. */
	if (nursery.children < 0)
		_exit(1);
	nursery.program = open(program, O_PATH | O_CLOEXEC);
	if (nursery.program < 0)
		nursery.program = -errno;
	while (nursery.socket >= 0 || nursery.worker)
		turn();
	_exit(0);
}
