/* SPDX-License-Identifier: MIT */
/*
 * What another process spends while it serves us: CPU time of all its threads
 * (kernel workers of io_uring included), context switches and, on request,
 * system calls and writes to the eventfds that it shares with us.
 *
 * Counting system calls makes each of them slower, the daemon's that makes many
 * most: times and counts come from separate runs.
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { WATCH_THREADS_MAX = 256 };

struct watch_sample {
	uint64_t cpu_ns;
	uint64_t switches;
	uint64_t syscalls;
	uint64_t calls; /* writes to eventfds that we have too */
};

struct watch {
	pid_t pid; /* 0: nobody is watched */
	clockid_t clock;
	bool counting;
	unsigned int n;                  /* threads that are counted */
	int syscalls[WATCH_THREADS_MAX]; /* perf events */
	int calls[WATCH_THREADS_MAX];
};

/*
 * Watch `pid`. `tracefs` is where that file system is mounted, or NULL to count
 * no system calls. Call it when eventfds are shared already. Ends the program
 * with a sentence if it cannot be done.
 */
void watch_open(struct watch *w, pid_t pid, const char *tracefs);

/* Totals so far; subtract two of them. */
void watch_read(const struct watch *w, struct watch_sample *sample);

#endif
