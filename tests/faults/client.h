/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user front end with two split queues for a back end that may fail:
 * whatever happens is an outcome, never the end of the test. It hears of used
 * elements by the call eventfd alone, as a guest does by its interrupt.
 */
#ifndef FAULTS_CLIENT_H
#define FAULTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CLIENT_QUEUES = 2,
	CLIENT_SLOTS = 8,        /* requests of a queue at a time */
	CLIENT_DATA = 64 * 1024, /* bytes of one at most */
};

enum outcome {
	GOOD,
	REFUSED, /* a negative answer, or the connection was closed */
	HANGS,   /* no answer within the limit */
};

/* A status that is none of the device's: it was not answered. */
enum { NOT_ANSWERED = 0xff };

struct client_queue {
	int kick, call;
	unsigned int sent;
	unsigned int used;
	unsigned int batch; /* requests since the last wait */
};

struct client {
	int sock;
	int memfd;
	uint8_t *memory;
	struct client_queue queue[CLIENT_QUEUES];
	char why[128]; /* what was refused, or hangs */
};

/* Connect to `path`, waiting for it to appear until `alive` says no. */
enum outcome client_connect(struct client *c, const char *path,
			    bool (*alive)(void *arg), void *arg);

/* Negotiate and start the queues. */
enum outcome client_start(struct client *c);

/* Stop them, in the protocol's way. */
enum outcome client_stop(struct client *c);

/* Hang up and free. */
void client_close(struct client *c);

/*
 * Offer a request in the queue's next slot: returns its data, `length` bytes
 * that are the store's where `type` writes, else the caller's until the wait.
 */
uint8_t *client_offer(struct client *c, unsigned int queue, uint32_t type,
		      uint64_t sector, size_t length);

/* The ranges of a discard or a write of zeroes. */
void client_offer_range(struct client *c, unsigned int queue, uint32_t type,
			uint64_t sector, uint32_t sectors, bool unmap);

/* Kick, and wait until all that was offered is answered. */
enum outcome client_wait(struct client *c, unsigned int queue);

/* Of the i-th request since the last wait. */
uint8_t client_status(const struct client *c, unsigned int queue,
		      unsigned int i);
const uint8_t *client_data(const struct client *c, unsigned int queue,
			   unsigned int i);

#endif
