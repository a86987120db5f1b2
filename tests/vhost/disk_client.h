/* SPDX-License-Identifier: MIT */
/*
 * What clients on libblkio have in common: a connection to a vhost-user disk,
 * its queues and its memory, and numbers of the command line. Everything that
 * fails ends the program, whose name is PROGRAM_NAME.
 */
#ifndef DISK_CLIENT_H
#define DISK_CLIENT_H

#include <blkio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_SECONDS = 20 }; /* for one completion */

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, PROGRAM_NAME ": %s: %s\n", what, why);
	exit(1);
}

static inline void must(int r, const char *what)
{
	if (r < 0)
		die(what, blkio_get_error_msg());
}

/* Connect and start; stores the disk's size in bytes. */
static inline struct blkio *disk_connect(const char *path, unsigned int nqueues,
					 bool poll, bool readonly,
					 uint64_t *capacity)
{
	struct blkio *b;

	must(blkio_create("virtio-blk-vhost-user", &b), "create");
	must(blkio_set_str(b, "path", path), "path");
	must(blkio_set_bool(b, "read-only", readonly), "read-only");
	must(blkio_connect(b), path);
	must(blkio_get_uint64(b, "capacity", capacity), "capacity");
	must(blkio_set_int(b, "num-queues", poll ? 0 : (int)nqueues),
	     "num-queues");
	if (poll)
		must(blkio_set_int(b, "num-poll-queues", (int)nqueues),
		     "num-poll-queues");
	must(blkio_start(b), path);
	return b;
}

static inline struct blkioq *disk_queue(struct blkio *b, bool poll,
					unsigned int i)
{
	struct blkioq *queue = poll ? blkio_get_poll_queue(b, (int)i) :
				      blkio_get_queue(b, (int)i);

	if (!queue)
		die("a queue", "cannot be used");
	return queue;
}

/* Memory for requests, of whole pages. */
static inline uint8_t *disk_memory(struct blkio *b, size_t bytes)
{
	struct blkio_mem_region region;

	bytes = (bytes + 4095) & ~(size_t)4095;
	must(blkio_alloc_mem_region(b, &region, bytes), "memory");
	must(blkio_map_mem_region(b, &region), "memory");
	return region.addr;
}

/* Start what is queued and wait for completions, all good: how many. */
static inline int disk_wait(struct blkioq *queue, struct blkio_completion *done,
			    unsigned int max)
{
	struct timespec limit = { .tv_sec = WAIT_SECONDS };
	int n = blkioq_do_io(queue, done, 1, (int)max, &limit);

	if (n < 0)
		die("no completion", strerror(-n));
	for (int i = 0; i < n; i++)
		if (done[i].ret)
			die("a request failed", strerror(-done[i].ret));
	return n;
}

/* A key of the command line with a number for its value. */
struct number_key {
	const char *key;
	unsigned int *to;
	unsigned int min, max;
};

/* Cut KEY=VALUE in two: the value. */
static inline char *split_argument(char *arg)
{
	char *value = strchr(arg, '=');

	if (!value)
		die(arg, "not KEY=VALUE");
	*value++ = '\0';
	return value;
}

static inline void set_number(const struct number_key *keys, size_t n,
			      const char *key, const char *value)
{
	unsigned long number = strtoul(value, NULL, 0);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].key, key))
			continue;
		if (number < keys[i].min || number > keys[i].max)
			die(key, "out of range");
		*keys[i].to = (unsigned int)number;
		return;
	}
	die(key, "unknown");
}

#endif
