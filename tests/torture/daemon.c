/* SPDX-License-Identifier: MIT */
/*
 * The program under test; see daemon.h.
 *
 * One that was killed may take its time to end: a thread of it that waits for
 * the store cannot be killed before the store answers. Nobody waits for it
 * here; its successor has to.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

enum { DYING_MAX = 64, BACKLOG = 8 };

static pid_t dying[DYING_MAX];
static pid_t running;

static void log_name(const struct daemon *d, unsigned int start, char *to,
		     size_t size)
{
	snprintf(to, size, "%s.%u.log", d->socket, start % 2);
}

/* Empty before the daemon begins: what is in it is of this one. */
static int open_log(const struct daemon *d)
{
	char log[256];
	int fd;

	log_name(d, d->starts, log, sizeof(log));
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		  0600);
	if (fd < 0)
		die("%s: %s", log, strerror(errno));
	return fd;
}

static _Noreturn void become(const struct daemon *d, int log_fd)
{
	char number[16];

	dup2(log_fd, 2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (d->preload)
		setenv("LD_PRELOAD", d->preload, 1);
	snprintf(number, sizeof(number), "%d", d->listener);
	if (d->inherit)
		fcntl(d->listener, F_SETFD, 0);
	execl(d->program, d->program, d->inherit ? "--fd" : "--vhost-user",
	      d->inherit ? number : d->path, "--disk", d->disk,
	      d->foreground ? "--foreground" : (char *)NULL, (char *)NULL);
	_exit(127);
}

/* As systemd does: it outlives all daemons, and so do those who wait there. */
static void listen_for(struct daemon *d)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", d->path);
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->listener < 0 ||
	    bind(d->listener, (struct sockaddr *)&sun, sizeof(sun)) ||
	    listen(d->listener, BACKLOG))
		die("%s: %s", d->path, strerror(errno));
}

void daemon_start(struct daemon *d)
{
	int log_fd;

	daemon_reap();
	d->starts++;
	if (d->paths)
		snprintf(d->path, sizeof(d->path), "%s.%u", d->socket,
			 d->starts);
	else
		snprintf(d->path, sizeof(d->path), "%s", d->socket);
	if (d->inherit && d->starts == 1)
		listen_for(d);
	log_fd = open_log(d);
	d->pid = fork();
	if (d->pid < 0)
		die("fork: %s", strerror(errno));
	if (d->pid == 0)
		become(d, log_fd);
	close(log_fd);
	running = d->pid;
}

static bool log_has(const struct daemon *d, const char *text)
{
	char name[256], log[4096];
	ssize_t n;
	int fd;

	log_name(d, d->starts, name, sizeof(name));
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return false;
	n = read(fd, log, sizeof(log) - 1);
	close(fd);
	log[n < 0 ? 0 : n] = '\0';
	return strstr(log, text);
}

/*
 * Without its first worker it ends: nobody has seen it yet, and whoever started
 * it does so again.
 */
static bool lost_first_worker(const struct daemon *d)
{
	return log_has(d, "killed by signal 9") && !log_has(d, ", on ");
}

/* How it may end: by our signal, or because something is still in use. */
static void judge_end(struct daemon *d, int status, bool told)
{
	d->pid = 0;
	running = 0;
	if (told && status == 0)
		return;
	/* A signal may come before it has begun to listen for it. */
	if (told && status == SIGTERM && !log_has(d, ", on "))
		return;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 ||
	    !(log_has(d, "in use") || lost_first_worker(d)))
		die("the daemon ended%s (status 0x%x), see %s.%u.log",
		    told ? " badly" : " by itself", status, d->socket,
		    d->starts % 2);
	d->refusals++;
}

bool daemon_is_alive(struct daemon *d)
{
	int status;
	pid_t pid;

	if (!d->pid)
		return false;
	pid = waitpid(d->pid, &status, WNOHANG);
	if (pid == 0)
		return true;
	judge_end(d, status, false);
	return false;
}

static void wait_later(pid_t pid)
{
	for (unsigned int i = 0; i < DYING_MAX; i++)
		if (!dying[i]) {
			dying[i] = pid;
			return;
		}
	die("too many daemons do not end");
}

void daemon_kill(struct daemon *d)
{
	if (!d->pid)
		return;
	kill(d->pid, SIGKILL);
	wait_later(d->pid);
	d->pid = 0;
	running = 0;
}

/* The first child of a process, or 0. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%d", &child) != 1)
		child = 0;
	fclose(f);
	return child;
}

/* The worker is a child of what starts workers, which is one of the daemon. */
bool daemon_kill_worker(const struct daemon *d)
{
	pid_t nursery = child_of(d->pid);
	pid_t worker = nursery ? child_of(nursery) : 0;

	return worker && kill(worker, SIGKILL) == 0;
}

void daemon_stop(struct daemon *d)
{
	uint64_t until = clock_ns() + WAIT_NS;
	int status = 0;
	pid_t pid;

	kill(d->pid, SIGTERM);
	while ((pid = waitpid(d->pid, &status, WNOHANG)) == 0) {
		if (clock_ns() > until)
			die("the daemon does not end on SIGTERM");
		pause_ns(NS_PER_MS);
	}
	judge_end(d, status, true);
}

unsigned int daemon_reap(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < DYING_MAX; i++) {
		if (dying[i] && waitpid(dying[i], NULL, WNOHANG) != 0)
			dying[i] = 0;
		n += dying[i] != 0;
	}
	return n;
}

void daemon_end_all(void)
{
	if (running)
		kill(running, SIGKILL);
	running = 0;
	daemon_reap();
}
