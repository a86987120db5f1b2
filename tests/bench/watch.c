/* SPDX-License-Identifier: MIT */
/*
 * What another process spends; see watch.h.
 *
 * CPU time is the process's clock, which has the time of threads that have
 * ended as well and is exact to the ns, unlike the ticks of /proc/PID/stat.
 * System calls are tracepoints, counted per thread and inherited by new ones.
 */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PATH = 512,
	EVENTFDS_MAX = 64,
	FILTER = 1024,
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench client: cannot watch the daemon: %s: %s\n", what,
		strerror(errno));
	exit(1);
}

/* ---- eventfds that two processes share ---- */

struct eventfd {
	int fd;
	unsigned long id; /* the kernel's, the same in every process */
};

static bool read_eventfd(const char *path, unsigned long *id)
{
	char line[128];
	FILE *f = fopen(path, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "eventfd-id: %lu", id) == 1;
	if (f)
		fclose(f);
	return found;
}

static unsigned int list_eventfds(pid_t pid, struct eventfd *list)
{
	char path[PATH];
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while (n < EVENTFDS_MAX && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", (int)pid,
			 entry->d_name);
		if (!read_eventfd(path, &list[n].id))
			continue;
		list[n++].fd = atoi(entry->d_name);
	}
	closedir(dir);
	return n;
}

/* A tracepoint filter for what the other process writes to our eventfds. */
static void shared_filter(pid_t pid, char filter[FILTER])
{
	struct eventfd ours[EVENTFDS_MAX], its[EVENTFDS_MAX];
	unsigned int nours = list_eventfds(getpid(), ours);
	unsigned int nits = list_eventfds(pid, its);
	size_t used = 0;

	for (unsigned int i = 0; i < nits; i++) {
		for (unsigned int j = 0; j < nours; j++) {
			if (its[i].id != ours[j].id || used + 32 > FILTER)
				continue;
			used += (size_t)snprintf(filter + used, FILTER - used,
						 "%sfd == %d",
						 used ? " || " : "", its[i].fd);
			break;
		}
	}
	if (!used)
		snprintf(filter, FILTER, "fd == 1000000");
}

/* ---- perf events ---- */

static uint64_t tracepoint(const char *tracefs, const char *name)
{
	unsigned long long id;
	char path[PATH];
	FILE *f;

	snprintf(path, sizeof(path), "%s/events/%s/id", tracefs, name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", &id) != 1)
		die(path);
	fclose(f);
	return id;
}

static int open_event(uint64_t id, pid_t tid, const char *filter)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
		.inherit = 1,
	};
	int fd = (int)syscall(__NR_perf_event_open, &attr, tid, -1, -1,
			      PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		die("perf_event_open");
	if (filter && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter))
		die(filter);
	return fd;
}

static void count_threads(struct watch *w, const char *tracefs)
{
	uint64_t any = tracepoint(tracefs, "raw_syscalls/sys_enter");
	uint64_t write = tracepoint(tracefs, "syscalls/sys_enter_write");
	char path[PATH], filter[FILTER];
	struct dirent *entry;
	DIR *dir;

	shared_filter(w->pid, filter);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)w->pid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while (w->n < WATCH_THREADS_MAX && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		w->syscalls[w->n] = open_event(any, tid, NULL);
		w->calls[w->n] = open_event(write, tid, filter);
		w->n++;
	}
	closedir(dir);
}

static uint64_t event_value(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) != sizeof(value))
		die("reading a counter");
	return value;
}

/* ---- /proc ---- */

static uint64_t switches_of(const char *path)
{
	unsigned long long n, sum = 0;
	char line[256];
	FILE *f = fopen(path, "r");

	/* A thread that has ended meanwhile has no file. */
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

static uint64_t switches(pid_t pid)
{
	char path[PATH];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status",
			 (int)pid, entry->d_name);
		if (entry->d_name[0] != '.')
			sum += switches_of(path);
	}
	closedir(dir);
	return sum;
}

void watch_open(struct watch *w, pid_t pid, const char *tracefs)
{
	memset(w, 0, sizeof(*w));
	w->pid = pid;
	if (!pid)
		return;
	errno = clock_getcpuclockid(pid, &w->clock);
	if (errno)
		die("its clock");
	w->counting = tracefs;
	if (tracefs)
		count_threads(w, tracefs);
}

void watch_read(const struct watch *w, struct watch_sample *sample)
{
	struct timespec ts;

	memset(sample, 0, sizeof(*sample));
	if (!w->pid)
		return;
	if (clock_gettime(w->clock, &ts))
		die("its clock");
	sample->cpu_ns = (uint64_t)ts.tv_sec * 1000000000u +
			 (uint64_t)ts.tv_nsec;
	sample->switches = switches(w->pid);
	for (unsigned int i = 0; i < w->n; i++) {
		sample->syscalls += event_value(w->syscalls[i]);
		sample->calls += event_value(w->calls[i]);
	}
}
