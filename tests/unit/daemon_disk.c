/* SPDX-License-Identifier: MIT */
/*
 * A whole disk in a loop: the model driver on one side, a file on the other,
 * with each engine. What was written is in the file, a reset waits for what is
 * in flight, a disk that found no room is not forgotten, an idle disk sleeps.
 */
#include "model_driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/disk.h"

enum {
	FILE_BYTES = 1 << 20,
	RING = 64,
	DISKS = 2,
	BLOCK = 4096,		/* bytes of a request */
	AREA = 2 * BLOCK,	/* of guest memory for a request */
	MEMORY = 160 * MODEL_PAGE,
};

static const char *const engines[] = {
	"io_uring", "libaio", "threads", "auto",
};

struct rig;

struct end {			/* of a disk, towards the driver */
	struct transport transport;
	struct rig *rig;
	struct disk disk;
	struct model_ring ring;
	unsigned int notified, changed, stopped;
	unsigned int done;	/* used elements taken */
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

static void take_used(struct end *e)
{
	struct vring_used_elem elem;

	while (model_used(&e->ring, &elem))
		e->done++;
}

static void notify_queue(struct transport *t, unsigned int queue)
{
	struct end *e = (struct end *)t;

	assert_int_equal(queue, 0);
	e->notified++;
	take_used(e);
	loop_quit(&e->rig->loop);
}

static void notify_config(struct transport *t)
{
	struct end *e = (struct end *)t;

	e->changed++;
	loop_quit(&e->rig->loop);
}

static void stopped(struct transport *t)
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

static void deadline_due(struct loop_timer *timer)
{
	struct rig *rig = container_of(timer, struct rig, deadline);

	rig->late = true;
	loop_quit(&rig->loop);
}

/* Run until something is told to a driver: false if nothing is for `ns`. */
static bool run(struct rig *rig, uint64_t ns)
{
	rig->late = false;
	loop_arm(&rig->loop, &rig->deadline, ns);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_disarm(&rig->loop, &rig->deadline);
	return !rig->late;
}

/* Run until disk `i` has answered `done` requests in all. */
static void run_until(struct rig *rig, unsigned int i, unsigned int done)
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

static void make_file(struct end *e)
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

static void drive(struct rig *rig, struct end *e)
{
	struct virtio_device *dev = &e->disk.blk.dev;

	/* Without EVENT_IDX each publish that is wanted notifies. */
	assert_true(model_negotiate(dev, model_offered(dev) &
				    ~VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX)));
	model_set_queue(dev, 0, &e->ring);
	model_driver_ok(dev);
	assert_true(virtio_device_live(dev));
	(void)rig;
}

static void add_disk(struct rig *rig, const char *engine)
{
	struct end *e = &rig->end[rig->ndisks++];
	char error[BLOCK_ERROR_MAX] = "";
	struct disk_options options = {
		.engine = (char *)engine, .file = e->file, .queue_size = RING,
	};

	e->transport.ops = &end_ops;
	e->rig = rig;
	make_file(e);
	if (disk_open(&e->disk, "test", &options, &rig->mem.memory, error))
		fail_msg("%s", error);
	assert_int_equal(disk_serve(&e->disk, &rig->loop, &e->transport), 0);
	rig->heap = (model_ring_init(&e->ring, &rig->mem, rig->heap, RING) +
		     MODEL_PAGE - 1) & ~(uint64_t)(MODEL_PAGE - 1);
	drive(rig, e);
}

static void rig_init(struct rig *rig, const char *engine, unsigned int disks)
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

static void rig_finish(struct rig *rig)
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
static uint8_t *offer(struct rig *rig, unsigned int disk, unsigned int slot,
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

static uint8_t status(struct rig *rig, unsigned int slot)
{
	uint8_t *p = model_at(&rig->mem, rig->heap + slot * (uint64_t)AREA, 17);

	assert_non_null(p);
	return p[16];
}

/* One look at the work, without the loop. */
static void poll_once(struct rig *rig, unsigned int disk)
{
	struct loop_poller *p = &rig->end[disk].disk.queue[0].poller;

	p->poll(p);
}

/* ---- data ---------------------------------------------------------------- */

enum { BATCH = 20 };

static void check_file(const struct end *e, unsigned int block, uint8_t value)
{
	uint8_t bytes[BLOCK];
	int fd = open(e->file, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, BLOCK, (off_t)block * BLOCK), BLOCK);
	close(fd);
	for (unsigned int i = 0; i < BLOCK; i++)
		assert_int_equal(bytes[i], value);
}

static void write_flush_read(const char *engine, bool pinnable)
{
	struct rig rig;
	unsigned int n = 0;

	rig_init(&rig, engine, 1);
	rig.end[0].disk.blk.queue[0].vq.mem->pinnable = pinnable;
	for (unsigned int round = 1; round <= 3; round++) {
		uint8_t *data[BATCH];

		for (unsigned int i = 0; i < BATCH; i++)
			memset(offer(&rig, 0, i, VIRTIO_BLK_T_OUT, i * 7),
			       (int)(i + round * 20), BLOCK);
		run_until(&rig, 0, n += BATCH);
		offer(&rig, 0, BATCH, VIRTIO_BLK_T_FLUSH, 0);
		run_until(&rig, 0, n += 1);
		for (unsigned int i = 0; i < BATCH; i++) {
			assert_int_equal(status(&rig, i), 0);
			data[i] = offer(&rig, 0, i, VIRTIO_BLK_T_IN, i * 7);
			memset(data[i], 0, BLOCK);
		}
		assert_int_equal(status(&rig, BATCH), 0);
		run_until(&rig, 0, n += BATCH);
		for (unsigned int i = 0; i < BATCH; i++) {
			assert_int_equal(status(&rig, i), 0);
			assert_int_equal(data[i][0], i + round * 20);
			assert_memory_equal(data[i], data[i] + 1, BLOCK - 1);
			check_file(&rig.end[0], i * 7,
				   (uint8_t)(i + round * 20));
		}
	}
	assert_int_equal(disk_in_flight(&rig.end[0].disk), 0);
	assert_null(rig.mem.maps);
	rig_finish(&rig);
}

static void test_write_flush_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		print_message("# engine %s\n", engines[i]);
		write_flush_read(engines[i], true);
		write_flush_read(engines[i], false);
	}
}

/* An error of the store is a status, and the disk goes on. */
static void test_errors_of_the_store(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;

		rig_init(&rig, engines[i], 1);
		assert_int_equal(truncate(rig.end[0].file, 8 * BLOCK), 0);
		offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 7);
		offer(&rig, 0, 1, VIRTIO_BLK_T_IN, 100);
		run_until(&rig, 0, 2);
		assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(status(&rig, 1), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig.end[0].disk.blk.queue[0].failed, 1);
		rig_finish(&rig);
	}
}

/* ---- reset and end ------------------------------------------------------- */

/* A reset is told as done only when nothing is in flight any more. */
static void test_reset_with_requests_in_flight(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;
		struct end *e = &rig.end[0];
		struct virtio_device *dev = &e->disk.blk.dev;

		rig_init(&rig, engines[i], 1);
		for (unsigned int k = 0; k < BATCH; k++)
			memset(offer(&rig, 0, k, VIRTIO_BLK_T_OUT, k), 0x77,
			       BLOCK);
		poll_once(&rig, 0);
		assert_true(disk_in_flight(&e->disk) > 0);
		/* While it is busy, no kick is asked for. */
		assert_int_equal(e->ring.used->flags, VRING_USED_NO_NOTIFY);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0),
				 VIRTIO_WAIT);
		/* A chain that comes now is not taken any more. */
		offer(&rig, 0, BATCH, VIRTIO_BLK_T_OUT, BATCH);
		while (!e->stopped)
			assert_true(run(&rig, 10 * NS_PER_SECOND));
		assert_int_equal(e->stopped, 1);
		assert_int_equal(disk_in_flight(&e->disk), 0);
		assert_int_equal(model_get(dev, VIRTIO_MMIO_STATUS), 0);
		model_memory_check_idle(&rig.mem);
		check_file(e, BATCH, 0);
		check_file(e, BATCH - 1, 0x77);
		/* And it works anew. */
		model_ring_reset(&e->ring, 0);
		e->done = 0;
		drive(&rig, e);
		offer(&rig, 0, 0, VIRTIO_BLK_T_IN, BATCH - 1);
		run_until(&rig, 0, 1);
		assert_int_equal(status(&rig, 0), 0);
		rig_finish(&rig);
	}
}

/* Closing waits for the store, and every request is answered. */
static void test_close_with_requests_in_flight(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;
		struct end *e = &rig.end[0];

		rig_init(&rig, engines[i], 1);
		for (unsigned int k = 0; k < BATCH; k++)
			offer(&rig, 0, k, VIRTIO_BLK_T_OUT, k);
		poll_once(&rig, 0);
		disk_drain(&e->disk);
		assert_int_equal(e->ring.used->idx, BATCH);
		for (unsigned int k = 0; k < BATCH; k++)
			assert_int_equal(status(&rig, k), 0);
		model_memory_check_idle(&rig.mem);
		rig_finish(&rig);
	}
}

/* ---- other disks of the same guest --------------------------------------- */

/*
 * The room to map guest memory is shared by a guest's disks. One that found
 * none, and has nothing in flight itself, goes on when another gives room back.
 */
static void test_starved_by_another_disk(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, "threads", 2);
	rig.mem.limit = 3 * BATCH + 1;
	for (unsigned int k = 0; k < BATCH; k++)
		offer(&rig, 0, k, VIRTIO_BLK_T_OUT, k);
	poll_once(&rig, 0);
	assert_int_equal(disk_in_flight(&rig.end[0].disk), BATCH);
	offer(&rig, 1, BATCH, VIRTIO_BLK_T_IN, 0);
	poll_once(&rig, 1);
	assert_true(rig.end[1].disk.blk.queue[0].vq.starved);
	run_until(&rig, 0, BATCH);
	run_until(&rig, 1, 1);
	assert_int_equal(status(&rig, BATCH), 0);
	rig_finish(&rig);
}

/* A driver that breaks its ring stops that disk, is told, and no other is. */
static void test_broken_ring_stops_one_disk(void **state)
{
	struct rig rig;
	struct virtio_device *dev = &rig.end[0].disk.blk.dev;

	(void)state;
	rig_init(&rig, "threads", 2);
	model_avail(&rig.end[0].ring, 0xffff);
	assert_true(run(&rig, 10 * NS_PER_SECOND));
	assert_int_equal(rig.end[0].changed, 1);
	assert_true(model_get(dev, VIRTIO_MMIO_STATUS) &
		    VIRTIO_STATUS_NEEDS_RESET);
	offer(&rig, 1, 0, VIRTIO_BLK_T_IN, 0);
	run_until(&rig, 1, 1);
	assert_int_equal(rig.end[0].changed, 1);
	assert_int_equal(rig.end[1].changed, 0);
	rig_finish(&rig);
}

/* ---- rest, and failures to open ------------------------------------------ */

/* Idle disks cost nothing; a chain that comes meanwhile asks for a kick. */
static void test_idle_disk_sleeps(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;

		rig_init(&rig, engines[i], 2);
		rig.loop.poll_max_ns = 32 * NS_PER_US;
		offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 0);
		run_until(&rig, 0, 1);
		run(&rig, 20 * NS_PER_MS);
		rig.loop.sleeps = 0;
		run(&rig, 300 * NS_PER_MS);
		assert_in_range(rig.loop.sleeps, 1, 2);
		for (unsigned int k = 0; k < 2; k++)
			assert_int_equal(rig.end[k].ring.used->flags, 0);
		rig_finish(&rig);
	}
}

static unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int try_open(struct model_memory *mem, const char *file,
		    const char *engine, char error[BLOCK_ERROR_MAX])
{
	struct disk disk;
	struct disk_options options = { .file = (char *)file,
					.engine = (char *)engine };
	int r = disk_open(&disk, "test", &options, &mem->memory, error);

	disk_close(&disk);
	return r;
}

static void test_open_fails(void **state)
{
	char error[BLOCK_ERROR_MAX];
	struct model_memory mem;
	struct end e;
	unsigned int before;

	(void)state;
	model_memory_init(&mem, MEMORY);
	make_file(&e);
	before = open_descriptors();
	assert_int_equal(try_open(&mem, "/nonexistent/image", NULL, error),
			 -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/image"));
	assert_int_equal(try_open(&mem, e.file, "punchcards", error), -ENOENT);
	assert_non_null(strstr(error, "punchcards"));
	assert_true(try_open(&mem, "/tmp", NULL, error) < 0);
	assert_int_equal(open_descriptors(), before);
	unlink(e.file);
	model_memory_finish(&mem);
}

/* What a disk holds is given back: descriptors, and the lock of its image. */
static void test_open_and_close(void **state)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct model_memory mem;
	struct end e;
	unsigned int before;

	(void)state;
	model_memory_init(&mem, MEMORY);
	make_file(&e);
	before = open_descriptors();
	for (unsigned int i = 0; i < 40; i++)
		if (try_open(&mem, e.file, engines[i % 4], error))
			fail_msg("%s", error);
	assert_int_equal(open_descriptors(), before);
	unlink(e.file);
	model_memory_finish(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_flush_read),
		cmocka_unit_test(test_errors_of_the_store),
		cmocka_unit_test(test_reset_with_requests_in_flight),
		cmocka_unit_test(test_close_with_requests_in_flight),
		cmocka_unit_test(test_starved_by_another_disk),
		cmocka_unit_test(test_broken_ring_stops_one_disk),
		cmocka_unit_test(test_idle_disk_sleeps),
		cmocka_unit_test(test_open_fails),
		cmocka_unit_test(test_open_and_close),
	};

	return cmocka_run_group_tests_name("daemon_disk", tests, NULL, NULL);
}
