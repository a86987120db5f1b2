/* SPDX-License-Identifier: MIT */
/*
 * The data path for counting its instructions: one disk, a driver in the same
 * process, no threads. Run by core.sh under callgrind, which collects only
 * between the two marks around the disk's passes; the driver costs nothing.
 *
 * The guest's memory is vhost-user's: what a descriptor costs to look up
 * belongs to a request. A round is: the driver offers a batch, the disk is
 * polled until it finds nothing, the driver takes its batch back and checks it.
 *
 * usage: core ENGINE [FILE]	engine "null" needs no file
 *
 * Prints a line "CASE REQUESTS" for each case, and has callgrind write the
 * totals under the case's name.
 */
#include "lib/test.h"

#include "lib/model_driver.h"
#include "lib/model_image.h"

#include <stdio.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "disk/disk.h"
#include "vhost_user/regions.h"

enum {
	RING = 256,
	BATCH_MAX = 32,
	BLOCK = 4096,
	AREA = 2 * BLOCK, /* of guest memory for a request */
	MEMORY = 64 * MODEL_PAGE + BATCH_MAX * AREA,
	DISK_BYTES = 1 << 20,
	ROUNDS = 64, /* that are counted */
	WARMUP = 16, /* that are not */
	POLLS_MAX = 1 << 20,
};

struct kase {
	const char *name;
	unsigned int batch;
	uint32_t type;
	unsigned int direct; /* descriptors in the ring; the rest: a table */
	uint64_t sector;
	uint8_t status; /* that is right */
};

static const struct kase cases[] = {
	{ "read_batch_1", 1, VIRTIO_BLK_T_IN, 3, 0, VIRTIO_BLK_S_OK },
	{ "read_batch_8", 8, VIRTIO_BLK_T_IN, 3, 0, VIRTIO_BLK_S_OK },
	{ "read_batch_32", 32, VIRTIO_BLK_T_IN, 3, 0, VIRTIO_BLK_S_OK },
	{ "write_batch_32", 32, VIRTIO_BLK_T_OUT, 3, 0, VIRTIO_BLK_S_OK },
	{ "indirect_batch_32", 32, VIRTIO_BLK_T_IN, 0, 0, VIRTIO_BLK_S_OK },
	/* What a hostile driver's nonsense costs. */
	{ "beyond_end_batch_32", 32, VIRTIO_BLK_T_IN, 3, UINT64_MAX / 2,
	  VIRTIO_BLK_S_IOERR },
};

struct rig {
	struct transport transport;
	struct regions regions;
	struct queue_memory memory;
	struct guest_memory_ops ops;
	struct model_memory model; /* the driver's view of the memory */
	struct model_ring ring;
	struct block_image image;
	struct disk disk;
	uint64_t heap;
	uint64_t notified;
};

static struct rig rig;

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "core: %s\n", why);
	exit(1);
}

/* Rings have guest addresses here, for the registers set the device up. */
static void *map_ring(struct guest_memory *mem, uint64_t addr, uint64_t len)
{
	(void)mem;
	return model_at(&rig.model, addr, len);
}

static void notify_queue(struct transport *transport, unsigned int queue)
{
	(void)transport;
	(void)queue;
	rig.notified++;
}

static void ignore(struct transport *transport)
{
	(void)transport;
}

static const struct transport_ops transport_ops = {
	.notify_queue = notify_queue,
	.notify_config = ignore,
	.stopped = ignore,
};

static void make_memory(void)
{
	const struct vhost_region region = {
		.guest = MODEL_BASE,
		.size = MEMORY,
		.user = MODEL_BASE,
	};
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, MEMORY) ||
	    regions_add(&rig.regions, &region, fd, -1))
		die("no guest memory");
	close(fd);
	queue_memory_init(&rig.memory, &rig.regions);
	rig.ops = *rig.memory.mem.ops;
	rig.ops.map_ring = map_ring;
	rig.memory.mem.ops = &rig.ops;
	rig.model.bytes = rig.regions.region[0].map.data;
	rig.model.base = MODEL_BASE;
	rig.model.size = MEMORY;
}

static void make_disk(const char *engine, const char *file)
{
	struct disk_options options = {
		.engine = engine,
		.queues = 1,
		.file = (char *)file,
		.queue_size = RING,
		.size = file ? 0 : DISK_BYTES,
		.cache = BLOCK_CACHE_WRITEBACK,
	};
	struct virtio_device *dev = &rig.disk.blk.dev;
	char error[BLOCK_ERROR_MAX] = "";

	if (model_disk_open(&rig.disk, &rig.image, &options, &rig.memory.mem,
			    error))
		die(error);
	rig.disk.transport = &rig.transport;
	rig.transport.ops = &transport_ops;
	rig.heap = model_ring_init(&rig.ring, &rig.model, MODEL_BASE, RING);
	rig.heap = (rig.heap + BLOCK - 1) & ~(uint64_t)(BLOCK - 1);
	if (!model_negotiate(dev, model_offered(dev)))
		die("the features were refused");
	model_set_queue(dev, 0, &rig.ring);
	model_driver_ok(dev);
	if (!virtio_device_live(dev))
		die("the device does not start");
}

static uint8_t *status_of(unsigned int slot)
{
	return model_at(&rig.model, rig.heap + slot * (uint64_t)AREA + 16, 1);
}

static void offer(const struct kase *k, unsigned int slot)
{
	const uint64_t at = rig.heap + slot * (uint64_t)AREA;
	const struct virtio_blk_header header = {
		.type = k->type,
		.sector = k->sector ? k->sector : slot * (BLOCK / 512),
	};
	const struct model_buf bufs[] = {
		{ at, sizeof(header), false },
		{ at + BLOCK, BLOCK, k->type == VIRTIO_BLK_T_IN },
		{ at + sizeof(header), 1, true },
	};

	memcpy(model_at(&rig.model, at, sizeof(header)), &header,
	       sizeof(header));
	*status_of(slot) = 0xee;
	model_offer_mixed(&rig.ring, bufs, k->direct, 3, at + 64);
}

/* The disk's part: what is counted. */
static void serve(unsigned int batch, bool counted)
{
	struct disk_queue *dq = &rig.disk.queue[0];
	uint16_t wanted = (uint16_t)(rig.ring.used_seen + batch);
	unsigned int polls = 0;

	if (counted)
		CALLGRIND_TOGGLE_COLLECT;
	/* As the loop: until there is nothing, then arrange to be woken. */
	while (polls++ < POLLS_MAX)
		if (!dq->poller.poll(&dq->poller) &&
		    __atomic_load_n(&rig.ring.used->idx, __ATOMIC_RELAXED) ==
			    wanted)
			break;
	dq->poller.rest(&dq->poller);
	if (counted)
		CALLGRIND_TOGGLE_COLLECT;
}

static void round_of(const struct kase *k, bool counted)
{
	struct vring_used_elem elem;
	unsigned int taken = 0;

	/* Notify at the first used element, as a driver that sleeps wants. */
	*model_used_event(&rig.ring) = rig.ring.used_seen;
	for (unsigned int i = 0; i < k->batch; i++)
		offer(k, i);
	serve(k->batch, counted);
	while (model_used(&rig.ring, &elem))
		taken++;
	if (taken != k->batch)
		die("requests were not answered");
	for (unsigned int i = 0; i < k->batch; i++)
		if (*status_of(i) != k->status)
			die("a wrong status");
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: core ENGINE [FILE]");
	make_memory();
	make_disk(argv[1], argv[2]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kase *k = &cases[i];
		uint64_t before;

		for (unsigned int n = 0; n < WARMUP; n++)
			round_of(k, false);
		before = rig.notified;
		CALLGRIND_ZERO_STATS;
		for (unsigned int n = 0; n < ROUNDS; n++)
			round_of(k, true);
		CALLGRIND_DUMP_STATS_AT(k->name);
		if (rig.notified - before != ROUNDS)
			die("not one notification for each batch");
		printf("%s %u\n", k->name, k->batch * ROUNDS);
	}
	model_disk_close(&rig.disk);
	regions_clear(&rig.regions);
	return 0;
}
