/* SPDX-License-Identifier: MIT */
/*
 * The registers of the MMIO transport: what each reads after power-on, accesses
 * of other sizes, queues that do not exist, the order of the initialisation,
 * and the configuration space, beyond which nothing may be seen.
 */
#include "lib/model_blk.h"

static const uint64_t offered = VIRTIO_FEATURE(VIRTIO_F_VERSION_1) |
				VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC) |
				VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) |
				VIRTIO_FEATURE(VIRTIO_F_NOTIFICATION_DATA) |
				VIRTIO_FEATURE(VIRTIO_F_RING_RESET) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_GEOMETRY) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE) |
				VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);

static const struct {
	uint64_t offset;
	uint32_t value;
} power_on[] = {
	{ VIRTIO_MMIO_MAGIC_VALUE, 0x74726976 },
	{ VIRTIO_MMIO_VERSION, 2 },
	{ VIRTIO_MMIO_DEVICE_ID, 2 },
	{ VIRTIO_MMIO_QUEUE_NUM_MAX, 8 },
	{ VIRTIO_MMIO_QUEUE_READY, 0 },
	{ VIRTIO_MMIO_QUEUE_RESET, 0 },
	{ VIRTIO_MMIO_INTERRUPT_STATUS, 0 },
	{ VIRTIO_MMIO_STATUS, 0 },
	{ VIRTIO_MMIO_SHM_LEN_LOW, 0xffffffff },
	{ VIRTIO_MMIO_SHM_LEN_HIGH, 0xffffffff },
	{ VIRTIO_MMIO_SHM_BASE_LOW, 0xffffffff },
	{ VIRTIO_MMIO_SHM_BASE_HIGH, 0xffffffff },
};

/* Registers that only take, and offsets that are no register. */
static const uint64_t read_as_zero[] = {
	VIRTIO_MMIO_DEVICE_FEATURES_SEL,
	0x018,
	0x01c,
	VIRTIO_MMIO_DRIVER_FEATURES,
	VIRTIO_MMIO_DRIVER_FEATURES_SEL,
	0x028,
	0x02c,
	VIRTIO_MMIO_QUEUE_SEL,
	VIRTIO_MMIO_QUEUE_NUM,
	0x03c,
	0x040,
	0x048,
	0x04c,
	VIRTIO_MMIO_QUEUE_NOTIFY,
	0x054,
	0x058,
	0x05c,
	VIRTIO_MMIO_INTERRUPT_ACK,
	0x068,
	0x06c,
	0x074,
	0x078,
	0x07c,
	VIRTIO_MMIO_QUEUE_DESC_LOW,
	VIRTIO_MMIO_QUEUE_DESC_HIGH,
	0x088,
	0x08c,
	VIRTIO_MMIO_QUEUE_DRIVER_LOW,
	VIRTIO_MMIO_QUEUE_DRIVER_HIGH,
	0x098,
	VIRTIO_MMIO_QUEUE_DEVICE_LOW,
	VIRTIO_MMIO_QUEUE_DEVICE_HIGH,
	0x0a8,
	0x0ac,
	0x0c4,
	0x0c8,
	0x0f8,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void check_power_on(const struct virtio_device *dev)
{
	for (size_t i = 0; i < COUNT(power_on); i++)
		assert_int_equal(model_get(dev, power_on[i].offset),
				 power_on[i].value);
	for (size_t i = 0; i < COUNT(read_as_zero); i++)
		assert_int_equal(model_get(dev, read_as_zero[i]), 0);
}

static void test_power_on(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	check_power_on(&m.blk.dev);
	assert_int_equal(model_offered(&m.blk.dev), offered);
	model_blk_finish(&m);
}

/* A reset clears everything that a driver can set. */
static void test_reset_is_power_on(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct virtio_device_state fresh;

	(void)state;
	model_blk_init(&m, (struct model_setup){ .nqueues = 3 });
	fresh = *dev->state;
	model_blk_drive(&m);
	virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_USED);
	virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_CONFIG);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 2);
	model_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0), VIRTIO_DONE);
	check_power_on(dev);
	assert_memory_equal(dev->state, &fresh, sizeof(fresh));
	model_memory_check_idle(&m.mem);
	model_blk_finish(&m);
}

/* Registers answer to aligned accesses of 32 bits only. */
static void test_other_sizes_read_as_zero(void **state)
{
	static const unsigned int sizes[] = { 0, 1, 2, 3, 8, 16, 4096 };
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	for (uint64_t at = 0; at < VIRTIO_MMIO_CONFIG; at++) {
		for (size_t i = 0; i < COUNT(sizes); i++)
			assert_int_equal(
				virtio_mmio_read(&m.blk.dev, at, sizes[i]), 0);
		if (at % 4)
			assert_int_equal(virtio_mmio_read(&m.blk.dev, at, 4),
					 0);
	}
	model_blk_finish(&m);
}

/* Writes that are none: no other size, alignment or register has an effect. */
static void test_writes_without_effect(void **state)
{
	static const uint64_t writable[] = {
		VIRTIO_MMIO_DEVICE_FEATURES_SEL,
		VIRTIO_MMIO_DRIVER_FEATURES,
		VIRTIO_MMIO_DRIVER_FEATURES_SEL,
		VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_NUM,
		VIRTIO_MMIO_QUEUE_READY,
		VIRTIO_MMIO_QUEUE_NOTIFY,
		VIRTIO_MMIO_INTERRUPT_ACK,
		VIRTIO_MMIO_STATUS,
		VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH,
		VIRTIO_MMIO_QUEUE_DRIVER_LOW,
		VIRTIO_MMIO_QUEUE_DRIVER_HIGH,
		VIRTIO_MMIO_QUEUE_DEVICE_LOW,
		VIRTIO_MMIO_QUEUE_DEVICE_HIGH,
	};
	struct model_blk m;
	struct virtio_device before;
	struct virtio_blk_config config;
	struct virtio_device_state state_before;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	before = m.blk.dev;
	config = m.blk.state->config;
	state_before = *m.blk.dev.state;
	for (uint64_t at = 0; at < 0x300; at++) {
		bool known = false;

		for (size_t i = 0; i < COUNT(writable); i++)
			known |= writable[i] == at;
		/* The one field that is the driver's, see virtio_blk_config. */
		if (at == VIRTIO_MMIO_CONFIG +
				  offsetof(struct virtio_blk_config, writeback))
			continue;
		for (unsigned int size = 0; size <= 16; size++)
			if (size != 4 || !known)
				virtio_mmio_write(&m.blk.dev, at, size,
						  UINT64_MAX);
	}
	virtio_mmio_write(&m.blk.dev, UINT64_MAX, 4, UINT64_MAX);
	assert_memory_equal(&m.blk.dev, &before, sizeof(before));
	assert_memory_equal(m.blk.dev.state, &state_before,
			    sizeof(state_before));
	assert_memory_equal(&m.blk.state->config, &config, sizeof(config));
	model_blk_finish(&m);
}

/* Words of features beyond the second read as 0 and are ignored. */
static void test_feature_words(void **state)
{
	static const uint32_t sels[] = { 2,  3,           31,        32,
					 64, 0x80000000u, UINT32_MAX };
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	model_write_features(dev, offered);
	for (size_t i = 0; i < COUNT(sels); i++) {
		model_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, sels[i]);
		assert_int_equal(model_get(dev, VIRTIO_MMIO_DEVICE_FEATURES),
				 0);
		model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sels[i]);
		model_set(dev, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	}
	assert_int_equal(dev->state->driver_features, offered);
	model_blk_finish(&m);
}

/* QueueSel is any number. */
static void test_queues_that_do_not_exist(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (size_t i = 0; i < COUNT(model_no_queues); i++) {
		uint32_t sel = model_no_queues[i];
		struct virtio_device_state before;

		model_set(dev, VIRTIO_MMIO_QUEUE_SEL, sel);
		before = *dev->state;
		assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 0);
		for (uint64_t at = VIRTIO_MMIO_QUEUE_NUM;
		     at <= VIRTIO_MMIO_QUEUE_NUM + 4; at += 4)
			model_set(dev, at, 4);
		for (uint64_t at = VIRTIO_MMIO_QUEUE_DESC_LOW;
		     at <= VIRTIO_MMIO_QUEUE_DEVICE_HIGH; at += 4)
			model_set(dev, at, 0x12345678);
		model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
		model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0);
		model_set(dev, VIRTIO_MMIO_QUEUE_NOTIFY, sel);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_RESET, 1),
				 VIRTIO_DONE);
		assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_RESET), 0);
		assert_memory_equal(dev->state, &before, sizeof(before));
	}
	assert_true(virtio_device_live(dev));
	model_blk_finish(&m);
}

/* Indices, with and without the data above them, that are right or absurd. */
static const uint32_t notifications[] = {
	0,          1,           2,           3,           15,
	16,         31,          32,          64,          255,
	0xffff,     0x10000,     0x10001,     0x80000000u, 0x80000002u,
	0x7fff0001, 0xfffe0000u, 0xffff0002u, 0x0001ffff,  UINT32_MAX,
};

/* A notification changes nothing; the rings say what there is to do. */
static void notify(struct model_blk *m)
{
	struct virtio_device *dev = &m->blk.dev;

	for (size_t i = 0; i < COUNT(notifications); i++) {
		const struct virtio_device before = *dev;
		const struct virtio_device_state state_before = *dev->state;
		unsigned int queue = (unsigned int)(i % 3);
		struct vring_used_elem elem;

		model_request(m, queue, m->heap, VIRTIO_BLK_T_IN, 0, 512);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_NOTIFY,
					   notifications[i]),
				 VIRTIO_DONE);
		assert_memory_equal(dev, &before, sizeof(before));
		assert_memory_equal(dev->state, &state_before,
				    sizeof(state_before));
		assert_int_equal(model_serve(m, queue), 1);
		assert_true(model_used(&m->ring[queue], &elem));
	}
}

static void test_notify_is_harmless(void **state)
{
	static const uint64_t refused[] = {
		0,
		VIRTIO_FEATURE(VIRTIO_F_NOTIFICATION_DATA),
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(refused); i++) {
		struct model_blk m;

		model_blk_start(&m,
				(struct model_setup){ .nqueues = 3,
						      .refused = refused[i / 2],
						      .packed = i % 2 });
		notify(&m);
		model_blk_finish(&m);
	}
}

/* Size and addresses are fixed while the queue is ready. */
static void test_ready_queue_is_fixed(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct virtio_queue_state before;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	before = dev->state->queue[0];
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM, 4);
	for (uint64_t at = VIRTIO_MMIO_QUEUE_DESC_LOW;
	     at <= VIRTIO_MMIO_QUEUE_DEVICE_HIGH; at += 4)
		model_set(dev, at, 0x12345678);
	assert_memory_equal(&dev->state->queue[0], &before, sizeof(before));
	/* B20: ready twice is ready once. */
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(m.mem.rings, 3);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 1);
	model_blk_finish(&m);
}

static void test_addresses_have_two_halves(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	for (uint64_t at = VIRTIO_MMIO_QUEUE_DESC_LOW;
	     at <= VIRTIO_MMIO_QUEUE_DEVICE_HIGH; at += 4)
		model_set(dev, at, (uint32_t)at * 0x01010101u);
	assert_int_equal(dev->state->queue[0].desc, 0x8484848480808080u);
	assert_int_equal(dev->state->queue[0].driver, 0x9494949490909090u);
	assert_int_equal(dev->state->queue[0].device, 0xa4a4a4a4a0a0a0a0u);
	model_set(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	assert_int_equal(dev->state->queue[0].desc, 0x8484848400000000u);
	model_blk_finish(&m);
}

static void test_interrupt_status(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_USED);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_CONFIG);
	virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_USED);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	model_set(dev, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	model_set(dev, VIRTIO_MMIO_INTERRUPT_ACK, ~2u);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	model_set(dev, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	/* Writing the status register itself does nothing. */
	model_set(dev, VIRTIO_MMIO_INTERRUPT_STATUS, 3);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	model_blk_finish(&m);
}

static void test_config_generation(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	uint32_t before;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	before = model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_device_config_updated(dev);
	assert_int_not_equal(model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION),
			     before);
	assert_true(dev->config_changed);
	/* A driver that was reset while it read must still see a change. */
	before = model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION);
	model_set(dev, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION), before);
	model_blk_finish(&m);
}

/* ---- the configuration space --------------------------------------------- */

static uint64_t config_at(const struct virtio_blk *blk, uint64_t offset,
			  unsigned int size)
{
	uint64_t value = 0;

	if (offset > sizeof(blk->state->config) ||
	    size > sizeof(blk->state->config) - offset)
		return 0;
	memcpy(&value, (const uint8_t *)&blk->state->config + offset, size);
	return value;
}

/* Every size at every offset, nothing from beyond. */
static void test_config_bounds(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 4, 8 };
	struct model_blk m;
	struct virtio_blk *blk;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	/* A copy whose end is the end of an allocation. */
	blk = malloc(sizeof(*blk));
	assert_non_null(blk);
	*blk = m.blk;
	blk->dev.config = malloc(sizeof(blk->state->config));
	memcpy((void *)blk->dev.config, &blk->state->config,
	       sizeof(blk->state->config));
	for (uint64_t at = 0; at <= 0x200; at++)
		for (size_t i = 0; i < COUNT(sizes); i++)
			assert_int_equal(
				virtio_mmio_read(&blk->dev,
						 VIRTIO_MMIO_CONFIG + at,
						 sizes[i]),
				config_at(blk, at, sizes[i]));
	for (uint64_t at = UINT64_MAX - 300; at < UINT64_MAX; at++)
		assert_int_equal(virtio_mmio_read(&blk->dev, at, 8), 0);
	free((void *)blk->dev.config);
	free(blk);
	model_blk_finish(&m);
}

/* Other sizes are none of a config field: they read as 0. */
static void test_config_odd_sizes(void **state)
{
	static const unsigned int sizes[] = { 0, 3, 5, 6, 7, 9, 16, 96 };
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	for (uint64_t at = 0; at <= 0x200; at++)
		for (size_t i = 0; i < COUNT(sizes); i++)
			assert_int_equal(
				virtio_mmio_read(&m.blk.dev,
						 VIRTIO_MMIO_CONFIG + at,
						 sizes[i]),
				0);
	model_blk_finish(&m);
}

static void test_config_is_read_only(void **state)
{
	struct model_blk m;
	struct virtio_blk_config before;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	before = m.blk.state->config;
	for (uint64_t at = 0; at <= 0x200; at++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			virtio_mmio_write(&m.blk.dev, VIRTIO_MMIO_CONFIG + at,
					  size, UINT64_MAX);
	assert_memory_equal(&m.blk.state->config, &before, sizeof(before));
	model_blk_finish(&m);
}

/* The model's device begins as poison: none of it may be left to be read. */
static void test_window_shows_no_poison(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .sectors = 512 });
	for (uint64_t at = 0; at < VIRTIO_MMIO_WINDOW_SIZE; at++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			for (uint64_t v =
				     virtio_mmio_read(&m.blk.dev, at, size);
			     v; v >>= 8)
				assert_int_not_equal(v & 0xff, MODEL_POISON);
	model_blk_finish(&m);
}

static void test_config_values(void **state)
{
	struct model_blk m;
	const struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_init(&m, (struct model_setup){ .sectors = 99,
						 .nqueues = 5,
						 .queue_size = 4 });
	/* Readable before any feature was accepted, section 2.5.1. */
	assert_int_equal(virtio_mmio_read(dev, 0x100, 8), 99);
	assert_int_equal(virtio_mmio_read(dev, 0x100, 4), 99);
	assert_int_equal(virtio_mmio_read(dev, 0x104, 4), 0);
	assert_int_equal(virtio_mmio_read(dev, 0x10c, 4), 2); /* seg_max */
	assert_int_equal(virtio_mmio_read(dev, 0x114, 4), 512);
	assert_int_equal(virtio_mmio_read(dev, 0x122, 2), 5); /* num_queues */
	assert_true(model_offered(&m.blk.dev) &
		    VIRTIO_FEATURE(VIRTIO_BLK_F_MQ));
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_on),
		cmocka_unit_test(test_reset_is_power_on),
		cmocka_unit_test(test_other_sizes_read_as_zero),
		cmocka_unit_test(test_writes_without_effect),
		cmocka_unit_test(test_feature_words),
		cmocka_unit_test(test_queues_that_do_not_exist),
		cmocka_unit_test(test_notify_is_harmless),
		cmocka_unit_test(test_ready_queue_is_fixed),
		cmocka_unit_test(test_addresses_have_two_halves),
		cmocka_unit_test(test_interrupt_status),
		cmocka_unit_test(test_config_generation),
		cmocka_unit_test(test_config_bounds),
		cmocka_unit_test(test_config_odd_sizes),
		cmocka_unit_test(test_config_is_read_only),
		cmocka_unit_test(test_window_shows_no_poison),
		cmocka_unit_test(test_config_values),
	};

	return cmocka_run_group_tests_name("virtio_mmio", tests, NULL, NULL);
}
