/* SPDX-License-Identifier: MIT */
/*
 * Whole vhost-user daemons, each in a process of its own that does what the
 * test says, and small front ends for them: one queue, one request at a time.
 */
#ifndef TESTS_MODEL_DAEMON_H
#define TESTS_MODEL_DAEMON_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"
#include "config/command_line.h"
#include "vhost_user/wire.h"
#include "virtio/blk_wire.h"
#include "virtio/wire.h"

/* No wait is longer; a slow machine does not come near it. */
#define MODEL_WAIT_S 20

int model_make_folder(void **state);

/* Only the images may be left. */
int model_remove_folder(void **state);

void model_path(char *to, size_t size, const char *name);

void model_image(char *to, size_t size, off_t bytes);

struct daemon {
	pid_t pid;
	int control;      /* orders to it, and its answers */
	int log;          /* what it says, from then on */
	char said[16384]; /* ... so far */
	size_t nsaid;
};

/* In the daemon's process. */
struct daemon_self {
	struct loop loop;
	struct loop_source control;
};

enum daemon_order {
	DAEMON_QUIT = 'q',
	DAEMON_ABANDON = 'a',
	DAEMON_FULL = 'f',   /* it gets no more descriptors ... */
	DAEMON_ROOM = 'r',   /* ... and may have them again */
	DAEMON_SLEEPS = 's', /* answers how often it went to sleep */
};

void daemon_start(struct daemon *d, const struct options *options);

/* Until it has said that. */
void daemon_says(struct daemon *d, const char *text);

/* How often it has said that so far. */
unsigned int daemon_said(struct daemon *d, const char *text);

void daemon_order(struct daemon *d, enum daemon_order order);

uint64_t daemon_sleeps(struct daemon *d);

/* Its end: the exit status, or 256 and more if a signal ended it. */
int daemon_ended(struct daemon *d);

void daemon_stop(struct daemon *d);

void daemon_kill(struct daemon *d);

enum {
	FRONT_RING = 16,
	FRONT_MEMORY = 1 << 20,
	FRONT_DATA_AT = 0x10000,
};

#define FRONT_GUEST UINT64_C(0x40000000)
#define FRONT_USER UINT64_C(0x7f0000000000)

struct front {
	int sock, memfd, kick, call;
	uint8_t *memory;
	uint16_t avail;
};

int model_connect(const char *path);

void front_send(struct front *f, uint32_t request, const void *payload,
		uint32_t size, int fd);

/* Its answer: false when the session has been closed instead. */
bool front_reply(struct front *f, union vhost_payload *payload);

/* Ask, and the number that is answered; UINT64_MAX from a closed session. */
uint64_t front_ask(struct front *f, uint32_t request, const void *payload,
		   uint32_t size, int fd);

/* The size of the disk, in sectors. */
uint64_t front_capacity(struct front *f);

void front_open(struct front *f, const char *path);

void front_close(struct front *f);

/* Start the queue: whether the daemon does. */
bool front_start(struct front *f);

void front_stop(struct front *f);

/* Put a request into the ring; its data are at FRONT_DATA_AT. */
void front_submit(struct front *f, uint32_t type, uint64_t sector,
		  uint32_t bytes);

/* One request: its status. */
uint8_t front_io(struct front *f, uint32_t type, uint64_t sector,
		 uint32_t bytes);

#endif
