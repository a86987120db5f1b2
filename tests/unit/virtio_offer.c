/* SPDX-License-Identifier: MIT */
/*
 * What a device offers, for every combination of its options: only features
 * that exist for it here, each with what it needs, and reserved fields of the
 * configuration that are zero.
 */
#include "lib/model_blk.h"

#define BIT(b) VIRTIO_FEATURE(b)

/* All features of a block device on MMIO that this core can have. */
static const struct feature {
	unsigned int bit;
	uint64_t needs;
} features[] = {
	{ 1, 0 },        { 2, 0 },
	{ 4, 0 }, /* SIZE_MAX SEG_MAX GEOMETRY */
	{ 5, 0 },        { 6, 0 },
	{ 9, 0 },       /* RO BLK_SIZE FLUSH */
	{ 10, 0 },      /* TOPOLOGY */
	{ 11, BIT(9) }, /* CONFIG_WCE: FLUSH */
	{ 12, 0 },      /* MQ */
	{ 13, 0 },       { 14, 0 },
	{ 16, 0 },                  /* DISCARD WRITE_ZEROES SECURE_ERASE */
	{ 28, 0 },       { 29, 0 }, /* INDIRECT_DESC EVENT_IDX */
	{ 32, 0 },                  /* VERSION_1 */
	{ 34, BIT(32) },            /* RING_PACKED */
	{ 38, BIT(32) },            /* NOTIFICATION_DATA */
	{ 40, BIT(32) },            /* RING_RESET */
};

static void check_offer(uint64_t offered)
{
	uint64_t known = 0;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		known |= BIT(features[i].bit);
		if (offered & BIT(features[i].bit))
			assert_int_equal(features[i].needs & ~offered, 0);
	}
	assert_int_equal(offered & ~known, 0);
	/* Always there: the modern interface, and a way to stable storage. */
	assert_true(offered & BIT(32));
	assert_true(offered & BIT(9));
}

/* Bytes that section 5.2.4 reserves, and those of zoned devices. */
static void check_reserved(const struct virtio_device *dev)
{
	static const struct {
		uint8_t first, last;
	} reserved[] = { { 33, 33 }, { 57, 59 }, { 72, 95 } };

	for (unsigned int i = 0; i < 3; i++)
		for (uint64_t at = reserved[i].first; at <= reserved[i].last;
		     at++)
			assert_int_equal(virtio_mmio_read(dev, 0x100 + at, 1),
					 0);
}

static void every_device(void (*check)(struct model_blk *m))
{
	for (unsigned int how = 0; how < 4; how++)
		for (uint16_t size = 2; size <= 64;
		     size = (uint16_t)(size * 2)) {
			struct model_blk m;

			model_blk_init(&m, (struct model_setup){
						   .readonly = how & 1,
						   .nqueues = how & 2 ? 3 : 1,
						   .queue_size = size,
					   });
			check(&m);
			model_blk_finish(&m);
		}
}

static void offer_of(struct model_blk *m)
{
	uint64_t offered = model_offered(&m->blk.dev);

	check_offer(offered);
	assert_int_equal(offered, m->blk.dev.state->offered);
	assert_int_equal(!(offered & BIT(VIRTIO_BLK_F_RO)), !m->setup.readonly);
	assert_int_equal(!(offered & BIT(VIRTIO_BLK_F_MQ)),
			 m->setup.nqueues == 1);
}

static void reserved_of(struct model_blk *m)
{
	check_reserved(&m->blk.dev);
	model_blk_drive(m);
	check_reserved(&m->blk.dev);
}

static void test_offer_is_consistent(void **state)
{
	(void)state;
	every_device(offer_of);
}

static void test_reserved_fields_are_zero(void **state)
{
	(void)state;
	every_device(reserved_of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer_is_consistent),
		cmocka_unit_test(test_reserved_fields_are_zero),
	};

	return cmocka_run_group_tests_name("virtio_offer", tests, NULL, NULL);
}
