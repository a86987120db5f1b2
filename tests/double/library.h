/* SPDX-License-Identifier: MIT */
/* A handle of the double's libraries: a connection to its host. */
#ifndef DOUBLE_LIBRARY_H
#define DOUBLE_LIBRARY_H

#include <pthread.h>
#include <stddef.h>

#include "wire.h"

struct handle {
	struct handle *next; /* of those that can be restricted */
	pthread_mutex_t lock;
	int sock;
	int fd;         /* what came with the first reply; or -1 */
	uint64_t bytes; /* of the guest's memory */
};

/* NULL and errno where it cannot be. */
struct handle *handle_open(enum wire_call call);

void handle_close(struct handle *h);

/* 0, or -1 and errno; `fd` of a descriptor that comes with it, or NULL. */
int handle_call(struct handle *h, const struct wire_request *request,
		struct wire_reply *reply, int *fd);

#endif
