/* SPDX-License-Identifier: MIT */
/*
 * What a monitor and a worker say to each other, as bytes: the calls of
 * worker/worker.h, where it serves a Xen guest, and of worker/vhost.h, and
 * their answers. Both ends are of one program, so there are no versions; but
 * the worker touches a guest's memory, and may have been taken over by it. So
 * what comes is looked at wholly before any of it is used: its length, its
 * type, each count, flag and text, and its descriptors.
 */
#ifndef LINK_MESSAGE_H
#define LINK_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "block/part.h"
#include "config/keys.h"
#include "link/socket.h"

enum {
	LINK_ERROR_MAX = BLOCK_ERROR_MAX,
	LINK_WORD_MAX = 16,   /* of an engine's name, with its NUL */
	LINK_SERIAL_MAX = 24, /* the same */
	LINK_WHERE_MAX = 128, /* of a socket's path, the same */
};

enum link_type {
	/* to the worker */
	LINK_BEGIN = 1,
	LINK_ATTACH,
	LINK_DISOWN,
	LINK_RESIZE,
	LINK_DETACH,
	LINK_LEAVE,
	LINK_CLOSE, /* the same, and nothing is left to go on with */
	LINK_LOG_STATS,
	LINK_PING,
	/* ... that serves front ends of vhost-user */
	LINK_OPEN,
	LINK_LISTEN,
	LINK_TAKEN,
	LINK_GIVEN,
	LINK_FRONT_END,
	/* ... of both kinds */
	LINK_TRACE = 20,
	/* to the monitor */
	LINK_BEGUN = 101,
	LINK_ATTACHED,
	LINK_ENDED,
	LINK_PONG, /* also unasked, while the store is waited for in place */
	/* ... of vhost-user */
	LINK_OPENED,
	LINK_TAKE,
	LINK_GIVE,
	LINK_FRONT_END_LEFT,
};

enum link_end { LINK_TO_WORKER, LINK_TO_MONITOR };

/* Flags are 0 or 1; what is not used of a text or an array is zeroes. */

struct link_begin { /* descriptors: the guest's state, if it is kept */
	uint32_t domid;
	uint32_t kept;
};

struct link_options {
	uint64_t size;
	uint32_t given;
	uint32_t cache;
	uint32_t discard;
	uint32_t block_size;
	uint32_t queues;
	uint32_t queue_size;
	uint8_t readonly, packed, legacy, zero;
	uint32_t iothreads;
	char engine[LINK_WORD_MAX];
	char serial[LINK_SERIAL_MAX];
	char id[DISK_NAME_MAX];
};

/* Descriptors: its state, if it is kept; data, sync: those that there are. */
struct link_attach {
	uint64_t id;
	uint64_t base;
	uint32_t irq;
	uint8_t kept, adopt, has_sync, broken;
	char name[DISK_NAME_MAX];
	struct block_facts facts;
	struct link_options options;
};

struct link_disk { /* disown, detach, ended */
	uint64_t id;
};

struct link_resize {
	uint64_t id;
	uint64_t bytes;
};

struct link_begun {
	int32_t result; /* 0 or a negative errno; then there is an error */
	uint32_t nawaited;
	uint64_t awaited[DISKS_MAX];
	char error[LINK_ERROR_MAX];
};

struct link_attached {
	uint64_t id;
	int32_t result;
	uint32_t zero;
	char error[LINK_ERROR_MAX];
};

/* Descriptors: data, sync: those that there are. */
struct link_open {
	uint8_t has_sync, locked, zero[6];
	char name[DISK_NAME_MAX];
	struct block_facts facts;
	struct link_options options;
};

struct link_listen {
	char where[LINK_WHERE_MAX];
};

struct link_taken {
	int32_t result;
	uint32_t zero;
};

struct link_opened {
	int32_t result;
	uint32_t zero;
	char error[LINK_ERROR_MAX];
};

/* Descriptor: where events are noted (base/trace_area.h), if it has one. */
struct link_trace {
	uint8_t on, has_area, zero[6];
};

struct link_message {
	uint32_t type;
	uint32_t zero;
	union {
		struct link_begin begin;
		struct link_attach attach;
		struct link_disk disk;
		struct link_resize resize;
		struct link_begun begun;
		struct link_attached attached;
		struct link_open open;
		struct link_listen listen;
		struct link_taken taken;
		struct link_opened opened;
		struct link_trace trace;
	};
};

/*
 * Send a message, which is as its receiver wants it. As link_socket_send(); the
 * number of descriptors follows from the message.
 */
int link_message_send(int fd, const struct link_message *message,
		      const int *fds);

/*
 * Take the next message for `end`, with its descriptors, which are the caller's
 * (as many as link_message_fds() says; the others are -1). Control characters
 * of an error are question marks. 1, or 0: the other end is closed; or a
 * negative errno: -EAGAIN; -EPROTO and what is wrong in `why`.
 */
int link_message_receive(int fd, enum link_end end,
			 struct link_message *message, int fds[LINK_FDS_MAX],
			 const char **why);

unsigned int link_message_fds(const struct link_message *message);

/* What is wrong with one of so many bytes and descriptors; or NULL. */
const char *link_message_fault(const struct link_message *message, size_t bytes,
			       unsigned int nfds, enum link_end end);

#endif
