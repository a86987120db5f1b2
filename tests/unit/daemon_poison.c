/* SPDX-License-Identifier: MIT */
/*
 * What the device has in hand of one request must not be seen by another. A
 * secret goes through the whole disk, so that every buffer on its way has held
 * it; then reads that succeed, fail and end in the middle show the driver the
 * store's bytes or leave its own: never the secret, never what memory that was
 * allocated happens to hold, which is the same byte here.
 */
#include "lib/model_disk.h"

enum {
	SECRET = 0xa5,
	STORE = 0x44, /* what the file has */
	GUEST = 0x33, /* what guest memory has before */
	BATCH = 12,
	BLOCKS = 32,      /* of the file that are read */
	SECRETS_AT = 100, /* the block where the secret is written */
	CUTS = 40,
};

const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "max_malloc_fill_size=1073741824:malloc_fill_byte=165";
}

static const enum block_cache caches[] = {
	BLOCK_CACHE_NONE,
	BLOCK_CACHE_WRITEBACK,
};

/* The file as it was, of STORE. */
static void refill(const struct end *e)
{
	static uint8_t bytes[FILE_BYTES];
	int fd = open(e->file, O_WRONLY | O_CLOEXEC);

	memset(bytes, STORE, sizeof(bytes));
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(fd);
}

static uint8_t *heap(struct rig *rig, uint64_t *bytes)
{
	*bytes = rig->mem.base + rig->mem.size - rig->heap;
	return model_at(&rig->mem, rig->heap, *bytes);
}

/* No byte of guest memory, but the rings, is the secret. */
static void scan(struct rig *rig)
{
	uint64_t bytes;
	const uint8_t *p = heap(rig, &bytes);
	const uint8_t *found = memchr(p, SECRET, bytes);

	if (found)
		fail_msg("a secret byte at %#lx of guest memory",
			 (unsigned long)(found - p));
}

static void write_secret(struct rig *rig, unsigned int *done)
{
	for (unsigned int i = 0; i < BATCH; i++)
		memset(offer(rig, 0, i, VIRTIO_BLK_T_OUT, SECRETS_AT + i),
		       SECRET, BLOCK);
	run_until(rig, 0, *done += BATCH);
	for (unsigned int i = 0; i < BATCH; i++)
		assert_int_equal(status(rig, i), VIRTIO_BLK_S_OK);
}

/*
 * What was read whole is the store's; what failed is that, or the driver's own,
 * or the zeroes by which a file system fills its last block up.
 */
static unsigned int check_read(const uint8_t *data, uint8_t status)
{
	unsigned int other = 0;

	for (unsigned int i = 0; i < BLOCK; i++) {
		if (data[i] != STORE && data[i] != GUEST && data[i] != 0)
			fail_msg("byte %u is %#x", i, data[i]);
		other += data[i] != STORE;
	}
	if (status == VIRTIO_BLK_S_OK)
		assert_int_equal(other, 0);
	else
		assert_int_equal(status, VIRTIO_BLK_S_IOERR);
	return status != VIRTIO_BLK_S_OK;
}

/* Reads around the end of a file that has become shorter: how many failed. */
static unsigned int read_over_the_end(struct rig *rig, unsigned int *done,
				      off_t end)
{
	const char *file = rig->end[0].file;
	uint8_t *data[BATCH];
	uint64_t bytes;
	uint8_t *p = heap(rig, &bytes);
	unsigned int failed = 0;

	memset(p, GUEST, bytes);
	assert_int_equal(truncate(file, end), 0);
	for (unsigned int i = 0; i < BATCH; i++)
		data[i] = offer(rig, 0, i, VIRTIO_BLK_T_IN,
				((uint64_t)end / BLOCK + i) % BLOCKS);
	run_until(rig, 0, *done += BATCH);
	for (unsigned int i = 0; i < BATCH; i++)
		failed += check_read(data[i], status(rig, i));
	scan(rig);
	refill(&rig->end[0]);
	return failed;
}

static void poison(const char *engine, enum block_cache cache, bool pinnable)
{
	unsigned int done = 0, failed = 0;
	struct rig rig;

	rig_init(&rig, engine, 0);
	rig.mem.memory.pinnable = pinnable;
	add_disk_as(&rig,
		    (struct disk_options){ .engine = engine, .cache = cache });
	refill(&rig.end[0]);
	for (unsigned int i = 0; i < CUTS; i++) {
		write_secret(&rig, &done);
		/* At a block's border, within one, within a sector. */
		failed += read_over_the_end(&rig, &done,
					    (off_t)i % 8 * BLOCK + i / 8 * 640);
	}
	print_message("# %s, %s, %s: %u requests, %u failed\n", engine,
		      block_cache_name(cache),
		      pinnable ? "pinnable" : "not pinnable", done, failed);
	assert_true(failed > 0 && failed < done);
	rig_finish(&rig);
}

static void test_no_secret_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t c = 0; c < 2; c++) {
			poison(engines[i], caches[c], false);
			poison(engines[i], caches[c], true);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_secret_is_told),
	};

	return cmocka_run_group_tests_name("daemon_poison", tests, NULL, NULL);
}
