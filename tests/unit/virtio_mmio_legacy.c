/* SPDX-License-Identifier: MIT */
/*
 * The legacy interface of the MMIO transport: its registers, a driver of the
 * time with all of its requests, use before DRIVER_OK, stopping a queue, and
 * places that no queue can have.
 */
#include "lib/model_blk.h"

#define ACK VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER VIRTIO_STATUS_DRIVER
#define DRIVER_OK VIRTIO_STATUS_DRIVER_OK
#define NEEDS_RESET VIRTIO_STATUS_NEEDS_RESET
#define FAILED VIRTIO_STATUS_FAILED
#define WCE VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE)
#define FLUSH VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH)
#define EVENT_IDX VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX)
#define INDIRECT VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC)
#define WRITEBACK \
	(VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, writeback))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	uint64_t offset;
	uint32_t value;
} power_on[] = {
	{ VIRTIO_MMIO_MAGIC_VALUE, 0x74726976 },
	{ VIRTIO_MMIO_VERSION, 1 },
	{ VIRTIO_MMIO_DEVICE_ID, 2 },
	{ VIRTIO_MMIO_VENDOR_ID, 0x4b445658 },
	{ VIRTIO_MMIO_QUEUE_NUM_MAX, 8 },
};

static uint32_t get(struct model_blk *m, uint64_t at)
{
	return model_get(&m->blk.dev, at);
}

static enum virtio_answer set(struct model_blk *m, uint64_t at, uint32_t value)
{
	return model_set(&m->blk.dev, at, value);
}

static void legacy_init(struct model_blk *m, struct model_setup setup)
{
	setup.legacy = true;
	model_blk_init(m, setup);
}

static void legacy_start(struct model_blk *m, struct model_setup setup)
{
	legacy_init(m, setup);
	model_blk_drive(m);
}

/* The status byte of a request that is made and served now. */
static uint8_t request(struct model_blk *m, unsigned int queue, uint32_t type,
		       uint64_t sector, uint32_t bytes)
{
	uint64_t status = model_request(m, queue, m->heap, type, sector, bytes);
	struct vring_used_elem elem;

	set(m, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	model_serve(m, queue);
	if (!model_used(&m->ring[queue], &elem))
		return 0xff;
	return *model_byte(m, status);
}

static void check_serves(struct model_blk *m)
{
	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		assert_int_equal(request(m, i, VIRTIO_BLK_T_IN, i, 512), 0);
}

/* ---- registers ---- */

static bool is_in_table(uint64_t at)
{
	for (size_t i = 0; i < COUNT(power_on); i++)
		if (power_on[i].offset == at)
			return true;
	return at == VIRTIO_MMIO_DEVICE_FEATURES;
}

/* Those of version 2, ConfigGeneration among them, are no registers here. */
static void test_power_on(void **state)
{
	struct model_blk m;

	(void)state;
	legacy_init(&m, (struct model_setup){ 0 });
	virtio_device_config_updated(&m.blk.dev);
	for (size_t i = 0; i < COUNT(power_on); i++)
		assert_int_equal(get(&m, power_on[i].offset),
				 power_on[i].value);
	for (uint64_t at = 0; at < VIRTIO_MMIO_CONFIG; at += 4)
		if (!is_in_table(at))
			assert_int_equal(get(&m, at), 0);
	model_blk_finish(&m);
}

/* Only features of the first word; no VERSION_1. */
static void test_offer(void **state)
{
	struct model_blk m, modern;

	(void)state;
	legacy_init(&m, (struct model_setup){ .nqueues = 2, .discard = true });
	model_blk_init(&modern,
		       (struct model_setup){ .nqueues = 2, .discard = true });
	assert_int_equal(model_offered(&m.blk.dev),
			 (uint32_t)model_offered(&modern.blk.dev));
	assert_int_equal(m.blk.dev.state->offered >> 32, 0);
	model_blk_finish(&modern);
	model_blk_finish(&m);
}

/* Registers of version 2 take nothing. */
static void test_modern_registers_do_nothing(void **state)
{
	struct model_blk m;
	struct virtio_device_state before;

	(void)state;
	legacy_start(&m, (struct model_setup){ 0 });
	set(&m, VIRTIO_MMIO_QUEUE_PFN, 0);
	before = *m.blk.dev.state;
	set(&m, VIRTIO_MMIO_QUEUE_READY, 1);
	for (uint64_t at = VIRTIO_MMIO_STATUS + 4; at < VIRTIO_MMIO_CONFIG;
	     at += 4)
		set(&m, at, 0x12345678);
	assert_memory_equal(m.blk.dev.state, &before, sizeof(before));
	model_blk_finish(&m);
}

static void test_other_sizes(void **state)
{
	struct model_blk m;
	struct virtio_device_state before;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	legacy_init(&m, (struct model_setup){ 0 });
	before = *dev->state;
	for (uint64_t at = 0; at < VIRTIO_MMIO_CONFIG; at++)
		for (unsigned int size = 0; size <= 16; size++) {
			if (size == 4 && at % 4 == 0)
				continue;
			virtio_mmio_write(dev, at, size, UINT64_MAX);
			assert_int_equal(virtio_mmio_read(dev, at, size), 0);
		}
	assert_memory_equal(dev->state, &before, sizeof(before));
	assert_int_equal(virtio_mmio_read(dev, VIRTIO_MMIO_CONFIG, 8),
			 MODEL_SECTORS);
	model_blk_finish(&m);
}

/* FEATURES_OK does not exist; bits stay until the reset. */
static void test_status(void **state)
{
	struct model_blk m;

	(void)state;
	legacy_init(&m, (struct model_setup){ 0 });
	set(&m, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), 0);
	set(&m, VIRTIO_MMIO_STATUS, ACK);
	set(&m, VIRTIO_MMIO_STATUS,
	    DRIVER | NEEDS_RESET | VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), ACK | DRIVER);
	assert_false(virtio_device_live(&m.blk.dev));
	set(&m, VIRTIO_MMIO_STATUS, DRIVER_OK);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), ACK | DRIVER | DRIVER_OK);
	assert_true(virtio_device_live(&m.blk.dev));
	set(&m, VIRTIO_MMIO_STATUS, FAILED);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS),
			 ACK | DRIVER | DRIVER_OK | FAILED);
	assert_int_equal(set(&m, VIRTIO_MMIO_STATUS, 0), VIRTIO_DONE);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), 0);
	model_blk_finish(&m);
}

static void test_queues_that_do_not_exist(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	legacy_init(&m, (struct model_setup){ .nqueues = 2 });
	set(&m, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
	for (size_t i = 0; i < COUNT(model_no_queues); i++) {
		uint32_t sel = model_no_queues[i];
		struct virtio_device_state before;

		set(&m, VIRTIO_MMIO_QUEUE_SEL, sel);
		before = *dev->state;
		assert_int_equal(get(&m, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		assert_int_equal(get(&m, VIRTIO_MMIO_QUEUE_PFN), 0);
		set(&m, VIRTIO_MMIO_QUEUE_NUM, 4);
		set(&m, VIRTIO_MMIO_QUEUE_ALIGN, MODEL_PAGE);
		set(&m, VIRTIO_MMIO_QUEUE_PFN, MODEL_BASE / MODEL_PAGE);
		set(&m, VIRTIO_MMIO_QUEUE_PFN, 0);
		set(&m, VIRTIO_MMIO_QUEUE_NOTIFY, sel);
		assert_memory_equal(dev->state, &before, sizeof(before));
	}
	model_blk_drive(&m);
	check_serves(&m);
	model_blk_finish(&m);
}

/* ---- a driver ---- */

static void check_data(struct model_blk *m, unsigned int queue)
{
	uint8_t *data = model_at(&m->mem, m->heap + 512, 1024);

	assert_non_null(data);
	assert_int_equal(request(m, queue, VIRTIO_BLK_T_IN, 3, 1024), 0);
	assert_memory_equal(data, m->store + 3 * 512, 1024);
	memset(data, 0x5a + (int)queue, 1024);
	assert_int_equal(request(m, queue, VIRTIO_BLK_T_OUT, 9, 1024), 0);
	assert_memory_equal(data, m->store + 9 * 512, 1024);
	assert_int_equal(request(m, queue, VIRTIO_BLK_T_GET_ID, 0, 20), 0);
	assert_memory_equal(data, model_serial, 20);
	assert_int_equal(request(m, queue, VIRTIO_BLK_T_IN, MODEL_SECTORS, 512),
			 VIRTIO_BLK_S_IOERR);
}

static void test_requests(void **state)
{
	static const uint64_t refused[] = { 0, EVENT_IDX, INDIRECT,
					    EVENT_IDX | INDIRECT };
	struct model_blk m;

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		legacy_start(
			&m, (struct model_setup){ .nqueues = 3,
						  .refused = refused[i],
						  .ring_size = i % 2 ? 4 : 8 });
		assert_int_equal(virtio_device_features(&m.blk.dev),
				 m.blk.dev.state->offered & ~refused[i]);
		for (unsigned int q = 0; q < 3; q++)
			check_data(&m, q);
		model_blk_restart(&m);
		check_serves(&m);
		model_blk_finish(&m);
	}
}

/* Both words for a flush; commands of SCSI and barriers are not offered. */
static void test_legacy_types(void **state)
{
	static const uint32_t unknown[] = { 2, 3, 0x80000000u, 0x80000001u,
					    0x80000004u };
	struct model_blk m;

	(void)state;
	legacy_start(&m, (struct model_setup){ 0 });
	for (uint32_t type = VIRTIO_BLK_T_FLUSH; type <= VIRTIO_BLK_T_FLUSH_OUT;
	     type++) {
		struct block_request *req;

		model_request(&m, 0, m.heap, type, 0, 0);
		req = virtio_blk_pop(&m.blk.queue[0]);
		assert_non_null(req);
		assert_int_equal(req->op, BLOCK_FLUSH);
		model_run(&m, req);
		virtqueue_publish(&m.blk.queue[0].vq);
		assert_true(
			model_used(&m.ring[0], &(struct vring_used_elem){ 0 }));
	}
	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_int_equal(request(&m, 0, unknown[i], 0, 512),
				 VIRTIO_BLK_S_UNSUPP);
	model_blk_finish(&m);
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_int_equal(request(&m, 0, VIRTIO_BLK_T_FLUSH_OUT, 0, 0),
			 VIRTIO_BLK_S_UNSUPP);
	model_blk_finish(&m);
}

/* Each page size and alignment; the used ring is where the driver has it. */
static void test_places(void **state)
{
	struct model_blk m;

	(void)state;
	legacy_init(&m, (struct model_setup){ .pages = 96 });
	for (uint32_t page = 16; page <= 65536; page *= 2)
		for (uint32_t align = 4; align <= 65536; align *= 2) {
			uint64_t at = MODEL_BASE + 65536;

			if (page < MODEL_PAGE)
				at += page;
			set(&m, VIRTIO_MMIO_STATUS, 0);
			set(&m, VIRTIO_MMIO_GUEST_PAGE_SIZE, page);
			model_legacy_features(&m.blk.dev, 0);
			at = model_ring_place(&m.ring[0], &m.mem, at, 8, false,
					      align);
			m.heap = (at + MODEL_PAGE - 1) &
				 ~(uint64_t)(MODEL_PAGE - 1);
			set(&m, VIRTIO_MMIO_QUEUE_ALIGN, align);
			set(&m, VIRTIO_MMIO_QUEUE_PFN,
			    (uint32_t)(m.ring[0].desc_at / page));
			model_driver_ok(&m.blk.dev);
			assert_int_equal(get(&m, VIRTIO_MMIO_QUEUE_PFN),
					 m.ring[0].desc_at / page);
			check_serves(&m);
		}
	model_blk_finish(&m);
}

/* Those not offered are left out, for they cannot be refused. */
static void test_features(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	legacy_init(&m, (struct model_setup){ 0 });
	model_legacy_features(dev, UINT64_MAX);
	assert_int_equal(virtio_device_features(dev), 0);
	model_driver_ok(dev);
	assert_int_equal(virtio_device_features(dev), dev->state->offered);
	model_write_features(dev, 0);
	assert_int_equal(virtio_device_features(dev), dev->state->offered);
	model_blk_finish(&m);
}

/* Section 3.1.2: drivers of the time read partition tables before DRIVER_OK. */
static void test_use_before_driver_ok(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	legacy_init(&m, (struct model_setup){ .nqueues = 2 });
	model_legacy_drive(&m);
	/* A queue that is not there yet begins nothing. */
	set(&m, VIRTIO_MMIO_QUEUE_SEL, 1);
	set(&m, VIRTIO_MMIO_QUEUE_PFN, 0);
	set(&m, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_false(virtio_device_live(dev));
	assert_int_equal(m.mem.rings, 0);
	assert_int_equal(request(&m, 0, VIRTIO_BLK_T_IN, 0, 512), 0);
	assert_int_equal(virtio_device_features(dev), dev->state->offered);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), ACK | DRIVER);
	/* The second queue comes later. */
	model_legacy_set_queue(dev, 1, &m.ring[1]);
	check_serves(&m);
	model_driver_ok(dev);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), ACK | DRIVER | DRIVER_OK);
	check_serves(&m);
	assert_int_equal(m.mem.rings, 6);
	set(&m, VIRTIO_MMIO_STATUS, 0);
	model_memory_check_idle(&m.mem);
	model_blk_restart(&m);
	check_serves(&m);
	model_blk_finish(&m);
}

/* ---- reset, and stopping a queue ---- */

/* Linux writes the page size once, and resets the device after that. */
static void test_reset(void **state)
{
	struct model_blk m;

	(void)state;
	legacy_start(&m, (struct model_setup){ .nqueues = 2 });
	virtio_mmio_interrupt(&m.blk.dev, VIRTIO_MMIO_INT_USED);
	assert_int_equal(set(&m, VIRTIO_MMIO_STATUS, 0), VIRTIO_DONE);
	assert_int_equal(m.blk.dev.state->guest_page_size, MODEL_PAGE);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(&m, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	for (uint32_t i = 0; i < 2; i++) {
		set(&m, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(get(&m, VIRTIO_MMIO_QUEUE_PFN), 0);
		assert_int_equal(m.blk.dev.state->queue[i].align, 0);
	}
	model_memory_check_idle(&m.mem);
	model_blk_restart(&m);
	check_serves(&m);
	model_blk_finish(&m);
}

/* A reset is answered when the last request is, and so is QueuePFN = 0. */
static void test_waits(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	legacy_start(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int reset = 0; reset < 2; reset++) {
		struct block_request *req;
		const uint64_t at = reset ? VIRTIO_MMIO_STATUS :
					    VIRTIO_MMIO_QUEUE_PFN;

		model_request(&m, 0, m.heap, VIRTIO_BLK_T_OUT, 0, 512);
		req = virtio_blk_pop(&m.blk.queue[0]);
		assert_non_null(req);
		set(&m, VIRTIO_MMIO_QUEUE_SEL, 0);
		assert_int_equal(set(&m, at, 0), VIRTIO_WAIT);
		assert_int_not_equal(get(&m, at), 0);
		/* Nothing undoes it. */
		set(&m, VIRTIO_MMIO_QUEUE_PFN, MODEL_BASE / MODEL_PAGE);
		set(&m, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		set(&m, VIRTIO_MMIO_STATUS, DRIVER_OK);
		assert_false(virtio_device_settle(dev));
		model_run(&m, req);
		virtqueue_publish(&m.blk.queue[0].vq);
		assert_true(virtio_device_settle(dev));
		assert_int_equal(get(&m, at), 0);
		assert_int_equal(m.mem.rings, reset ? 0 : 3);
		model_blk_restart(&m);
		check_serves(&m);
	}
	model_blk_finish(&m);
}

/* A queue comes back in another place with another size; the other goes on. */
static void test_queue_starts_again(void **state)
{
	struct model_blk m;

	(void)state;
	legacy_start(&m, (struct model_setup){ .nqueues = 2 });
	set(&m, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(set(&m, VIRTIO_MMIO_QUEUE_PFN, 0), VIRTIO_DONE);
	assert_int_equal(set(&m, VIRTIO_MMIO_QUEUE_PFN, 0), VIRTIO_DONE);
	assert_int_equal(request(&m, 1, VIRTIO_BLK_T_IN, 0, 512), 0);
	model_ring_place(&m.ring[0], &m.mem, m.heap + 8 * MODEL_PAGE, 4, false,
			 MODEL_PAGE);
	model_legacy_set_queue(&m.blk.dev, 0, &m.ring[0]);
	check_serves(&m);
	model_blk_finish(&m);
}

/* What is written for a queue in use is ignored, a second QueuePFN as well. */
static void test_queue_in_use_is_fixed(void **state)
{
	struct model_blk m;
	struct virtio_queue_state before;

	(void)state;
	legacy_start(&m, (struct model_setup){ 0 });
	before = m.blk.dev.state->queue[0];
	set(&m, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(&m, VIRTIO_MMIO_QUEUE_NUM, 4);
	set(&m, VIRTIO_MMIO_QUEUE_ALIGN, 64);
	set(&m, VIRTIO_MMIO_GUEST_PAGE_SIZE, 512);
	set(&m, VIRTIO_MMIO_QUEUE_PFN, 77);
	assert_memory_equal(&m.blk.dev.state->queue[0], &before,
			    sizeof(before));
	assert_int_equal(get(&m, VIRTIO_MMIO_QUEUE_PFN),
			 MODEL_BASE / MODEL_PAGE);
	assert_int_equal(m.mem.rings, 3);
	check_serves(&m);
	model_blk_finish(&m);
}

/* ---- the cache mode, section 5.2.5 ---- */

/* Neither features nor the status change it. */
static void test_cache_mode(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	for (uint8_t mode = 0; mode < 2; mode++) {
		legacy_init(&m, (struct model_setup){ .refused = FLUSH,
						      .pinnable = true });
		/* Written before the features are. */
		virtio_mmio_write(dev, WRITEBACK, 1, mode);
		model_legacy_features(dev, dev->state->offered & ~FLUSH);
		model_legacy_set_queue(dev, 0, &m.ring[0]);
		assert_int_equal(virtio_mmio_read(dev, WRITEBACK, 1), mode);
		model_driver_ok(dev);
		assert_int_equal(virtio_mmio_read(dev, WRITEBACK, 1), mode);
		set(&m, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(virtio_mmio_read(dev, WRITEBACK, 1), 1);
		model_blk_finish(&m);
	}
}

/* With neither FLUSH nor CONFIG_WCE writes are stable when they complete. */
static void test_stable_writes(void **state)
{
	static const struct {
		uint64_t refused;
		uint8_t flags;
	} cases[] = { { 0, 0 },
		      { WCE, 0 },
		      { FLUSH, 0 },
		      { WCE | FLUSH, BLOCK_STABLE } };
	struct model_blk m;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct block_request *req;

		legacy_start(&m, (struct model_setup){
					 .pinnable = true,
					 .refused = cases[i].refused });
		model_request(&m, 0, m.heap, VIRTIO_BLK_T_OUT, 0, 512);
		req = virtio_blk_pop(&m.blk.queue[0]);
		assert_non_null(req);
		assert_int_equal(req->flags, cases[i].flags);
		model_run(&m, req);
		model_blk_finish(&m);
	}
}

/* ---- hostile values ---- */

struct place {
	uint32_t page;
	uint32_t align;
	uint32_t num;
	uint32_t pfn;
};

enum {
	PAGE = MODEL_PAGE,
	PFN = MODEL_BASE / MODEL_PAGE,
};

static const struct place bad_places[] = {
	{ 0, PAGE, 8, PFN },
	{ 1, PAGE, 8, MODEL_BASE + 1 },
	{ 8, PAGE, 8, MODEL_BASE / 8 + 1 },
	{ 3, PAGE, 8, PFN },
	{ 4095, PAGE, 8, PFN },
	{ 4097, PAGE, 8, PFN },
	{ UINT32_MAX, PAGE, 8, PFN },
	{ 0x80000001u, PAGE, 8, PFN },
	{ PAGE, 0, 8, PFN },
	{ PAGE, 1, 8, PFN },
	{ PAGE, 2, 8, PFN },
	{ PAGE, 3, 8, PFN },
	{ PAGE, 4095, 8, PFN },
	{ PAGE, 4097, 8, PFN },
	{ PAGE, 131072, 8, PFN },
	{ PAGE, 0x80000000u, 8, PFN },
	{ PAGE, UINT32_MAX, 8, PFN },
	{ PAGE, PAGE, 0, PFN },
	{ PAGE, PAGE, 3, PFN },
	{ PAGE, PAGE, 7, PFN },
	{ PAGE, PAGE, 16, PFN },
	{ PAGE, PAGE, 65535, PFN },
	{ PAGE, PAGE, 65536, PFN },
	{ PAGE, PAGE, 65544, PFN },
	{ PAGE, PAGE, UINT32_MAX, PFN },
	/* Outside the memory, and parts of it. */
	{ PAGE, PAGE, 8, 1 },
	{ PAGE, PAGE, 8, PFN - 1 },
	{ PAGE, PAGE, 8, PFN + MODEL_BLK_PAGES },
	{ PAGE, PAGE, 8, PFN + MODEL_BLK_PAGES - 1 },
	{ PAGE, PAGE, 8, UINT32_MAX },
	{ 0x80000000u, 65536, 8, UINT32_MAX },
	{ 0x80000000u, PAGE, 8, 1 },
};

static void write_place(struct model_blk *m, const struct place *p)
{
	set(m, VIRTIO_MMIO_GUEST_PAGE_SIZE, p->page);
	set(m, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(m, VIRTIO_MMIO_QUEUE_NUM, p->num);
	set(m, VIRTIO_MMIO_QUEUE_ALIGN, p->align);
	set(m, VIRTIO_MMIO_QUEUE_PFN, p->pfn);
}

/* The device serves nothing and says so, until it is reset. */
static void try_bad_place(const struct place *p, bool begun)
{
	struct model_blk m;

	legacy_init(&m, (struct model_setup){ .nqueues = 2 });
	if (begun) {
		model_blk_drive(&m);
		set(&m, VIRTIO_MMIO_QUEUE_SEL, 0);
		set(&m, VIRTIO_MMIO_QUEUE_PFN, 0);
	}
	write_place(&m, p);
	set(&m, VIRTIO_MMIO_STATUS, DRIVER_OK);
	if (!(get(&m, VIRTIO_MMIO_STATUS) & NEEDS_RESET))
		fail_msg("page size %#x, align %#x, num %#x, pfn %#x", p->page,
			 p->align, p->num, p->pfn);
	assert_false(virtio_device_live(&m.blk.dev));
	assert_int_equal(m.mem.rings, begun ? 3 : 0);
	set(&m, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	assert_null(virtio_blk_pop(&m.blk.queue[0]));
	set(&m, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
	model_blk_restart(&m);
	check_serves(&m);
	model_blk_finish(&m);
}

static void test_bad_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_places); i++) {
		try_bad_place(&bad_places[i], false);
		try_bad_place(&bad_places[i], true);
	}
}

/* QueuePFN before the other two: the size is the device's, no place fits. */
static void test_pfn_first(void **state)
{
	struct model_blk m;

	(void)state;
	legacy_init(&m, (struct model_setup){ 0 });
	set(&m, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
	set(&m, VIRTIO_MMIO_QUEUE_PFN, PFN);
	assert_int_equal(get(&m, VIRTIO_MMIO_QUEUE_PFN), 0);
	assert_int_equal(get(&m, VIRTIO_MMIO_STATUS), NEEDS_RESET);
	model_blk_restart(&m);
	set(&m, VIRTIO_MMIO_QUEUE_PFN, 0);
	set(&m, VIRTIO_MMIO_STATUS, 0);
	/* Before QueueNum only. */
	model_ring_reset(&m.ring[0], 0);
	model_legacy_features(&m.blk.dev, m.blk.dev.state->offered);
	set(&m, VIRTIO_MMIO_QUEUE_ALIGN, MODEL_PAGE);
	set(&m, VIRTIO_MMIO_QUEUE_PFN, PFN);
	set(&m, VIRTIO_MMIO_QUEUE_NUM, 4);
	model_driver_ok(&m.blk.dev);
	check_serves(&m);
	model_blk_finish(&m);
}

static uint32_t random_value(uint64_t *rnd)
{
	static const uint32_t values[] = {
		0,       1,          2,           3,          4,     8,
		16,      64,         512,         PAGE,       65536, PFN,
		PFN + 1, MODEL_BASE, 0x80000000u, UINT32_MAX,
	};
	uint32_t i = model_random_below(rnd, COUNT(values) + 1);

	return i < COUNT(values) ? values[i] :
				   model_random_below(rnd, UINT32_MAX);
}

static uint32_t random_register(uint64_t *rnd)
{
	static const uint32_t registers[] = {
		VIRTIO_MMIO_GUEST_PAGE_SIZE, VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_NUM,       VIRTIO_MMIO_QUEUE_ALIGN,
		VIRTIO_MMIO_QUEUE_PFN,       VIRTIO_MMIO_QUEUE_PFN,
		VIRTIO_MMIO_QUEUE_NOTIFY,    VIRTIO_MMIO_STATUS,
	};
	uint32_t i = model_random_below(rnd, COUNT(registers) + 1);

	return i < COUNT(registers) ? registers[i] :
				      4 * model_random_below(rnd, 0x120 / 4);
}

/* Any write in any order: the device is whole after the next reset. */
static void test_random_writes(void **state)
{
	unsigned int started = 0, broken = 0;
	struct model_blk m;
	uint64_t rnd = 7;

	(void)state;
	legacy_init(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int i = 0; i < 3000; i++) {
		for (unsigned int n = 0; n < 30; n++) {
			uint32_t at = random_register(&rnd);

			set(&m, at, random_value(&rnd));
			get(&m, at);
			model_serve(&m, n % 2);
			started += m.mem.rings != 0;
		}
		broken += (get(&m, VIRTIO_MMIO_STATUS) & NEEDS_RESET) != 0;
		set(&m, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
		model_blk_restart(&m);
		check_serves(&m);
	}
	/* The walk has been to both. */
	assert_in_range(started, 1000, 90000);
	assert_in_range(broken, 100, 2900);
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_on),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_modern_registers_do_nothing),
		cmocka_unit_test(test_other_sizes),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_queues_that_do_not_exist),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_legacy_types),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_use_before_driver_ok),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_queue_starts_again),
		cmocka_unit_test(test_queue_in_use_is_fixed),
		cmocka_unit_test(test_cache_mode),
		cmocka_unit_test(test_stable_writes),
		cmocka_unit_test(test_bad_places),
		cmocka_unit_test(test_pfn_first),
		cmocka_unit_test(test_random_writes),
	};

	return cmocka_run_group_tests_name("virtio_mmio_legacy", tests, NULL,
					   NULL);
}
