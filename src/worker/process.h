/* SPDX-License-Identifier: MIT */
/*
 * A worker of a Xen guest that is a process of its own, started by a nursery
 * (worker/nursery_process.h says what it finds).
 */
#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct worker_process_settings {
	unsigned int domid;
	const char *user; /* as of worker/confine.h */
	bool confined;
	uint64_t poll_max_ns; /* of its loop */
};

/*
 * Serve the guest until the monitor says that it is the end, or is gone.
 * Returns the exit status of the program: 2, if no nursery has started it.
 */
int worker_process_run(const struct worker_process_settings *settings);

#endif
