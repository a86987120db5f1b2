/* SPDX-License-Identifier: MIT */
/*
 * The program that serves the guest of the double, and the processes that it
 * starts: started, killed, waited for. Used by one thread.
 */
#ifndef DOUBLE_PROGRAM_H
#define DOUBLE_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

enum { PROGRAM_ARGUMENTS_MAX = 24 };

struct program {
	const char *path;
	const char *libraries; /* directory of the double's */
	const char *directory; /* of its log */
	const char *state_dir;
	const char *disk;    /* the value of --disk, or NULL */
	const char *option;  /* one more, or NULL */
	const char *preload; /* a library, or NULL */
	bool detach;         /* --end=detach */
	bool watches;        /* --watch=children, not --domain */
	bool may_fail;       /* it was left without something that it needs */
	pid_t pid;           /* 0: none */
	unsigned int starts;
};

void program_start(struct program *p);

/*
 * Whether it runs; one that has ended by itself ends the test, unless
 * `may_fail`: with status 1 it is started again by who looks.
 */
bool program_lives(struct program *p);

/* SIGKILL; it is waited for later. */
void program_kill(struct program *p);

/* SIGTERM, and wait for it: dies if it does not end well. */
void program_stop(struct program *p);

/* Wait for who was killed: how many processes of ours are not gone yet. */
unsigned int program_reap(void);

/* Its worker, and who starts those; 0: it has none now. */
pid_t program_worker(const struct program *p);
pid_t program_nursery(const struct program *p);

/*
 * The instance that a watcher has started, whoever is its parent now; 0: there
 * is none. `domain` is as it was given.
 */
pid_t program_instance(const char *domain);

/* All processes below `pid`, its children first: how many. */
unsigned int program_children(pid_t pid, pid_t *children, unsigned int max);

/* The newest log. */
void program_log(const struct program *p, char *to, size_t bytes);

#endif
