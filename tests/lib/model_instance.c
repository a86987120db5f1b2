/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/state_dir.h"
#include "monitor/state_look.h"

/* In the environment: the directory, and for whom they are. */
#define DIR_VARIABLE "MODEL_INSTANCE_DIR"
#define OWNER_VARIABLE "MODEL_INSTANCE_OWNER"

enum { PATH_BYTES = 128, LOOK_US = 2000 };

static char top[64];

/* ---- files ---- */

static const char *path_of(const char *name)
{
	static char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", getenv(DIR_VARIABLE), name);
	return path;
}

static void append(const char *name)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1)
		abort();
	close(fd);
}

static bool read_file(const char *name, char *text, size_t size)
{
	int fd = open(path_of(name), O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return n >= 0;
}

void model_instance_put(const char *name, const char *text)
{
	char new[2 * PATH_BYTES];
	FILE *f;

	snprintf(new, sizeof(new), "%s.new", path_of(name));
	f = fopen(new, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) || rename(new, path_of(name)))
		abort();
}

void model_instance_take(const char *name)
{
	unlink(path_of(name));
}

unsigned int model_instance_bytes(const char *name)
{
	struct stat st;

	return stat(path_of(name), &st) ? 0 : (unsigned int)st.st_size;
}

/* ---- the instance ---- */

static bool is_there(unsigned int domid, const char *vm)
{
	char name[32], now[STATE_DIR_VM_MAX];

	snprintf(name, sizeof(name), "vm.%u", domid);
	return read_file(name, now, sizeof(now)) && strcmp(now, vm) == 0;
}

/* The test has died, or been killed. */
static bool is_alone(void)
{
	const char *owner = getenv(OWNER_VARIABLE);

	return !owner || kill((pid_t)strtol(owner, NULL, 10), 0);
}

static _Noreturn void serve(unsigned int domid)
{
	char name[32], vm[STATE_DIR_VM_MAX], error[BLOCK_ERROR_MAX];
	struct state_dir dir;

	snprintf(name, sizeof(name), "starts.%u", domid);
	append(name);
	if (read_file("status", vm, sizeof(vm)))
		_exit((int)strtol(vm, NULL, 10));
	snprintf(name, sizeof(name), "vm.%u", domid);
	if (!read_file(name, vm, sizeof(vm)) ||
	    state_dir_open(&dir, getenv(DIR_VARIABLE), error))
		_exit(0);
	/* Another one serves it. */
	if (state_dir_take(&dir, domid, vm, error))
		_exit(0);
	while (is_there(domid, vm) && !is_alone())
		usleep(LOOK_US);
	state_dir_remove(&dir);
	_exit(0);
}

/* As systemd: one that runs already is not started again. */
static _Noreturn void start_unit(const char *unit)
{
	unsigned int domid = 0;
	pid_t pid;

	append("asked");
	if (sscanf(unit, "virtio-disk@%u.service", &domid) != 1 ||
	    model_instance_bytes("refused"))
		_exit(1);
	if (model_instance_of(domid, NULL))
		_exit(0);
	pid = fork();
	if (pid == 0) {
		setsid();
		serve(domid);
	}
	_exit(pid < 0);
}

void model_instance_main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	name = name ? name + 1 : argv[0];
	if (strcmp(name, "systemctl") == 0)
		start_unit(argv[argc - 1]);
	if (argc >= 3 && strcmp(argv[1], "--domain") == 0)
		serve((unsigned int)strtoul(argv[2], NULL, 10));
}

/* ---- the test ---- */

/* PATH has its own systemctl first. */
static void make_systemctl(void)
{
	char program[PATH_BYTES], path[2 * PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (n < 0)
		abort();
	program[n] = '\0';
	if (symlink(program, path_of("systemctl")))
		abort();
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", top);
	setenv("PATH", path, 1);
}

void model_instance_begin(void)
{
	char owner[16];

	strcpy(top, "/tmp/virtio-disk-watch.XXXXXX");
	if (!mkdtemp(top))
		abort();
	snprintf(owner, sizeof(owner), "%d", (int)getpid());
	setenv(OWNER_VARIABLE, owner, 1);
	setenv(DIR_VARIABLE, top, 1);
	make_systemctl();
}

static void remove_all(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *e;
	char path[2 * PATH_BYTES + 256];

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		if (unlink(path) && (errno == EISDIR || errno == EPERM))
			remove_all(path);
	}
	if (dir)
		closedir(dir);
	rmdir(directory);
}

void model_instance_end(void)
{
	remove_all(top);
}

const char *model_instance_dir(void)
{
	return top;
}

unsigned int model_instance_starts(unsigned int domid)
{
	char name[32];

	snprintf(name, sizeof(name), "starts.%u", domid);
	return model_instance_bytes(name);
}

pid_t model_instance_of(unsigned int domid, const char *vm)
{
	char error[BLOCK_ERROR_MAX];
	struct state_dir dir;
	pid_t pid = 0;

	if (state_dir_open(&dir, getenv(DIR_VARIABLE), error))
		abort();
	/* Who has the lock may be about to say so: it is another's pid yet. */
	if (!state_look_serves(&dir, domid, vm, &pid) || pid <= 0 ||
	    kill(pid, 0))
		pid = 0;
	state_dir_close(&dir);
	return pid;
}
