/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_disk.h"

void take_used(struct end *e)
{
	struct vring_used_elem elem;

	while (model_used(&e->ring, &elem))
		e->done++;
}

void notify_queue(struct transport *t, unsigned int queue)
{
	struct end *e = (struct end *)t;

	assert_int_equal(queue, 0);
	e->notified++;
	take_used(e);
	loop_quit(&e->rig->loop);
}

void notify_config(struct transport *t)
{
	struct end *e = (struct end *)t;

	e->changed++;
	loop_quit(&e->rig->loop);
}

void stopped(struct transport *t)
{
	struct end *e = (struct end *)t;

	e->stopped++;
	loop_quit(&e->rig->loop);
}

const struct transport_ops end_ops = {
	.notify_queue = notify_queue,
	.notify_config = notify_config,
	.stopped = stopped,
};

static void deadline_due(struct loop_timer *timer)
{
	struct rig *rig = container_of(timer, struct rig, deadline);

	rig->late = true;
	loop_quit(&rig->loop);
}

bool run(struct rig *rig, uint64_t ns)
{
	rig->late = false;
	loop_arm(&rig->loop, &rig->deadline, ns);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_disarm(&rig->loop, &rig->deadline);
	return !rig->late;
}

void run_until(struct rig *rig, unsigned int i, unsigned int done)
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

void make_file(struct end *e)
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

void drive(struct rig *rig, struct end *e)
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

void add_disk_as(struct rig *rig, struct disk_options options)
{
	struct end *e = &rig->end[rig->ndisks++];
	char error[BLOCK_ERROR_MAX] = "";

	e->transport.ops = &end_ops;
	e->rig = rig;
	make_file(e);
	options.file = e->file;
	options.queues = 1;
	options.queue_size = RING;
	if (!options.engine)
		options.engine = "auto";
	if (model_disk_open(&e->disk, &e->image, &options, &rig->mem.memory,
			    error))
		fail_msg("%s", error);
	virtio_mmio_offer(&e->disk.blk.dev, MODEL_WINDOW, MODEL_IRQ);
	assert_int_equal(disk_serve(&e->disk, &rig->loop, &e->transport), 0);
	rig->heap = (model_ring_init(&e->ring, &rig->mem, rig->heap, RING) +
		     MODEL_PAGE - 1) &
		    ~(uint64_t)(MODEL_PAGE - 1);
	drive(rig, e);
}

static void add_disk(struct rig *rig, const char *engine)
{
	add_disk_as(rig, (struct disk_options){ .engine = engine });
}

void rig_init(struct rig *rig, const char *engine, unsigned int disks)
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

void rig_finish(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->ndisks; i++) {
		model_disk_close(&rig->end[i].disk);
		unlink(rig->end[i].file);
	}
	assert_null(rig->loop.pollers);
	loop_finish(&rig->loop);
	model_memory_finish(&rig->mem);
}

uint8_t *offer(struct rig *rig, unsigned int disk, unsigned int slot,
	       uint32_t type, uint64_t block)
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

uint8_t status(struct rig *rig, unsigned int slot)
{
	uint8_t *p = model_at(&rig->mem, rig->heap + slot * (uint64_t)AREA, 17);

	assert_non_null(p);
	return p[16];
}

void poll_once(struct rig *rig, unsigned int disk)
{
	struct loop_poller *p = &rig->end[disk].disk.queue[0].poller;

	p->poll(p);
}
