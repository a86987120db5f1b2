/* SPDX-License-Identifier: MIT */
/*
 * What changes on a disk while it is served: the size of its image, noticed by
 * itself or when told to look, the cache mode; and ranges, down to the file.
 */
#include "lib/model_disk.h"

#include <sys/stat.h>

#include "monitor/size_watch.h"

static uint64_t capacity(const struct end *e)
{
	return virtio_mmio_read(&e->disk.blk.dev, VIRTIO_MMIO_CONFIG, 8);
}

static uint32_t generation(const struct end *e)
{
	return model_get(&e->disk.blk.dev, VIRTIO_MMIO_CONFIG_GENERATION);
}

/* As truncate(1) does: open, change, close. */
static void make_long(const struct end *e, off_t bytes)
{
	int fd = open(e->file, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static void size_changed(struct size_watch *watch)
{
	struct end *e = container_of(watch, struct end, size);

	disk_resize(&e->disk, whole_claim(&e->image)->facts.size);
}

static void follow(struct end *e)
{
	e->size.changed = size_changed;
	size_watch_add(&e->size, whole_claim(&e->image), "test", &e->rig->loop);
}

static uint8_t read_block(struct rig *rig, uint64_t block)
{
	offer(rig, 0, 0, VIRTIO_BLK_T_IN, block);
	run_until(rig, 0, rig->end[0].done + 1);
	return status(rig, 0);
}

/* Run until the driver of disk 0 has been told `n` times to look. */
static void run_until_changed(struct rig *rig, unsigned int n)
{
	for (int i = 0; i < 100 && rig->end[0].changed < n; i++)
		run(rig, NS_PER_SECOND / 10);
	assert_int_equal(rig->end[0].changed, n);
}

static void test_grows(void **state)
{
	struct rig rig;
	struct end *e = &rig.end[0];
	uint32_t before;

	(void)state;
	rig_init(&rig, "auto", 2);
	follow(&rig.end[1]);
	follow(e);
	before = generation(e);
	assert_int_equal(capacity(e), FILE_BYTES / 512);
	assert_int_equal(read_block(&rig, FILE_BYTES / BLOCK),
			 VIRTIO_BLK_S_IOERR);
	/* The rest of a block waits until it is a whole one. */
	make_long(e, FILE_BYTES + 2 * BLOCK + 100);
	run_until_changed(&rig, 1);
	assert_int_equal(capacity(e), (FILE_BYTES + 2 * BLOCK) / 512);
	assert_int_not_equal(generation(e), before);
	assert_int_equal(read_block(&rig, FILE_BYTES / BLOCK + 1),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(read_block(&rig, FILE_BYTES / BLOCK + 2),
			 VIRTIO_BLK_S_IOERR);
	/* The other disk has nothing to tell. */
	assert_int_equal(rig.end[1].changed, 0);
	size_watch_remove(&e->size);
	size_watch_remove(&rig.end[1].size);
	rig_finish(&rig);
}

/* Shrinking is followed as well: what is behind the end is an error. */
static void test_shrinks(void **state)
{
	struct rig rig;
	struct end *e = &rig.end[0];

	(void)state;
	rig_init(&rig, "auto", 1);
	follow(e);
	make_long(e, FILE_BYTES / 2);
	run_until_changed(&rig, 1);
	assert_int_equal(capacity(e), FILE_BYTES / 2 / 512);
	assert_int_equal(read_block(&rig, FILE_BYTES / 2 / BLOCK),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_block(&rig, FILE_BYTES / 2 / BLOCK - 1),
			 VIRTIO_BLK_S_OK);
	make_long(e, 0);
	run_until_changed(&rig, 2);
	assert_int_equal(read_block(&rig, 0), VIRTIO_BLK_S_IOERR);
	make_long(e, FILE_BYTES);
	run_until_changed(&rig, 3);
	assert_int_equal(read_block(&rig, 0), VIRTIO_BLK_S_OK);
	size_watch_remove(&e->size);
	rig_finish(&rig);
}

/* What no event tells of is found by looking; a write is no such news. */
static void test_looks(void **state)
{
	struct rig rig;
	struct end *e = &rig.end[0];

	(void)state;
	rig_init(&rig, "auto", 1);
	size_watch_look();
	follow(e);
	offer(&rig, 0, 0, VIRTIO_BLK_T_OUT, 0);
	run_until(&rig, 0, 1);
	assert_int_equal(truncate(e->file, FILE_BYTES * 2), 0);
	assert_false(run(&rig, NS_PER_SECOND / 5));
	assert_int_equal(capacity(e), FILE_BYTES / 512);
	size_watch_look();
	assert_int_equal(e->changed, 1);
	assert_int_equal(capacity(e), FILE_BYTES * 2 / 512);
	size_watch_look();
	assert_int_equal(e->changed, 1);
	size_watch_remove(&e->size);
	/* Gone: not looked at any more, nor is removing it twice an error. */
	size_watch_remove(&e->size);
	make_long(e, FILE_BYTES);
	size_watch_look();
	assert_int_equal(e->changed, 1);
	rig_finish(&rig);
}

/* Two read-only disks of one file are told alike, and watched to the last. */
static void test_shared_image(void **state)
{
	struct rig rig;
	struct end *e = rig.end;

	(void)state;
	rig_init(&rig, "auto", 1);
	model_disk_close(&e[0].disk);
	for (unsigned int i = 0; i < 2; i++) {
		char error[BLOCK_ERROR_MAX] = "";
		struct disk_options o = { .file = e[0].file,
					  .engine = "auto",
					  .readonly = true,
					  .queues = 1,
					  .queue_size = RING };

		e[i].rig = &rig;
		e[i].transport.ops = &end_ops;
		assert_int_equal(model_disk_open(&e[i].disk, &e[i].image, &o,
						 &rig.mem.memory, error),
				 0);
		assert_int_equal(
			disk_serve(&e[i].disk, &rig.loop, &e[i].transport), 0);
		follow(&e[i]);
	}
	make_long(&e[0], FILE_BYTES * 2);
	run_until_changed(&rig, 1);
	assert_int_equal(e[1].changed, 1);
	size_watch_remove(&e[1].size);
	make_long(&e[0], FILE_BYTES);
	run_until_changed(&rig, 2);
	assert_int_equal(e[1].changed, 1);
	size_watch_remove(&e[0].size);
	model_disk_close(&e[1].disk);
	rig_finish(&rig);
}

/* ---- cache mode ---------------------------------------------------------- */

static void set_mode(struct end *e, uint8_t mode)
{
	virtio_mmio_write(&e->disk.blk.dev, VIRTIO_MMIO_CONFIG + 32, 1, mode);
}

static void wait_for_flush(struct rig *rig)
{
	const struct disk *disk = &rig->end[0].disk;

	while (disk->blk.flush_owed || disk->queue[0].flushing)
		run(rig, NS_PER_MS);
}

/* Going over to write-through flushes once, also with a full ring behind it. */
static void test_flush_of_our_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;
		struct end *e = &rig.end[0];
		const struct disk_queue *dq = &e->disk.queue[0];
		unsigned int n = 0;

		rig_init(&rig, engines[i], 1);
		for (unsigned int round = 0; round < 5; round++) {
			/* The flush before may still be under way. */
			wait_for_flush(&rig);
			for (unsigned int k = 0; k < RING / 3; k++)
				offer(&rig, 0, k % 15, VIRTIO_BLK_T_OUT, k);
			set_mode(e, 1);
			set_mode(e, 0);
			poll_once(&rig, 0);
			assert_false(e->disk.blk.flush_owed);
			run_until(&rig, 0, n += RING / 3);
			set_mode(e, 1);
			set_mode(e, 0);
		}
		wait_for_flush(&rig);
		assert_int_equal(dq->flush.op, BLOCK_FLUSH);
		assert_int_equal(dq->flush.result, 0);
		assert_int_equal(disk_in_flight(&e->disk), 0);
		assert_int_equal(dq->bq->requests, n);
		assert_int_equal(dq->bq->failed, 0);
		rig_finish(&rig);
	}
}

/* ---- ranges -------------------------------------------------------------- */

/* Offer one list of `n` ranges of a block each, every second one, from 0 on. */
static void offer_ranges(struct rig *rig, uint32_t type, unsigned int n,
			 uint32_t flags)
{
	uint64_t at = rig->heap;
	struct virtio_blk_header h = { .type = type };
	const uint32_t bytes = n * (uint32_t)sizeof(struct virtio_blk_segment);
	const struct model_buf bufs[] = {
		{ at, 16, false },
		{ at + BLOCK, bytes, false },
		{ at + 16, 1, true },
	};
	uint8_t *p = model_at(&rig->mem, at, AREA);

	assert_non_null(p);
	memcpy(p, &h, sizeof(h));
	p[16] = 0xee;
	for (unsigned int i = 0; i < n; i++) {
		const struct virtio_blk_segment s = { i * 2 * (BLOCK / 512),
						      BLOCK / 512, flags };

		memcpy(p + BLOCK + i * sizeof(s), &s, sizeof(s));
	}
	model_offer(&rig->end[0].ring, bufs, 3);
}

static bool is_byte(const uint8_t *p, uint8_t value)
{
	return p[0] == value && !memcmp(p, p + 1, BLOCK - 1);
}

/* Fill the first 64 blocks, do the ranges, and look at all of the file. */
static void do_ranges(struct rig *rig, uint32_t type, uint32_t flags)
{
	struct end *e = &rig->end[0];
	uint8_t bytes[BLOCK];
	int fd = open(e->file, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	memset(bytes, 0x5a, BLOCK);
	for (unsigned int i = 0; i < 65; i++)
		assert_int_equal(pwrite(fd, bytes, BLOCK, i * BLOCK), BLOCK);
	offer_ranges(rig, type, 32, flags);
	run_until(rig, 0, e->done + 1);
	assert_int_equal(status(rig, 0), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 65; i++) {
		bool in = i % 2 == 0 && i < 64;

		assert_int_equal(pread(fd, bytes, BLOCK, i * BLOCK), BLOCK);
		assert_true(is_byte(bytes, in ? 0 : 0x5a));
	}
	close(fd);
}

/* A file reads as zeroes where it was discarded. */
static void test_ranges_reach_the_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig rig;
		struct end *e = &rig.end[0];

		rig_init(&rig, engines[i], 1);
		do_ranges(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0);
		do_ranges(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1);
		set_mode(e, 0);
		do_ranges(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1);
		if (e->image.discard_granularity)
			do_ranges(&rig, VIRTIO_BLK_T_DISCARD, 0);
		while (e->disk.queue[0].flushing)
			run(&rig, NS_PER_MS);
		assert_int_equal(disk_in_flight(&e->disk), 0);
		rig_finish(&rig);
	}
}

/* Ends while a list is half done: every range first, then one answer. */
static void test_drain_of_a_list(void **state)
{
	struct rig rig;
	struct end *e = &rig.end[0];

	(void)state;
	rig_init(&rig, "threads", 1);
	offer_ranges(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 32, 0);
	poll_once(&rig, 0);
	assert_int_equal(disk_in_flight(&e->disk), 1);
	disk_drain(&e->disk);
	take_used(e);
	assert_int_equal(e->done, 1);
	assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_OK);
	rig_finish(&rig);
}

static uint64_t blocks_of(const struct end *e)
{
	struct stat st;

	assert_int_equal(stat(e->file, &st), 0);
	return (uint64_t)st.st_blocks;
}

/* discard=off keeps what was allocated; auto and on give it back. */
static void test_discard_option(void **state)
{
	static const enum disk_discard values[] = {
		DISK_DISCARD_AUTO,
		DISK_DISCARD_ON,
		DISK_DISCARD_OFF,
	};
	const uint64_t feature = VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		bool off = values[i] == DISK_DISCARD_OFF;
		struct rig rig;
		struct end *e = &rig.end[0];
		uint64_t full;

		rig_init(&rig, "auto", 0);
		add_disk_as(&rig,
			    (struct disk_options){ .discard = values[i] });
		assert_int_equal(!(model_offered(&e->disk.blk.dev) & feature),
				 off);
		assert_int_equal(
			e->disk.blk.state->config.write_zeroes_may_unmap, !off);
		do_ranges(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0);
		full = blocks_of(e);
		do_ranges(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1);
		if (off)
			assert_true(blocks_of(e) >= full);
		else
			assert_true(blocks_of(e) < full);
		rig_finish(&rig);
	}
}

/* discard=on is refused where it cannot be kept, in one sentence. */
static void test_discard_that_cannot_be(void **state)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct end e = { .file = "" };
	struct rig rig;

	(void)state;
	rig_init(&rig, "auto", 0);
	make_file(&e);
	assert_int_equal(model_disk_open(&e.disk, &e.image,
					 &(struct disk_options){
						 .file = e.file,
						 .engine = "auto",
						 .queues = 1,
						 .queue_size = RING,
						 .readonly = true,
						 .discard = DISK_DISCARD_ON },
					 &rig.mem.memory, error),
			 -EOPNOTSUPP);
	assert_memory_equal(error, e.file, strlen(e.file));
	assert_non_null(strstr(error, "read-only: use discard=auto"));
	unlink(e.file);
	rig_finish(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_shrinks),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_shared_image),
		cmocka_unit_test(test_flush_of_our_own),
		cmocka_unit_test(test_ranges_reach_the_file),
		cmocka_unit_test(test_drain_of_a_list),
		cmocka_unit_test(test_discard_option),
		cmocka_unit_test(test_discard_that_cannot_be),
	};

	return cmocka_run_group_tests_name("daemon_resize", tests, NULL, NULL);
}
