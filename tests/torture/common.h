/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share: how they give up, chance, and keys of
 * the command line. PROGRAM_NAME is set before this is included.
 */
#ifndef TORTURE_COMMON_H
#define TORTURE_COMMON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* No wait is longer, so that a machine that is busy has a say, not a verdict */
#define WAIT_NS (60 * NS_PER_SECOND)

_Noreturn void die(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* A row of numbers by chance (xorshift); never 0. */
struct chance {
	uint64_t state;
};

static inline void chance_seed(struct chance *c, uint64_t seed)
{
	c->state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline uint64_t chance_next(struct chance *c)
{
	c->state ^= c->state << 13;
	c->state ^= c->state >> 7;
	c->state ^= c->state << 17;
	return c->state;
}

/* 0 to n - 1. */
static inline uint32_t chance_below(struct chance *c, uint32_t n)
{
	return (uint32_t)((chance_next(c) >> 32) * n >> 32);
}

static inline uint64_t chance_ns(struct chance *c, uint64_t limit_ns)
{
	return limit_ns ? chance_next(c) % limit_ns : 0;
}

static inline void pause_ns(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / NS_PER_SECOND),
			       .tv_nsec = (long)(ns % NS_PER_SECOND) };

	nanosleep(&ts, NULL);
}

/* A key of the command line: a number, or a text where `text` is set. */
struct key {
	const char *name;
	unsigned int *number;
	const char **text;
};

/* Take "KEY=VALUE"s; anything else ends the program. */
void take_keys(const struct key *keys, size_t n, int argc, char **argv);

/* `n` times in microseconds, the shortest first. */
void sort_times(uint64_t *times_us, unsigned int n);

/* Of sorted ones; 0 if there are none. */
double percentile_ms(const uint64_t *times_us, unsigned int n,
		     unsigned int percent);

#endif
