/* SPDX-License-Identifier: MIT */
/*
 * One life of the daemon while something fails: it starts, two front ends come
 * and go one after the other with I/O on two queues, SIGTERM ends it.
 */
#ifndef FAULTS_SCENARIO_H
#define FAULTS_SCENARIO_H

#include <stdbool.h>

#include "daemon.h"

struct scenario {
	const char *program;
	const char *alloc; /* as in daemon.h */
	const char *directory;
	const char *keys; /* of the disk, beside file= and queues= */
	struct fault fault;
	unsigned int descriptors; /* that a run without fault ends with */

	/* Results: */
	bool injected;
	bool late;     /* what is bad is that it took too long */
	char bad[512]; /* why, or empty */
	char what[256];
	bool log_told; /* an error or a warning stands in the log */
	bool hurt;     /* a front end or the exit status saw something of it */
	unsigned int left; /* descriptors at the end of the second front end */
	unsigned int counts[CALLS_MAX];
	unsigned int allocations;
	unsigned int xen_calls; /* of Xen's libraries; vhost-user: none */
};

void scenario_run(struct scenario *s);

#endif
