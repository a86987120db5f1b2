/* SPDX-License-Identifier: MIT */
/*
 * Ranges of a block device on which the page cache has what is not written yet.
 * The kernel refuses to zero or to discard them by a descriptor that is not the
 * one that has claimed the device.
 */
#include "lib/block_loop.h"

enum {
	DISK = 1 << 20,
	RUN = 64 << 10, /* what is written */
	AT = 12 << 10,  /* where the range begins, and how long it is */
	LENGTH = 20 << 10,
};

static const char *const engines[] = { "io_uring", "libaio", "threads" };

static void open_device(struct block_image *image, const char *path,
			enum block_cache cache)
{
	const struct block_image_options options = { .file = path,
						     .cache = cache };
	char error[BLOCK_ERROR_MAX];

	assert_int_equal(whole_open(image, &options, error), 0);
	assert_true(image->is_block_device);
}

/* Write, do `op` to a part of that, and read all: what came out of it. */
static void over_dirty(struct block_image *image, const char *name,
		       enum block_op op, unsigned int flags,
		       const unsigned char *data, unsigned char *seen)
{
	struct block_engine *engine = harness_open_engine(name, image, 4);

	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, 0, 0,
					  (void *)(uintptr_t)data, RUN),
			 0);
	assert_int_equal(harness_command(engine, op, flags, AT, LENGTH), 0);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 0, seen, RUN),
			 0);
	/* What is around it is as it was. */
	assert_memory_equal(seen, data, AT);
	assert_memory_equal(seen + AT + LENGTH, data + AT + LENGTH,
			    RUN - AT - LENGTH);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	block_engine_close(engine);
}

static void over_dirty_device(enum block_op op, unsigned int flags,
			      bool zeroes_for_sure)
{
	static const unsigned char zeroes[LENGTH];
	unsigned char *data = harness_create("disk", DISK);
	unsigned char *seen = malloc(RUN);
	char path[64];
	int loop = attach_loop("disk", path, sizeof(path), 512);

	for (unsigned int i = 0; i < 6; i++) {
		enum block_cache cache = i < 3 ? BLOCK_CACHE_WRITEBACK :
						 BLOCK_CACHE_WRITETHROUGH;
		struct block_image image;

		open_device(&image, path, cache);
		harness_fill(data, RUN);
		over_dirty(&image, engines[i % 3], op, flags, data, seen);
		if (zeroes_for_sure)
			assert_memory_equal(seen + AT, zeroes, LENGTH);
		else if (memcmp(seen + AT, zeroes, LENGTH) != 0)
			assert_memory_equal(seen + AT, data + AT, LENGTH);
		whole_close(&image);
	}
	close(loop);
	free(seen);
	free(data);
}

static void test_zeroes(void **state)
{
	(void)state;
	over_dirty_device(BLOCK_WRITE_ZEROES, 0, true);
}

static void test_zeroes_that_unmap(void **state)
{
	(void)state;
	over_dirty_device(BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, true);
}

static void test_discard(void **state)
{
	(void)state;
	over_dirty_device(BLOCK_DISCARD, 0, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_zeroes_that_unmap),
		cmocka_unit_test(test_discard),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
