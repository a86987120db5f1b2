/* SPDX-License-Identifier: MIT */
/*
 * An IOREQ server on the fake hypervisor, with two windows that note what they
 * are asked for.
 */
#ifndef MODEL_SERVER_H
#define MODEL_SERVER_H

#include "lib/model_xen.h"

#include "base/clock.h"
#include "base/loop.h"

enum { BASE = 0x2000000, OTHER = 0x2000400 }; /* of the windows */

struct fixture {
	struct loop loop;
	struct ioreq_server server;
	struct ioreq_state *state; /* that outlives the process; or NULL */
	struct ioreq_window window, other;
	unsigned int reads, writes, invalidates;
	uint64_t offset, value;
	unsigned int size;
	struct ioreq_window *last;
	bool wait;         /* writes wait */
	unsigned int vcpu; /* whose access is under way ... */
	bool any_vcpu;     /* ... or that of several */
};

extern struct fixture f;

struct ioreq_window window_at(uint64_t base);

/* Before the server is opened or adopted. */
void set_invalidate(void);

int open_server(void);

void start(unsigned int nvcpus);

void finish(void);

bool poll_server(void);

bool rest_server(void);

/* An access of one vCPU that has to be answered at once. */
uint64_t access_now(unsigned int vcpu, uint64_t addr, uint32_t size, bool read,
		    uint64_t data);

#endif
