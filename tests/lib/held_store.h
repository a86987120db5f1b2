/* SPDX-License-Identifier: MIT */
/*
 * A store that holds requests back: a FUSE file system that is one file,
 * mounted on a file of the harness, and served by a process of its own. Whoever
 * waits for it waits in the kernel, also after it was killed.
 */
#ifndef HELD_STORE_H
#define HELD_STORE_H

#include "lib/block_harness.h"

enum { HELD_BYTES = 65536, HELD_MAX = 16 };

/* Shared with its process; atomic. */
struct held_control {
	bool hold;         /* what comes waits */
	unsigned int held; /* requests that wait */
	unsigned int done; /* reads, writes and flushes that were done */
	unsigned int opened;
	unsigned char data[HELD_BYTES];
};

extern struct held_control *held;

/*
 * Mount it on harness_path("held"); skips the test where there is no FUSE for
 * us.
 */
void held_start(void);

/* The teardown of each test that may have started it. */
int held_stop(void **state);

void held_hold(bool on);

/* Until so many requests wait, and until none does. */
void held_await(unsigned int n);

#endif
