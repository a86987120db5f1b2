/* SPDX-License-Identifier: MIT */
/*
 * What the double's libraries and its host say to each other: a request and its
 * reply, a datagram each, on a connection for each handle. See double.c.
 */
#ifndef DOUBLE_WIRE_H
#define DOUBLE_WIRE_H

#include <stdint.h>

/* In the environment: the directory that has the host's socket. */
#define WIRE_DIRECTORY "XEN_DOUBLE"
#define WIRE_SOCKET "host"

enum {
	WIRE_PATH_MAX = 160,
	WIRE_VALUE_MAX = 256,
	WIRE_TEXT_MAX = 4096,
	WIRE_PAGE = 4096,
};

/* The guest's memory begins here, as FRONT_GUEST of the driver says. */
#define WIRE_GUEST UINT64_C(0x40000000)

enum wire_call {
	/* The first one says of what library the handle is. */
	WIRE_OPEN_STORE, /* with the descriptor that is polled */
	WIRE_OPEN_MODEL,
	WIRE_OPEN_MEMORY, /* with the guest's memory; value: bytes */
	WIRE_OPEN_EVENTS, /* with the descriptor of ports */
	WIRE_OPEN_CONTROL,

	WIRE_WATCH,       /* path, text: token */
	WIRE_CHECK_WATCH, /* text: path, token; value: more are there */
	WIRE_READ,
	WIRE_DIRECTORY_OF, /* n, text: names */
	WIRE_WRITE,
	WIRE_RM,
	WIRE_BEGIN,
	WIRE_END,        /* arg[0]: cancel */
	WIRE_INTRODUCED, /* value */

	WIRE_CREATE_SERVER, /* value: id */
	WIRE_DESTROY_SERVER,
	WIRE_SERVER_STATE,
	WIRE_MAP_RANGE,
	WIRE_UNMAP_RANGE,
	WIRE_NR_VCPUS,
	WIRE_IRQ,

	WIRE_MAY_MAP,
	WIRE_MAP_PAGE, /* with the page */

	WIRE_BIND,
	WIRE_UNBIND,
	WIRE_NOTIFY,

	WIRE_DOMAIN_INFO, /* value: domid, flags; n: how many */
	WIRE_RESTRICT,
	WIRE_CALLS
};

struct wire_request {
	uint32_t call; /* enum wire_call */
	uint32_t domid;
	uint32_t in_transaction;
	uint32_t bytes; /* of text */
	uint64_t arg[4];
	char path[WIRE_PATH_MAX];
	char text[WIRE_VALUE_MAX];
};

struct wire_reply {
	int32_t error; /* an errno, or 0 */
	uint32_t n;
	uint64_t value[2];
	uint32_t bytes; /* of text, which is cut there */
	char text[WIRE_TEXT_MAX];
};

#endif
