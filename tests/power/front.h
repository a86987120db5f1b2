/* SPDX-License-Identifier: MIT */
/*
 * A front end for one vhost-user disk: a driver with several queues, in one
 * thread, that may choose the cache mode. What fails ends the program.
 */
#ifndef POWER_FRONT_H
#define POWER_FRONT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FRONT_QUEUES_MAX = 8,
	FRONT_DEPTH_MAX = 64, /* requests of a queue: a slot each */
};

struct front {
	int sock, memory_fd;
	int call; /* eventfd of all queues */
	int kick[FRONT_QUEUES_MAX];
	uint8_t *memory;
	unsigned int nqueues;
	uint64_t features; /* of the device */
	uint64_t sectors;  /* of the disk */
	uint16_t avail[FRONT_QUEUES_MAX], used[FRONT_QUEUES_MAX];
};

/*
 * Connect and start. A driver that does not flush takes neither FLUSH nor the
 * choice of the cache mode.
 */
void front_connect(struct front *f, const char *path, unsigned int nqueues,
		   bool flushes);

/* Where a slot has the data of a write. */
uint8_t *front_data(const struct front *f, unsigned int queue,
		    unsigned int slot);

/*
 * Put a request into a slot that is free: a VIRTIO_BLK_T_* of `sectors`.
 * `unmap` is for zeroes. front_kick() starts what was put.
 */
void front_put(struct front *f, unsigned int queue, unsigned int slot,
	       uint32_t type, uint64_t sector, uint32_t sectors, bool unmap);
void front_kick(const struct front *f, unsigned int queue);

/* The next slot that is done and its status; false: none now. */
bool front_take(struct front *f, unsigned int queue, unsigned int *slot,
		uint8_t *status);

/* Sleep until something may be done; ends the program after a long time. */
void front_wait(const struct front *f);

/* A question and its answer; of no other use. */
void front_ask(struct front *f);

void front_choose_mode(struct front *f, bool writeback);

#endif
