/* SPDX-License-Identifier: MIT */
/*
 * Offer and configuration of the block device: the cache mode that the driver
 * chooses and what follows from it, limits, hints, geometry, and a size that
 * changes while the device runs.
 */
#include "lib/model_adopt.h"
#include "lib/model_request.h"

#define WCE VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE)
#define FLUSH VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH)
#define AT(field) \
	(VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, field))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t mode(struct model_blk *m)
{
	return virtio_mmio_read(&m->blk.dev, AT(writeback), 1);
}

static void set_mode(struct model_blk *m, uint64_t value)
{
	virtio_mmio_write(&m->blk.dev, AT(writeback), 1, value);
}

/* The flags of a write that is made now. */
static uint8_t write_flags(struct model_blk *m)
{
	struct vring_used_elem elem;
	struct block_request *req;
	uint8_t flags;

	model_request(m, 0, m->heap, VIRTIO_BLK_T_OUT, 0, 512);
	req = virtio_blk_pop(&m->blk.queue[0]);
	assert_non_null(req);
	flags = req->flags;
	model_run(m, req);
	virtqueue_publish(&m->blk.queue[0].vq);
	assert_true(model_used(&m->ring[0], &elem));
	return flags;
}

/* ---- cache mode ---- */

/*
 * Clauses 65, 66, 77, 78: which mode a driver starts with, and what it means.
 */
static void test_mode_at_start(void **state)
{
	static const struct {
		uint64_t refused;
		bool write_through; /* of the options */
		uint8_t mode;
		uint8_t flags;
	} cases[] = {
		{ 0, false, 1, 0 },
		{ 0, true, 0, BLOCK_STABLE },
		{ FLUSH, false, 0, BLOCK_STABLE },
		{ FLUSH, true, 0, BLOCK_STABLE },
		{ WCE, false, 1, 0 },
		{ WCE, true, 0, 0 }, /* the image writes through by itself */
		{ WCE | FLUSH, false, 1, BLOCK_STABLE },
		{ WCE | FLUSH, true, 0, BLOCK_STABLE },
	};
	struct model_blk m;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		model_blk_start(
			&m, (struct model_setup){
				    .pinnable = true,
				    .refused = cases[i].refused,
				    .write_through = cases[i].write_through });
		assert_int_equal(model_offered(&m.blk.dev) & (WCE | FLUSH),
				 WCE | FLUSH);
		assert_int_equal(mode(&m), cases[i].mode);
		assert_int_equal(write_flags(&m), cases[i].flags);
		model_blk_finish(&m);
	}
}

static void test_mode_is_chosen(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .pinnable = true });
	set_mode(&m, 0);
	assert_int_equal(mode(&m), 0);
	assert_int_equal(write_flags(&m), BLOCK_STABLE);
	set_mode(&m, 1);
	assert_int_equal(mode(&m), 1);
	assert_int_equal(write_flags(&m), 0);
	/* What is neither is the mode with which nothing is promised less. */
	set_mode(&m, 0x80);
	assert_int_equal(mode(&m), 1);
	/* Written to the byte, not to what it is a part of. */
	set_mode(&m, 0);
	virtio_mmio_write(&m.blk.dev, AT(writeback), 4, 1);
	virtio_mmio_write(&m.blk.dev, AT(writeback) - 1, 2, 0x0101);
	virtio_mmio_write(&m.blk.dev, AT(writeback) & ~7ull, 8, UINT64_MAX);
	assert_int_equal(mode(&m), 0);
	model_blk_finish(&m);
}

/* Clause 78: what was on its way when the mode changed is as it was taken. */
static void test_mode_of_a_write_under_way(void **state)
{
	struct model_blk m;
	struct block_request *req;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .pinnable = true });
	set_mode(&m, 0);
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_OUT, 0, 512);
	req = virtio_blk_pop(&m.blk.queue[0]);
	assert_non_null(req);
	set_mode(&m, 1);
	assert_true(req->flags & BLOCK_STABLE);
	model_run(&m, req);
	model_blk_finish(&m);
}

/* Going over to write-through is owed one flush, and nothing else is. */
static void test_flush_is_owed(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_false(virtio_blk_take_flush(&m.blk));
	set_mode(&m, 1);
	assert_false(virtio_blk_take_flush(&m.blk));
	set_mode(&m, 0);
	set_mode(&m, 0);
	assert_true(virtio_blk_take_flush(&m.blk));
	assert_false(virtio_blk_take_flush(&m.blk));
	set_mode(&m, 1);
	assert_false(virtio_blk_take_flush(&m.blk));
	model_blk_finish(&m);
}

/* A reset brings the start back, also for a driver that cannot flush. */
static void test_mode_after_reset(void **state)
{
	struct model_blk m;

	(void)state;
	for (unsigned int through = 0; through < 2; through++) {
		model_blk_start(
			&m, (struct model_setup){ .write_through = through });
		set_mode(&m, through);
		assert_int_equal(mode(&m), through);
		model_set(&m.blk.dev, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(mode(&m), !through);
		m.setup.refused = FLUSH;
		model_ring_reset(&m.ring[0], 0);
		model_blk_drive(&m);
		assert_int_equal(mode(&m), 0);
		model_set(&m.blk.dev, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(mode(&m), !through);
		model_blk_finish(&m);
	}
}

/* The next process goes on with the mode, whatever it would have begun with. */
static void test_mode_survives(void **state)
{
	struct model_blk m;

	(void)state;
	for (unsigned int start = 0; start < 4; start++) {
		model_blk_start(
			&m, (struct model_setup){ .write_through = start & 1 });
		m.options.write_through = start & 2;
		model_go_on(&m);
		assert_int_equal(mode(&m), !(start & 1));
		for (unsigned int chosen = 0; chosen < 2; chosen++) {
			set_mode(&m, chosen);
			model_go_on(&m);
			assert_int_equal(mode(&m), chosen);
			/* The one before may not have come to its flush. */
			assert_int_equal(virtio_blk_take_flush(&m.blk),
					 !chosen);
			assert_int_equal(m.blk.switched, !chosen);
		}
		/* A driver that begins sees how this process begins. */
		model_blk_restart(&m);
		assert_int_equal(mode(&m), !(start & 2));
		model_blk_finish(&m);
	}
}

/* ---- the rest of the configuration ---- */

/* Clause 67, and nothing of features that are not offered. */
static void test_limits(void **state)
{
	struct model_blk m;
	const struct virtio_blk_config *c;
	static const uint8_t zeroes[24];

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	c = &m.blk.state->config;
	assert_int_equal(c->unused0, 0);
	assert_memory_equal(c->unused1, zeroes, sizeof(c->unused1));
	assert_memory_equal(c->zoned, zeroes, sizeof(c->zoned));
	assert_int_equal(c->size_max, 0);
	assert_int_equal(c->max_write_zeroes_seg, 32);
	assert_int_equal(c->write_zeroes_may_unmap, 0);
	assert_int_equal(c->max_discard_sectors, 0);
	assert_int_equal(c->max_discard_seg, 0);
	assert_int_equal(c->max_secure_erase_sectors, 0);
	assert_int_equal(c->secure_erase_sector_alignment, 0);
	assert_false(model_offered(&m.blk.dev) &
		     (VIRTIO_FEATURE(VIRTIO_BLK_F_SIZE_MAX) |
		      VIRTIO_FEATURE(VIRTIO_BLK_F_LIFETIME) |
		      VIRTIO_FEATURE(VIRTIO_BLK_F_ZONED)));
	model_blk_finish(&m);

	model_blk_start(&m, (struct model_setup){ .discard = true,
						  .secure_erase = true });
	c = &m.blk.state->config;
	assert_int_equal(c->max_discard_seg, 32);
	assert_int_equal(c->discard_sector_alignment, 1);
	assert_int_equal(c->write_zeroes_may_unmap, 1);
	/* Linux takes any 0 of these for an error. */
	assert_int_equal(c->max_secure_erase_seg, 32);
	assert_int_equal(c->max_secure_erase_sectors, 1 << 22);
	assert_int_equal(c->secure_erase_sector_alignment, 1);
	model_blk_finish(&m);
}

/* A device with these options instead of the model's. */
static void with_options(struct model_blk *m, struct virtio_blk_options more)
{
	model_blk_init(m, (struct model_setup){ 0 });
	more.nqueues = 1;
	more.queue_size = 8;
	if (!more.size)
		more.size = 1 << 20;
	virtio_blk_init(&m->blk, &more, m->memory, m->state, &m->mem.memory);
}

static void test_topology(void **state)
{
	static const struct {
		struct virtio_blk_options options;
		uint8_t exp, offset;
		uint16_t min;
		uint32_t opt;
		uint32_t discard;
	} cases[] = {
		{ { .block_size = 512 }, 0, 0, 0, 0, 1 },
		{ { .block_size = 512,
		    .physical_block_size = 4096,
		    .min_io_size = 4096,
		    .discard_granularity = 4096 },
		  3,
		  0,
		  8,
		  0,
		  8 },
		{ { .block_size = 4096,
		    .physical_block_size = 4096,
		    .min_io_size = 4096,
		    .discard_granularity = 512 },
		  0,
		  0,
		  1,
		  0,
		  8 },
		{ { .block_size = 512,
		    .physical_block_size = 65536,
		    .alignment_offset = 3584,
		    .min_io_size = 65536,
		    .opt_io_size = 1 << 20,
		    .discard_granularity = 1 << 20 },
		  7,
		  7,
		  128,
		  2048,
		  2048 },
		{ { .block_size = 512,
		    .min_io_size = UINT32_MAX,
		    .opt_io_size = UINT32_MAX },
		  0,
		  0,
		  65535,
		  8388607,
		  1 },
	};
	struct model_blk m;
	const struct virtio_blk_config *c;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct virtio_blk_options o = cases[i].options;

		o.discard = true;
		with_options(&m, o);
		c = &m.blk.state->config;
		assert_int_equal(c->blk_size, o.block_size);
		assert_int_equal(c->physical_block_exp, cases[i].exp);
		assert_int_equal(c->alignment_offset, cases[i].offset);
		assert_int_equal(c->min_io_size, cases[i].min);
		assert_int_equal(c->opt_io_size, cases[i].opt);
		assert_int_equal(c->discard_sector_alignment, cases[i].discard);
		model_blk_finish(&m);
	}
}

/* Cylinders, heads and sectors of any disk: none is 0, all fit its size. */
static void test_geometry(void **state)
{
	static const uint64_t capacities[] = {
		1,
		2,
		63,
		1007,
		1008,
		1009,
		2880,
		131072,
		1 << 20,
		1032192,
		1032193,
		8257536,
		16514064,
		16777216,
		UINT64_C(1) << 28,
		UINT64_C(1) << 32,
		UINT64_C(1) << 40,
		UINT64_MAX / 512,
	};
	struct model_blk m;
	const struct virtio_blk_config *c;

	(void)state;
	for (size_t i = 0; i < COUNT(capacities); i++) {
		with_options(&m, (struct virtio_blk_options){
					 .block_size = 512,
					 .size = capacities[i] * 512 });
		c = &m.blk.state->config;
		assert_int_equal(c->capacity, capacities[i]);
		assert_true(c->cylinders && c->heads && c->sectors);
		assert_true((uint64_t)c->cylinders * c->heads * c->sectors <=
			    capacities[i]);
		assert_in_range(c->sectors, 1, 63);
		model_blk_finish(&m);
	}
	with_options(&m,
		     (struct virtio_blk_options){ .block_size = 512,
						  .size = UINT64_C(8) << 30 });
	c = &m.blk.state->config;
	assert_int_equal(c->cylinders, 1044);
	assert_int_equal(c->heads, 255);
	assert_int_equal(c->sectors, 63);
	model_blk_finish(&m);
}

/* ---- a size that changes ---- */

static uint8_t read_sector(struct model_blk *m, uint64_t sector)
{
	uint64_t status = model_request(m, 0, m->heap, VIRTIO_BLK_T_IN, sector,
					512);
	struct vring_used_elem elem;

	model_serve(m, 0);
	assert_true(model_used(&m->ring[0], &elem));
	return *model_byte(m, status);
}

/* Clause 71: requests see the new end at once, drivers are told to look. */
static void test_resize(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_false(virtio_blk_resize(&m.blk, m.store_bytes));
	assert_int_equal(read_sector(&m, MODEL_SECTORS - 1), VIRTIO_BLK_S_OK);
	assert_true(virtio_blk_resize(&m.blk, 40 * 512));
	assert_int_equal(read_sector(&m, 39), VIRTIO_BLK_S_OK);
	assert_int_equal(read_sector(&m, 40), VIRTIO_BLK_S_IOERR);
	assert_int_equal(virtio_mmio_read(dev, AT(capacity), 8), 40);
	assert_true(virtio_blk_resize(&m.blk, m.store_bytes));
	assert_int_equal(read_sector(&m, MODEL_SECTORS - 1), VIRTIO_BLK_S_OK);
	assert_true(virtio_blk_resize(&m.blk, 0));
	assert_int_equal(read_sector(&m, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(virtio_mmio_read(dev, AT(cylinders), 2), 0);
	model_blk_finish(&m);
}

/*
 * Clause 26: a driver that reads the capacity in two halves around a change
 * sees that the generation is another one.
 */
static void test_generation(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	uint32_t before, low, high, after;

	(void)state;
	with_options(&m, (struct virtio_blk_options){
				 .block_size = 512,
				 .size = UINT64_C(0xffffffff) * 512 });
	before = model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION);
	low = model_get(dev, AT(capacity));
	assert_true(virtio_blk_resize(&m.blk, UINT64_C(0x100000000) * 512));
	high = model_get(dev, AT(capacity) + 4);
	after = model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION);
	assert_int_equal(low, 0xffffffff);
	assert_int_equal(high, 1);
	assert_int_not_equal(before, after);
	assert_true(virtio_device_take_config_change(dev));
	assert_false(virtio_device_take_config_change(dev));
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode_at_start),
		cmocka_unit_test(test_mode_is_chosen),
		cmocka_unit_test(test_mode_of_a_write_under_way),
		cmocka_unit_test(test_flush_is_owed),
		cmocka_unit_test(test_mode_after_reset),
		cmocka_unit_test(test_mode_survives),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_generation),
	};

	return cmocka_run_group_tests_name("virtio_blk_config", tests, NULL,
					   NULL);
}
