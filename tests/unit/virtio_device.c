/* SPDX-License-Identifier: MIT */
/*
 * Status, features and the life of the queues: what a driver may do when, what
 * waits for requests in flight, and what ends in NEEDS_RESET.
 */
#include "lib/model_blk.h"

#define ACK VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER VIRTIO_STATUS_DRIVER
#define DRIVER_OK VIRTIO_STATUS_DRIVER_OK
#define FEATURES_OK VIRTIO_STATUS_FEATURES_OK
#define NEEDS_RESET VIRTIO_STATUS_NEEDS_RESET
#define FAILED VIRTIO_STATUS_FAILED

#define VERSION_1 VIRTIO_FEATURE(VIRTIO_F_VERSION_1)

static uint32_t status_of(struct model_blk *m)
{
	return model_get(&m->blk.dev, VIRTIO_MMIO_STATUS);
}

static enum virtio_answer set_status(struct model_blk *m, uint32_t status)
{
	return model_set(&m->blk.dev, VIRTIO_MMIO_STATUS, status);
}

/* Each subset of the offer that has VERSION_1 is accepted, again and again. */
static void test_every_valid_subset(void **state)
{
	static const unsigned int bits[] = { 2, 6, 9, 28, 29 };
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	for (unsigned int c = 0; c < 32; c++) {
		uint64_t features = VERSION_1;

		for (unsigned int i = 0; i < 5; i++)
			if (c & (1u << i))
				features |= VIRTIO_FEATURE(bits[i]);
		assert_true(model_negotiate(&m.blk.dev, features));
		assert_int_equal(virtio_device_features(&m.blk.dev), features);
		set_status(&m, 0);
	}
	model_blk_finish(&m);
}

/* What was not offered, or lacks VERSION_1, is refused. */
static void test_features_refused(void **state)
{
	struct model_blk m;
	uint64_t offered;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	offered = model_offered(&m.blk.dev);
	assert_false(model_negotiate(&m.blk.dev, 0));
	assert_int_equal(virtio_device_features(&m.blk.dev), 0);
	set_status(&m, 0);
	assert_false(model_negotiate(&m.blk.dev, offered & ~VERSION_1));
	set_status(&m, 0);
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (offered & VIRTIO_FEATURE(bit))
			continue;
		assert_false(model_negotiate(&m.blk.dev,
					     VERSION_1 | VIRTIO_FEATURE(bit)));
		/* A driver may try once more with less, section 3.1.1. */
		assert_true(model_negotiate(&m.blk.dev, VERSION_1));
		set_status(&m, 0);
	}
	model_blk_finish(&m);
}

static void test_features_are_frozen(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	assert_true(model_negotiate(&m.blk.dev, VERSION_1));
	model_write_features(&m.blk.dev, UINT64_MAX);
	assert_int_equal(virtio_device_features(&m.blk.dev), VERSION_1);
	set_status(&m, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	model_write_features(&m.blk.dev, UINT64_MAX);
	assert_int_equal(virtio_device_features(&m.blk.dev), VERSION_1);
	model_blk_finish(&m);
}

static void test_driver_ok_needs_features_ok(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	set_status(&m, ACK | DRIVER | DRIVER_OK);
	assert_int_equal(status_of(&m), ACK | DRIVER);
	assert_false(virtio_device_live(&m.blk.dev));
	/* Nor with one that is refused in the same write. */
	set_status(&m, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(status_of(&m), ACK | DRIVER);
	model_blk_finish(&m);
}

static void test_bits_stay_until_reset(void **state)
{
	struct model_blk m;
	const uint32_t up = ACK | DRIVER | FEATURES_OK | DRIVER_OK;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t bit = 1; bit < 256; bit *= 2) {
		if (bit == FAILED)
			continue;
		set_status(&m, bit);
		assert_int_equal(status_of(&m), up);
	}
	/* Bits that a driver must not set, or that are none. */
	set_status(&m, 0xffffff70u & ~(uint32_t)FAILED);
	assert_int_equal(status_of(&m), up);
	set_status(&m, FAILED);
	assert_int_equal(status_of(&m), up | FAILED);
	set_status(&m, 0);
	assert_int_equal(status_of(&m), 0);
	model_blk_finish(&m);
}

/* Nothing is taken before DRIVER_OK. */
static void test_no_request_before_driver_ok(void **state)
{
	struct model_blk m;
	struct virtio_blk_queue *bq = &m.blk.queue[0];

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	assert_true(model_negotiate(&m.blk.dev, model_offered(&m.blk.dev)));
	model_set_queue(&m.blk.dev, 0, &m.ring[0]);
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	model_set(&m.blk.dev, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	assert_null(virtio_blk_pop(bq));
	assert_false(virtqueue_pending(&bq->vq));
	/* A queue that was ready but never ran does not survive a reset. */
	set_status(&m, 0);
	model_memory_check_idle(&m.mem);
	assert_int_equal(model_get(&m.blk.dev, VIRTIO_MMIO_QUEUE_READY), 0);
	model_set_queue(&m.blk.dev, 0, &m.ring[0]);
	assert_true(model_negotiate(&m.blk.dev, model_offered(&m.blk.dev)));
	model_driver_ok(&m.blk.dev);
	assert_int_equal(model_serve(&m, 0), 1);
	model_blk_finish(&m);
}

/* A reset in each state of the initialisation, with a queue ready. */
static void test_reset_in_each_state(void **state)
{
	struct model_blk m;
	static const uint32_t steps[] = { ACK, DRIVER, FEATURES_OK, DRIVER_OK,
					  FAILED };

	(void)state;
	model_blk_init(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int last = 0; last < 5; last++) {
		uint32_t status = 0;

		model_write_features(&m.blk.dev, VERSION_1);
		for (unsigned int i = 0; i <= last; i++) {
			status |= steps[i];
			set_status(&m, status);
			model_set_queue(&m.blk.dev, i % 2, &m.ring[i % 2]);
		}
		assert_int_equal(status_of(&m), status);
		assert_int_equal(set_status(&m, 0), VIRTIO_DONE);
		assert_int_equal(status_of(&m), 0);
		model_memory_check_idle(&m.mem);
		for (uint32_t q = 0; q < 2; q++) {
			model_set(&m.blk.dev, VIRTIO_MMIO_QUEUE_SEL, q);
			assert_int_equal(model_get(&m.blk.dev,
						   VIRTIO_MMIO_QUEUE_READY),
					 0);
		}
	}
	model_blk_drive(&m);
	model_blk_finish(&m);
}

/* A reset is answered when the last request is; CVE-2023-5088. */
static void test_reset_waits(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct block_request *req[2];

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int i = 0; i < 2; i++) {
		model_request(&m, i, m.heap + i * MODEL_PAGE, VIRTIO_BLK_T_OUT,
			      1 + i, 512);
		req[i] = virtio_blk_pop(&m.blk.queue[i]);
		assert_non_null(req[i]);
	}
	assert_int_equal(set_status(&m, 0), VIRTIO_WAIT);
	assert_int_not_equal(status_of(&m), 0);
	assert_false(virtio_device_live(dev));
	/* What is done meanwhile has no effect. */
	assert_int_equal(set_status(&m, ACK), VIRTIO_DONE);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_DONE);
	assert_int_equal(set_status(&m, 0), VIRTIO_WAIT);
	for (unsigned int i = 0; i < 2; i++) {
		assert_false(virtio_device_settle(dev));
		assert_int_equal(m.mem.rings, 6);
		model_run(&m, req[i]);
		virtqueue_publish(&m.blk.queue[i].vq);
	}
	assert_true(virtio_device_settle(dev));
	assert_int_equal(status_of(&m), 0);
	model_memory_check_idle(&m.mem);
	assert_false(virtio_device_settle(dev));
	model_blk_restart(&m);
	model_blk_finish(&m);
}

static void test_stopping_a_queue_waits(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct block_request *req;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	req = virtio_blk_pop(&m.blk.queue[0]);
	assert_non_null(req);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_WAIT);
	/* Reads back 0 only when the queue is quiet; 1 cannot undo it. */
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 1);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	/* The other queue goes on. */
	model_request(&m, 1, m.heap + MODEL_PAGE, VIRTIO_BLK_T_IN, 0, 512);
	assert_int_equal(model_serve(&m, 1), 1);
	assert_false(virtio_device_settle(dev));
	model_run(&m, req);
	virtqueue_publish(&m.blk.queue[0].vq);
	assert_true(virtio_device_settle(dev));
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(m.mem.rings, 3);
	assert_false(virtio_device_settle(dev));
	/* And with nothing in flight it is answered at once. */
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_DONE);
	model_memory_check_idle(&m.mem);
	model_blk_finish(&m);
}

/*
 * Two vCPUs stop a queue each. stopped() lets all of a device's vCPUs go, so
 * settle() may say that it is done only when both queues are quiet.
 */
static void test_two_stops_settle_together(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct block_request *req[2];

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int i = 0; i < 2; i++) {
		model_request(&m, i, m.heap + i * MODEL_PAGE, VIRTIO_BLK_T_IN,
			      0, 512);
		req[i] = virtio_blk_pop(&m.blk.queue[i]);
		assert_non_null(req[i]);
		model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
				 VIRTIO_WAIT);
	}
	model_run(&m, req[0]);
	virtqueue_publish(&m.blk.queue[0].vq);
	assert_false(virtio_device_settle(dev));
	model_run(&m, req[1]);
	virtqueue_publish(&m.blk.queue[1].vq);
	assert_true(virtio_device_settle(dev));
	model_blk_finish(&m);
}

/*
 * A second access must not settle, in passing, what the first one waits for:
 * nobody would tell the first vCPU.
 */
static void test_settling_is_not_lost(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct block_request *req;
	enum virtio_answer second;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	req = virtio_blk_pop(&m.blk.queue[0]);
	assert_non_null(req);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_WAIT);
	model_run(&m, req);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 1);
	second = model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_true(virtio_device_settle(dev) || second == VIRTIO_WAIT);
	virtio_device_settle(dev);
	model_blk_finish(&m);
}

/* A queue comes back with what the driver writes then, size included. */
static void test_queue_starts_again(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	assert_int_equal(model_serve(&m, 0), 1);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0);
	model_ring_init(&m.ring[0], &m.mem, m.heap + 8 * MODEL_PAGE, 4);
	model_set_queue(dev, 0, &m.ring[0]);
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	assert_int_equal(model_serve(&m, 0), 1);
	assert_int_equal(m.ring[0].used->idx, 1);
	model_blk_finish(&m);
}

/* ---- rings that cannot be used ------------------------------------------- */

struct bad_queue {
	const char *what;
	uint32_t size;
	uint64_t desc, driver, device; /* offsets, added to what is right */
};

static const struct bad_queue bad_queues[] = {
	{ "size 0", 0, 0, 0, 0 },
	{ "size 3", 3, 0, 0, 0 },
	{ "size 7", 7, 0, 0, 0 },
	{ "size above the maximum", 16, 0, 0, 0 },
	{ "size 65536", 65536, 0, 0, 0 },
	{ "size 65536 and a good one", 65536 + 8, 0, 0, 0 },
	{ "size with the highest bit", 0x80000008u, 0, 0, 0 },
	{ "addresses before memory", 8, -(uint64_t)MODEL_PAGE,
	  -(uint64_t)MODEL_PAGE, -(uint64_t)MODEL_PAGE },
	{ "descriptors at 0", 8, -(uint64_t)MODEL_BASE, 0, 0 },
	{ "driver area outside", 8, 0, UINT64_C(1) << 32, 0 },
	{ "device area outside", 8, 0, 0, UINT64_C(1) << 32 },
	{ "device area over the end", 8, 0, 0,
	  MODEL_BLK_PAGES *MODEL_PAGE - 200 },
	{ "addresses that wrap", 8, UINT64_MAX - MODEL_BASE - 15, 0, 0 },
	{ "descriptors not aligned", 8, 8, 0, 0 },
	{ "driver area not aligned", 8, 0, 1, 0 },
	{ "device area not aligned", 8, 0, 0, 2 },
};

/* As model_set_queue(), with the size that the driver must not ask for. */
static void write_bad_queue(struct model_blk *m, const struct bad_queue *bad)
{
	struct model_ring ring = m->ring[0];
	struct virtio_device *dev = &m->blk.dev;

	ring.desc_at += bad->desc;
	ring.avail_at += bad->driver;
	ring.used_at += bad->device;
	ring.size = (uint16_t)bad->size;
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	model_write_addresses(dev, &ring);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM, bad->size);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void check_needs_reset(struct model_blk *m)
{
	struct virtio_device *dev = &m->blk.dev;

	assert_true(status_of(m) & NEEDS_RESET);
	assert_true(dev->config_changed);
	assert_false(virtio_device_live(dev));
	model_memory_check_idle(&m->mem);
	/* A second time it is not told again. */
	dev->config_changed = false;
	virtio_device_needs_reset(dev);
	assert_false(dev->config_changed);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_false(dev->config_changed);
	assert_null(virtio_blk_pop(&m->blk.queue[0]));
	model_set(dev, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(status_of(m), 0);
}

/* Ready before DRIVER_OK, and ready after it. */
static void test_bad_rings(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	for (size_t i = 0; i < sizeof(bad_queues) / sizeof(*bad_queues); i++) {
		for (int late = 0; late < 2; late++) {
			const struct bad_queue *bad = &bad_queues[i];

			print_message("# %s\n", bad->what);
			model_negotiate(dev, VERSION_1);
			if (late)
				model_driver_ok(dev);
			write_bad_queue(&m, bad);
			if (!late)
				model_driver_ok(dev);
			check_needs_reset(&m);
		}
	}
	model_blk_drive(&m);
	model_blk_finish(&m);
}

/* All parts on the same bytes: useless, but it harms the guest only. */
static void test_parts_that_overlap(void **state)
{
	struct model_blk m;
	struct model_ring ring;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	ring = m.ring[0];
	ring.avail_at = ring.desc_at;
	ring.used_at = ring.desc_at;
	assert_true(model_negotiate(&m.blk.dev, VERSION_1));
	model_set_queue(&m.blk.dev, 0, &ring);
	model_driver_ok(&m.blk.dev);
	for (unsigned int i = 0; i < 1000; i++) {
		ring.avail->idx++;
		m.ring[0].desc[0].addr += UINT64_C(0x10000) * i + 0x10000;
		model_serve(&m, 0);
	}
	model_set(&m.blk.dev, VIRTIO_MMIO_STATUS, 0);
	model_memory_check_idle(&m.mem);
	model_blk_finish(&m);
}

/* NEEDS_RESET before the driver is up: nobody is there to be told. */
static void test_needs_reset_before_driver_ok(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	virtio_device_needs_reset(&m.blk.dev);
	assert_true(status_of(&m) & NEEDS_RESET);
	assert_false(m.blk.dev.config_changed);
	model_blk_finish(&m);
}

/* Only the device with the broken ring stops, and only it. */
static void test_broken_ring(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct block_request *req;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	req = virtio_blk_pop(&m.blk.queue[0]);
	assert_non_null(req);
	model_avail(&m.ring[0], 4711);
	assert_null(virtio_blk_pop(&m.blk.queue[0]));
	assert_true(status_of(&m) & NEEDS_RESET);
	assert_true(dev->config_changed);
	assert_int_equal(set_status(&m, 0), VIRTIO_WAIT);
	model_run(&m, req);
	virtqueue_publish(&m.blk.queue[0].vq);
	assert_true(virtio_device_settle(dev));
	model_blk_restart(&m);
	model_blk_finish(&m);
}

/*
 * The transport has negotiated; what it took for itself is no matter of ours.
 */
static void test_up_and_down(void **state)
{
	const uint64_t foreign = VIRTIO_FEATURE(30);
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	uint64_t features;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	features = virtio_device_offered(dev);
	assert_false(virtio_device_live(dev));
	virtio_device_accept(dev, features | foreign);
	virtio_device_up(dev);
	assert_true(virtio_device_live(dev));
	assert_int_equal(virtio_device_features(dev), features);
	virtio_device_up(dev);
	assert_int_equal(virtio_device_features(dev), features);
	assert_false(virtio_device_wants_reset(dev));
	virtio_device_needs_reset(dev);
	assert_true(virtio_device_wants_reset(dev));
	virtio_device_up(dev);
	assert_false(virtio_device_live(dev));
	virtio_device_down(dev);
	assert_false(virtio_device_wants_reset(dev));
	assert_int_equal(virtio_device_features(dev), 0);
	virtio_device_accept(dev,
			     features & ~VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH));
	virtio_device_up(dev);
	assert_true(virtio_device_live(dev));
	/* It has no way to flush. */
	assert_int_equal(m.blk.state->config.writeback, 0);
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_valid_subset),
		cmocka_unit_test(test_features_refused),
		cmocka_unit_test(test_features_are_frozen),
		cmocka_unit_test(test_driver_ok_needs_features_ok),
		cmocka_unit_test(test_bits_stay_until_reset),
		cmocka_unit_test(test_no_request_before_driver_ok),
		cmocka_unit_test(test_reset_in_each_state),
		cmocka_unit_test(test_reset_waits),
		cmocka_unit_test(test_stopping_a_queue_waits),
		cmocka_unit_test(test_two_stops_settle_together),
		cmocka_unit_test(test_settling_is_not_lost),
		cmocka_unit_test(test_queue_starts_again),
		cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_parts_that_overlap),
		cmocka_unit_test(test_needs_reset_before_driver_ok),
		cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_up_and_down),
	};

	return cmocka_run_group_tests_name("virtio_device", tests, NULL, NULL);
}
