/* SPDX-License-Identifier: MIT */
/*
 * Whole disks in a loop for tests: the model driver on one side, a temporary
 * file each on the other, any engine between.
 */
#ifndef MODEL_DISK_H
#define MODEL_DISK_H

#include "model_driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "disk/disk.h"

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

static inline void take_used(struct end *e)
{
	struct vring_used_elem elem;

	while (model_used(&e->ring, &elem))
		e->done++;
}

static inline void notify_queue(struct transport *t, unsigned int queue)
{
	struct end *e = (struct end *)t;

	assert_int_equal(queue, 0);
	e->notified++;
	take_used(e);
	loop_quit(&e->rig->loop);
}

static inline void notify_config(struct transport *t)
{
	struct end *e = (struct end *)t;

	e->changed++;
	loop_quit(&e->rig->loop);
}

static inline void stopped(struct transport *t)
{
	struct end *e = (struct end *)t;

	e->stopped++;
	loop_quit(&e->rig->loop);
}

static const struct transport_ops end_ops = {
	.notify_queue = notify_queue,
	.notify_config = notify_config,
	.stopped = stopped,
};

static inline void deadline_due(struct loop_timer *timer)
{
	struct rig *rig = container_of(timer, struct rig, deadline);

	rig->late = true;
	loop_quit(&rig->loop);
}

/* Run until something is told to a driver: false if nothing is for `ns`. */
static inline bool run(struct rig *rig, uint64_t ns)
{
	rig->late = false;
	loop_arm(&rig->loop, &rig->deadline, ns);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_disarm(&rig->loop, &rig->deadline);
	return !rig->late;
}

/* Run until disk `i` has answered `done` requests in all. */
static inline void run_until(struct rig *rig, unsigned int i, unsigned int done)
{
	struct end *e = &rig->end[i];

	take_used(e);
	while (e->done < done) {
		bool told = run(rig, 10 * NS_PER_SECOND);

		take_used(e);
		if (!told && e->done < done)
			fail_msg("disk %u stands still after %u of %u", i,
				 e->done, done);
	}
}

static inline void make_file(struct end *e)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(e->file, sizeof(e->file), "%s/virtio-disk-XXXXXX",
		 dir && strlen(dir) < 40 ? dir : "/tmp");
	fd = mkstemp(e->file);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	close(fd);
}

static inline void drive(struct rig *rig, struct end *e)
{
	struct virtio_device *dev = &e->disk.blk.dev;

	/* Without EVENT_IDX each publish that is wanted notifies. */
	assert_true(model_negotiate(
		dev, model_offered(dev) & ~VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX)));
	model_set_queue(dev, 0, &e->ring);
	model_driver_ok(dev);
	assert_true(virtio_device_live(dev));
	(void)rig;
}

static inline void add_disk_as(struct rig *rig, struct disk_options options)
{
	struct end *e = &rig->end[rig->ndisks++];
	char error[BLOCK_ERROR_MAX] = "";

	e->transport.ops = &end_ops;
	e->rig = rig;
	make_file(e);
	options.file = e->file;
	options.queue_size = RING;
	if (disk_open(&e->disk, "test", &options, &rig->mem.memory, error))
		fail_msg("%s", error);
	virtio_mmio_offer(&e->disk.blk.dev);
	assert_int_equal(disk_serve(&e->disk, &rig->loop, &e->transport), 0);
	rig->heap = (model_ring_init(&e->ring, &rig->mem, rig->heap, RING) +
		     MODEL_PAGE - 1) &
		    ~(uint64_t)(MODEL_PAGE - 1);
	drive(rig, e);
}

static inline void add_disk(struct rig *rig, const char *engine)
{
	add_disk_as(rig, (struct disk_options){ .engine = (char *)engine });
}

static inline void rig_init(struct rig *rig, const char *engine,
			    unsigned int disks)
{
	memset(rig, 0, sizeof(*rig));
	rig->deadline.due = deadline_due;
	assert_int_equal(loop_init(&rig->loop), 0);
	model_memory_init(&rig->mem, MEMORY);
	rig->mem.memory.pinnable = true;
	rig->heap = MODEL_BASE;
	while (rig->ndisks < disks)
		add_disk(rig, engine);
}

static inline void rig_finish(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->ndisks; i++) {
		disk_close(&rig->end[i].disk);
		unlink(rig->end[i].file);
	}
	assert_null(rig->loop.pollers);
	loop_finish(&rig->loop);
	model_memory_finish(&rig->mem);
}

/* Offer a request in area `slot`: the address of its data. */
static inline uint8_t *offer(struct rig *rig, unsigned int disk,
			     unsigned int slot, uint32_t type, uint64_t block)
{
	uint64_t at = rig->heap + slot * (uint64_t)AREA;
	struct virtio_blk_header h = { .type = type,
				       .sector = block * (BLOCK / 512) };
	const bool flush = type == VIRTIO_BLK_T_FLUSH;
	const struct model_buf bufs[] = {
		{ at, 16, false },
		{ at + BLOCK, flush ? 0 : BLOCK, type == VIRTIO_BLK_T_IN },
		{ at + 16, 1, true },
	};
	uint8_t *p = model_at(&rig->mem, at, AREA);

	assert_non_null(p);
	memcpy(p, &h, sizeof(h));
	p[16] = 0xee;
	model_offer(&rig->end[disk].ring, bufs, 3);
	return p + BLOCK;
}

static inline uint8_t status(struct rig *rig, unsigned int slot)
{
	uint8_t *p = model_at(&rig->mem, rig->heap + slot * (uint64_t)AREA, 17);

	assert_non_null(p);
	return p[16];
}

/* One look at the work, without the loop. */
static inline void poll_once(struct rig *rig, unsigned int disk)
{
	struct loop_poller *p = &rig->end[disk].disk.queue[0].poller;

	p->poll(p);
}

#endif
