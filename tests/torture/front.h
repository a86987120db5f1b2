/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user front end that keeps all that outlives a back end, as QEMU does:
 * the guest's memory, the in-flight area, event descriptors, features.
 *
 * What talks to the back end returns 0, or -1 when it has gone or refused; an
 * answer that is wrong ends the program.
 */
#ifndef TORTURE_FRONT_H
#define TORTURE_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"
#include "vhost_user/wire.h"
#include "virtio/blk_wire.h"

enum { FRONT_QUEUES_MAX = 8 };

#define FRONT_GUEST UINT64_C(0x40000000) /* guest address of the memory */

struct front {
	const char *path;
	unsigned int nqueues;
	uint64_t features; /* to be negotiated */
	int sock;          /* -1: not connected */
	int memfd;
	uint8_t *memory; /* rings first */
	size_t bytes;
	struct ring ring[FRONT_QUEUES_MAX];
	int kick[FRONT_QUEUES_MAX], call[FRONT_QUEUES_MAX];
	int inflight_fd; /* -1: none yet */
	struct vhost_inflight inflight;
	bool acks;                 /* ask for an answer to each message */
	unsigned int refused;      /* messages so far */
	unsigned int messages;     /* sent since connected */
	unsigned int last_message; /* then `sent_last` is called; 0: never */
	void (*sent_last)(void *arg);
	void (*waits)(void *arg); /* now and then while an answer is awaited */
	void *arg;
	struct virtio_blk_config config; /* as read at first */
};

/* `data_bytes` of memory besides the rings; features that are wanted. */
void front_init(struct front *f, const char *path, unsigned int nqueues,
		uint64_t features, size_t data_bytes);
void front_finish(struct front *f);

uint8_t *front_data(const struct front *f);
uint64_t front_guest(const struct front *f, const void *at);

/* One attempt: 0 or -1. */
int front_connect(struct front *f);

/* From the first message to queues that run. */
int front_begin(struct front *f);

void front_disconnect(struct front *f);

/* Whether the back end has closed the connection. */
bool front_is_left(const struct front *f);

int front_get_mode(struct front *f, uint8_t *writeback);
int front_set_mode(struct front *f, uint8_t writeback);

void front_kick(const struct front *f, unsigned int queue);

/* Wait for a notification or the end of the connection, so long at most. */
void front_wait(const struct front *f, uint64_t ns);

#endif
