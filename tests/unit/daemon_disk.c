/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=preadv2 */
/*
 * A whole disk in a loop: the model driver on one side, a file on the other,
 * with each engine. What was written is in the file, a reset waits for what is
 * in flight, a disk that found no room is not forgotten, an idle disk sleeps.
 */
#include "lib/model_disk.h"

#include <sys/uio.h>

/* ---- data ---------------------------------------------------------------- */

enum {
	BATCH = 16, /* started in one pass */
	ROW = 20,   /* not */
};

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
		uint8_t *data[ROW];

		for (unsigned int i = 0; i < ROW; i++)
			memset(offer(&rig, 0, i, VIRTIO_BLK_T_OUT, i * 7),
			       (int)(i + round * 20), BLOCK);
		run_until(&rig, 0, n += ROW);
		offer(&rig, 0, ROW, VIRTIO_BLK_T_FLUSH, 0);
		run_until(&rig, 0, n += 1);
		for (unsigned int i = 0; i < ROW; i++) {
			assert_int_equal(status(&rig, i), 0);
			data[i] = offer(&rig, 0, i, VIRTIO_BLK_T_IN, i * 7);
			memset(data[i], 0, BLOCK);
		}
		assert_int_equal(status(&rig, ROW), 0);
		run_until(&rig, 0, n += ROW);
		for (unsigned int i = 0; i < ROW; i++) {
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

static int read_error; /* of the store; or 0 */

ssize_t __real_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		       int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		       int flags);

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		       int flags)
{
	if (!read_error)
		return __real_preadv2(fd, iov, n, offset, flags);
	errno = read_error;
	return -1;
}

/* A read is never told to be no request of this device. */
static void test_store_cannot_read(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, "threads", 1);
	read_error = EOPNOTSUPP;
	offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 0);
	run_until(&rig, 0, 1);
	read_error = 0;
	assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_IOERR);
	rig_finish(&rig);
}

/*
 * A batch ends with its bytes as well: what the page cache has is copied while
 * it is submitted, and messages, timers and signals wait for that.
 */
/* What a store has lost is in the state that outlives the process. */
static void test_lost_flush_is_noted(void **state)
{
	struct rig rig;
	struct disk *disk = &rig.end[0].disk;

	(void)state;
	rig_init(&rig, "threads", 1);
	offer(&rig, 0, 0, VIRTIO_BLK_T_FLUSH, 0);
	run_until(&rig, 0, 1);
	assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_blk_flush_error(&disk->blk), 0);
	__atomic_store_n(&disk->image->flush_error, -ENOSPC, __ATOMIC_SEQ_CST);
	offer(&rig, 0, 1, VIRTIO_BLK_T_FLUSH, 0);
	run_until(&rig, 0, 2);
	assert_int_equal(status(&rig, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(virtio_blk_flush_error(&disk->blk), -ENOSPC);
	rig_finish(&rig);
}

static void test_batch_of_large_requests(void **state)
{
	enum { LARGE = 400 << 10, OFFERED = 10 };
	struct rig rig;

	(void)state;
	rig_init(&rig, "threads", 1);
	for (unsigned int k = 0; k < OFFERED; k++) {
		const uint64_t at = rig.heap + k * 64;
		const struct model_buf bufs[] = {
			{ at, 16, false },
			{ rig.heap + MODEL_PAGE, LARGE, true },
			{ at + 16, 1, true },
		};

		memset(model_at(&rig.mem, at, 16), 0, 16);
		model_offer(&rig.end[0].ring, bufs, 3);
	}
	poll_once(&rig, 0);
	assert_in_range(disk_in_flight(&rig.end[0].disk), 1,
			(1 << 20) / LARGE + 1);
	run_until(&rig, 0, OFFERED);
	rig_finish(&rig);
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

/* A queue that is stopped or reset takes no chain any more. */
static void stopped_by(uint64_t offset, uint32_t value)
{
	struct rig rig;
	struct end *e = &rig.end[0];
	struct virtio_device *dev = &e->disk.blk.dev;

	rig_init(&rig, "threads", 1);
	for (unsigned int k = 0; k < BATCH; k++)
		offer(&rig, 0, k, VIRTIO_BLK_T_OUT, k);
	poll_once(&rig, 0);
	assert_int_equal(model_set(dev, offset, value), VIRTIO_WAIT);
	memset(offer(&rig, 0, BATCH, VIRTIO_BLK_T_OUT, BATCH), 0x77, BLOCK);
	while (!e->stopped)
		assert_true(run(&rig, 10 * NS_PER_SECOND));
	take_used(e);
	assert_int_equal(e->done, BATCH);
	assert_int_equal(disk_in_flight(&e->disk), 0);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 0);
	model_memory_check_idle(&rig.mem);
	check_file(e, BATCH, 0);
	/* Nor is it told of anything later. */
	e->notified = 0;
	poll_once(&rig, 0);
	assert_int_equal(e->notified, 0);
	rig_finish(&rig);
}

static void test_stopped_queue_takes_nothing(void **state)
{
	(void)state;
	stopped_by(VIRTIO_MMIO_QUEUE_READY, 0);
	stopped_by(VIRTIO_MMIO_QUEUE_RESET, 1);
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

/*
 * Whether nothing wakes the loop any more but the end of the wait. What was on
 * its way when the last request was answered comes later where the machine is
 * busy: so there is more than one try, and whoever is woken again and again
 * passes none.
 */
static bool comes_to_rest(struct rig *rig)
{
	for (unsigned int try = 0; try < 20; try++) {
		rig->loop.sleeps = 0;
		run(rig, 300 * NS_PER_MS);
		if (rig->loop.sleeps <= 2)
			return true;
	}
	return false;
}

/* Idle disks cost nothing; a chain that comes meanwhile asks for a kick. */
static void test_idle_disk_sleeps(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;

		rig_init(&rig, engines[i], 2);
		rig.loop.polling.max_ns = 32 * NS_PER_US;
		offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 0);
		run_until(&rig, 0, 1);
		assert_true(comes_to_rest(&rig));
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
					.engine = engine,
					.queues = 1,
					.queue_size = RING };
	struct block_image image;
	int r = model_disk_open(&disk, &image, &options, &mem->memory, error);

	if (r == 0)
		model_disk_close(&disk);
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
	assert_int_equal(try_open(&mem, "/nonexistent/image", "auto", error),
			 -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/image"));
	assert_int_equal(try_open(&mem, e.file, "punchcards", error), -ENOENT);
	assert_non_null(strstr(error, "punchcards"));
	assert_true(try_open(&mem, "/tmp", "auto", error) < 0);
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
		cmocka_unit_test(test_store_cannot_read),
		cmocka_unit_test(test_lost_flush_is_noted),
		cmocka_unit_test(test_batch_of_large_requests),
		cmocka_unit_test(test_reset_with_requests_in_flight),
		cmocka_unit_test(test_stopped_queue_takes_nothing),
		cmocka_unit_test(test_close_with_requests_in_flight),
		cmocka_unit_test(test_starved_by_another_disk),
		cmocka_unit_test(test_broken_ring_stops_one_disk),
		cmocka_unit_test(test_idle_disk_sleeps),
		cmocka_unit_test(test_open_fails),
		cmocka_unit_test(test_open_and_close),
	};

	return cmocka_run_group_tests_name("daemon_disk", tests, NULL, NULL);
}
