/* SPDX-License-Identifier: MIT */
/*
 * A worker that is a process of its own, started by a nursery
 * (worker/nursery_process.h says what it finds).
 */
#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* No turn of a loop has so much to do, on the slowest of machines. */
#define WORKER_ENDLESS_NS UINT64_C(10000000000)

struct loop;

/* What it serves. */
struct worker_process_kind {
	/*
	 * Hear the monitor at the other end of `fd`, owned from here on, in
	 * `loop`; ended() is called once, by the loop, when all is done. 0 or a
	 * negative errno; then nothing is left.
	 */
	int (*open)(struct loop *loop, int fd, void (*ended)(void));
	/* It has ended. */
	void (*close)(void);
	/*
	 * The process ends: say what is in flight. In another thread; also
	 * where it is not open. May be NULL.
	 */
	void (*abandon)(void);
	unsigned int calls; /* of worker/confine_list.h */
	/* As of worker/confine.h. */
	int (*restrict_handles)(unsigned int domid);
};

/* A Xen guest; and front ends of vhost-user, of one disk. */
extern const struct worker_process_kind worker_process_xen;
extern const struct worker_process_kind worker_process_vhost;

struct worker_process_settings {
	const struct worker_process_kind *kind;
	unsigned int domid; /* of a guest */
	unsigned int id;    /* of its user, as of worker/confine.h */
	const char *user;   /* the same */
	bool confined;
	uint64_t poll_max_ns; /* of its loop */
	/* As of worker/endless.h; 0: WORKER_ENDLESS_NS. */
	uint64_t endless_ns;
};

/*
 * Serve until the monitor says that it is the end, or is gone. Returns the exit
 * status of the program: 2, if no nursery has started it.
 */
int worker_process_run(const struct worker_process_settings *settings);

#endif
