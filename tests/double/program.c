/* SPDX-License-Identifier: MIT */
/*
 * The program under test; see program.h.
 *
 * Who was killed may take its time, as a write that the store holds does. Its
 * children become ours, for we are the subreaper.
 */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "daemon.h"

static pid_t running;

/* ---- starting ------------------------------------------------------------ */

void program_log(const struct program *p, char *to, size_t bytes)
{
	snprintf(to, bytes, "%s/log.%u", p->directory, p->starts % 2);
}

static int open_log(const struct program *p)
{
	char log[256];
	int fd;

	program_log(p, log, sizeof(log));
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		  0600);
	if (fd < 0)
		die("%s: %s", log, strerror(errno));
	return fd;
}

static void add(char **argv, unsigned int *n, const char *word)
{
	argv[(*n)++] = (char *)(uintptr_t)word;
}

static _Noreturn void become(const struct program *p, int log_fd)
{
	char *argv[PROGRAM_ARGUMENTS_MAX] = { NULL };
	unsigned int n = 0;

	add(argv, &n, p->path);
	if (p->watches) {
		add(argv, &n, "--watch=children");
	} else {
		add(argv, &n, "--domain");
		add(argv, &n, "web");
	}
	add(argv, &n, "--state-dir");
	add(argv, &n, p->state_dir);
	add(argv, &n, "--end");
	add(argv, &n, p->detach ? "detach" : "leave");
	if (p->disk) {
		add(argv, &n, "--disk");
		add(argv, &n, p->disk);
	}
	if (p->option)
		add(argv, &n, p->option);
	dup2(log_fd, STDERR_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("LD_LIBRARY_PATH", p->libraries, 1);
	if (p->preload)
		setenv("LD_PRELOAD", p->preload, 1);
	execv(p->path, argv);
	_exit(127);
}

void program_start(struct program *p)
{
	int log_fd;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	program_reap();
	p->starts++;
	p->may_fail = false;
	log_fd = open_log(p);
	p->pid = fork();
	if (p->pid < 0)
		die("fork: %s", strerror(errno));
	if (p->pid == 0)
		become(p, log_fd);
	close(log_fd);
	running = p->pid;
}

/* ---- ending -------------------------------------------------------------- */

static void gone(struct program *p)
{
	p->pid = 0;
	running = 0;
}

bool program_lives(struct program *p)
{
	int status;

	if (!p->pid)
		return false;
	if (waitpid(p->pid, &status, WNOHANG) == 0)
		return true;
	gone(p);
	if (p->may_fail && WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return false;
	die("the program ended by itself (status 0x%x), see %s/log.%u", status,
	    p->directory, p->starts % 2);
}

void program_kill(struct program *p)
{
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	gone(p);
}

void program_stop(struct program *p)
{
	uint64_t until = clock_ns() + WAIT_NS;
	int status = 0;

	kill(p->pid, SIGTERM);
	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (clock_ns() > until)
			die("the program does not end on SIGTERM, see "
			    "%s/log.%u",
			    p->directory, p->starts % 2);
		pause_ns(NS_PER_MS);
	}
	gone(p);
	/* It may have been about to end by itself ... */
	if (p->may_fail && WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return;
	/* ... or have not begun to listen for that. */
	if (status && status != SIGTERM)
		die("the program ended badly (status 0x%x), see %s/log.%u",
		    status, p->directory, p->starts % 2);
}

unsigned int program_reap(void)
{
	pid_t children[64];
	unsigned int left = 0, n;

	n = program_children(getpid(), children, 64);
	for (unsigned int i = 0; i < n; i++)
		if (children[i] != running &&
		    waitpid(children[i], NULL, WNOHANG) == 0)
			left++;
	return left;
}

void daemon_end_all(void)
{
	pid_t children[64];
	unsigned int n = program_children(getpid(), children, 64);

	for (unsigned int i = 0; i < n; i++)
		kill(children[i], SIGKILL);
}

/* ---- children ------------------------------------------------------------ */

/* «pid (name) state parent ...»; the name may have anything in it. */
static pid_t parent_of(const char *pid)
{
	char path[300], line[512], *end;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f)) {
		end = strrchr(line, ')');
		if (end && sscanf(end + 1, " %*c %d", &parent) != 1)
			parent = 0;
	}
	fclose(f);
	return parent;
}

static unsigned int add_children(pid_t pid, pid_t *children, unsigned int n,
				 unsigned int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;

	while (dir && n < max && (e = readdir(dir)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
		    parent_of(e->d_name) == pid)
			children[n++] = (pid_t)strtol(e->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	return n;
}

unsigned int program_children(pid_t pid, pid_t *children, unsigned int max)
{
	unsigned int n = add_children(pid, children, 0, max);

	for (unsigned int i = 0; i < n; i++)
		n = add_children(children[i], children, n, max);
	return n;
}

/* Whether a process was started with this word; one that is dead was not. */
static bool has_word(pid_t pid, const char *word)
{
	char path[64], words[4096];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	f = fopen(path, "re");
	if (f) {
		n = fread(words, 1, sizeof(words) - 1, f);
		fclose(f);
	}
	words[n] = '\0';
	for (size_t i = 0; i < n; i += strlen(words + i) + 1)
		if (!strcmp(words + i, word))
			return true;
	return false;
}

pid_t program_worker(const struct program *p)
{
	pid_t children[8];
	unsigned int n = program_children(p->pid, children, 8);

	for (unsigned int i = 0; p->pid && i < n; i++)
		if (has_word(children[i], "--worker"))
			return children[i];
	return 0;
}

/* It was forked, and is like the program. */
pid_t program_nursery(const struct program *p)
{
	pid_t children[8];
	unsigned int n = program_children(p->pid, children, 8);

	for (unsigned int i = 0; p->pid && i < n; i++)
		if (has_word(children[i], "--state-dir"))
			return children[i];
	return 0;
}

/* It is further below, is like its instance, and is left for a while. */
static bool is_nursery(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	return !strcmp(name, "vdisk-nursery\n");
}

pid_t program_instance(const char *domain)
{
	pid_t children[64];
	unsigned int n = program_children(getpid(), children, 64);

	for (unsigned int i = 0; i < n; i++)
		if (has_word(children[i], "--domain") &&
		    has_word(children[i], domain) && !is_nursery(children[i]))
			return children[i];
	return 0;
}
