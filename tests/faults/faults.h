/* SPDX-License-Identifier: MIT */
/* What the programs of this folder have in common. */
#ifndef FAULTS_FAULTS_H
#define FAULTS_FAULTS_H

#include <stdint.h>
#include <time.h>

/* The test itself cannot go on. */
_Noreturn void give_up(const char *what);

enum { LIMIT_MS = 5000 }; /* for an answer, a session, an end */

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#endif
