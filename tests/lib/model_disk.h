/* SPDX-License-Identifier: MIT */
/*
 * Whole disks in a loop for tests: the model driver on one side, a temporary
 * file each on the other, any engine between.
 */
#ifndef MODEL_DISK_H
#define MODEL_DISK_H

#include "lib/model_driver.h"
#include "lib/model_image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "monitor/size_watch.h"

enum {
	FILE_BYTES = 1 << 20,
	RING = 64,
	DISKS = 2,
	BLOCK = 4096,     /* bytes of a request */
	AREA = 2 * BLOCK, /* of guest memory for a request */
	MEMORY = 160 * MODEL_PAGE,
};

static const char *const engines[] = {
	"io_uring",
	"libaio",
	"threads",
	"auto",
};

struct rig;

struct end { /* of a disk, towards the driver */
	struct transport transport;
	struct rig *rig;
	struct block_image image;
	struct size_watch size; /* of it */
	struct disk disk;
	struct model_ring ring;
	unsigned int notified, changed, stopped;
	unsigned int done; /* used elements taken */
	char file[64];
};

struct rig {
	struct loop loop;
	struct model_memory mem;
	struct end end[DISKS];
	unsigned int ndisks;
	uint64_t heap;
	struct loop_timer deadline;
	bool late;
};

void take_used(struct end *e);

void notify_queue(struct transport *t, unsigned int queue);

void notify_config(struct transport *t);

void stopped(struct transport *t);

extern const struct transport_ops end_ops;

/* Run until something is told to a driver: false if nothing is for `ns`. */
bool run(struct rig *rig, uint64_t ns);

/* Run until disk `i` has answered `done` requests in all. */
void run_until(struct rig *rig, unsigned int i, unsigned int done);

void make_file(struct end *e);

void drive(struct rig *rig, struct end *e);

void add_disk_as(struct rig *rig, struct disk_options options);

void rig_init(struct rig *rig, const char *engine, unsigned int disks);

void rig_finish(struct rig *rig);

/* Offer a request in area `slot`: the address of its data. */
uint8_t *offer(struct rig *rig, unsigned int disk, unsigned int slot,
	       uint32_t type, uint64_t block);

uint8_t status(struct rig *rig, unsigned int slot);

/* One look at the work, without the loop. */
void poll_once(struct rig *rig, unsigned int disk);

#endif
