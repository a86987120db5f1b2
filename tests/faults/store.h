/* SPDX-License-Identifier: MIT */
/* What store.c is told, and what it tells: a file that both have mapped. */
#ifndef FAULTS_STORE_H
#define FAULTS_STORE_H

#include <stdint.h>

enum store_op {
	STORE_READ,
	STORE_WRITE,
	STORE_FLUSH,
	STORE_DISCARD,
	STORE_OPS
};

/* The at-th request of an operation fails, and every every-th from then on. */
struct store_fault {
	uint32_t at;      /* from 1; 0: none */
	uint32_t every;   /* 0: only that one */
	uint32_t error;   /* errno; or 0, and it is done but for ... */
	uint32_t shorter; /* ... what is longer than so many bytes */
};

struct store_control {
	uint32_t mounted;
	uint32_t frozen; /* nothing is answered */
	struct store_fault fault[STORE_OPS];
	uint32_t seen[STORE_OPS];
	uint32_t failed[STORE_OPS];
};

#endif
