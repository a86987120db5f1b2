/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_blk.h"

const char model_serial[VIRTIO_BLK_ID_BYTES] = "serial-0123456789-ab";

static void *model_alloc(size_t bytes)
{
	void *p = NULL;

	/* Exactly as long as asked for, so that ASan sees what is beyond. */
	assert_int_equal(posix_memalign(&p, MODEL_PAGE, bytes), 0);
	memset(p, 0, bytes);
	return p;
}

static void model_setup_defaults(struct model_setup *s)
{
	if (!s->nqueues)
		s->nqueues = 1;
	if (!s->queue_size)
		s->queue_size = 8;
	if (!s->ring_size)
		s->ring_size = s->queue_size;
	if (!s->sectors)
		s->sectors = MODEL_SECTORS;
	if (!s->pages)
		s->pages = MODEL_BLK_PAGES;
}

static void model_rings_init(struct model_blk *m)
{
	const uint64_t align = m->setup.legacy ? MODEL_PAGE : 4;
	uint64_t at = MODEL_BASE;

	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		at = model_ring_place(&m->ring[i], &m->mem,
				      (at + align - 1) & ~(align - 1),
				      m->setup.ring_size, m->setup.packed,
				      align);
	m->heap = (at + MODEL_PAGE - 1) & ~(uint64_t)(MODEL_PAGE - 1);
}

static void model_store_init(struct model_blk *m)
{
	m->store_bytes = m->setup.sectors * VIRTIO_BLK_SECTOR_SIZE;
	m->store = malloc(m->store_bytes);
	m->shadow_store = malloc(m->store_bytes);
	m->shadow = malloc(m->mem.size);
	assert_non_null(m->store);
	assert_non_null(m->shadow_store);
	assert_non_null(m->shadow);
	for (uint64_t i = 0; i < m->store_bytes; i++)
		m->store[i] = (uint8_t)(i * 7 + i / 512);
	memcpy(m->shadow_store, m->store, m->store_bytes);
}

void model_blk_init(struct model_blk *m, struct model_setup setup)
{
	struct virtio_blk_options options = { .block_size = 512 };

	memset(m, 0, sizeof(*m));
	model_setup_defaults(&setup);
	m->setup = setup;
	model_memory_init(&m->mem, (uint64_t)setup.pages * MODEL_PAGE);
	m->mem.memory.pinnable = setup.pinnable;
	if (setup.windows)
		model_memory_windows(&m->mem);
	model_rings_init(m);
	model_store_init(m);
	options.size = m->store_bytes;
	options.readonly = setup.readonly;
	options.write_through = setup.write_through;
	options.discard = setup.discard;
	options.secure_erase = setup.secure_erase;
	options.nqueues = setup.nqueues;
	options.queue_size = setup.queue_size;
	options.packed = setup.packed;
	options.legacy = setup.legacy;
	memcpy(options.serial, model_serial, sizeof(options.serial));
	m->memory = model_alloc(virtio_blk_memory_bytes(&options));
	m->state = model_alloc(virtio_blk_state_bytes(&options));
	m->options = options;
	memset(&m->blk, MODEL_POISON, sizeof(m->blk));
	virtio_blk_init(&m->blk, &options, m->memory, m->state, &m->mem.memory);
	virtio_mmio_offer(&m->blk.dev, MODEL_WINDOW, MODEL_IRQ);
	/* What the device has not written itself must reach nobody. */
	memset(m->memory, MODEL_POISON, virtio_blk_memory_bytes(&options));
}

void model_legacy_drive(struct model_blk *m)
{
	struct virtio_device *dev = &m->blk.dev;

	if (!dev->state->guest_page_size)
		model_set(dev, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0), VIRTIO_DONE);
	model_legacy_features(dev, model_offered(dev) & ~m->setup.refused);
	for (unsigned int i = 0; i < m->setup.nqueues; i++) {
		model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_PFN), 0);
		model_legacy_set_queue(dev, i, &m->ring[i]);
	}
}

static void model_modern_drive(struct model_blk *m)
{
	struct virtio_device *dev = &m->blk.dev;

	assert_true(
		model_negotiate(dev, model_offered(dev) & ~m->setup.refused));
	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		model_set_queue(dev, i, &m->ring[i]);
}

void model_blk_drive(struct model_blk *m)
{
	struct virtio_device *dev = &m->blk.dev;

	if (m->setup.legacy)
		model_legacy_drive(m);
	else
		model_modern_drive(m);
	model_driver_ok(dev);
	assert_true(virtio_device_live(dev));
}

void model_blk_start(struct model_blk *m, struct model_setup setup)
{
	model_blk_init(m, setup);
	model_blk_drive(m);
}

void model_blk_restart(struct model_blk *m)
{
	assert_int_equal(model_set(&m->blk.dev, VIRTIO_MMIO_STATUS, 0),
			 VIRTIO_DONE);
	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		model_ring_reset(&m->ring[i], 0);
	model_blk_drive(m);
}

void model_blk_finish(struct model_blk *m)
{
	virtio_device_stop(&m->blk.dev);
	model_memory_finish(&m->mem);
	free(m->memory);
	free(m->state);
	free(m->store);
	free(m->shadow_store);
	free(m->shadow);
}

/* ---- the engine ---------------------------------------------------------- */

uint8_t model_range_byte(uint8_t op)
{
	if (op == BLOCK_WRITE_ZEROES)
		return 0;
	return op == BLOCK_DISCARD ? 0xdd : 0x5e;
}

static bool model_is_range(uint8_t op)
{
	return op == BLOCK_DISCARD || op == BLOCK_WRITE_ZEROES ||
	       op == BLOCK_SECURE_ERASE;
}

void model_move(struct model_blk *m, const struct block_request *req)
{
	uint8_t *at = m->store + req->offset;

	if (model_is_range(req->op)) {
		memset(at, model_range_byte(req->op), req->length);
		m->ranges++;
		m->range_flags = req->flags;
	}

	for (uint32_t i = 0; i < req->niov; i++) {
		const struct virtio_iov *iov = &req->iov[i];
		uint8_t *memory = model_ours(&m->mem, iov->base);

		if (req->op == BLOCK_READ)
			memcpy(memory, at, iov->len);
		else
			memcpy(at, memory, iov->len);
		at += iov->len;
	}
}

void model_check_block(const struct model_blk *m,
		       const struct block_request *req)
{
	uint64_t bytes = 0;
	bool flush = req->op == BLOCK_FLUSH;

	assert_true(req->op == BLOCK_READ || req->op == BLOCK_WRITE || flush ||
		    model_is_range(req->op));
	for (uint32_t i = 0; i < req->niov; i++) {
		assert_true(req->iov[i].len > 0);
		bytes += req->iov[i].len;
	}
	if (model_is_range(req->op)) {
		assert_int_equal(req->niov, 0);
		bytes = req->length;
	}
	assert_int_equal(bytes, req->length);
	assert_int_equal(bytes % VIRTIO_BLK_SECTOR_SIZE, 0);
	assert_int_equal(req->offset % VIRTIO_BLK_SECTOR_SIZE, 0);
	assert_true(req->length <= m->store_bytes);
	assert_true(req->offset <= m->store_bytes - req->length);
	assert_int_equal(bytes == 0, flush);
	assert_int_equal(req->result, 0);
	assert_int_equal(!(req->flags & BLOCK_UNPINNABLE), m->setup.pinnable);
	if (m->setup.readonly)
		assert_true(req->op == BLOCK_READ || flush);
	if (req->op != BLOCK_WRITE && req->op != BLOCK_WRITE_ZEROES)
		assert_false(req->flags & BLOCK_STABLE);
}

void model_run(struct model_blk *m, struct block_request *req)
{
	do {
		model_check_block(m, req);
		req->result = m->engine_fails;
		if (!req->result)
			model_move(m, req);
	} while (!virtio_blk_complete(req));
}

unsigned int model_serve(struct model_blk *m, unsigned int queue)
{
	struct virtio_blk_queue *bq = &m->blk.queue[queue];
	struct block_request *req;
	unsigned int n = 0;

	while ((req = virtio_blk_pop(bq))) {
		assert_ptr_equal(virtio_blk_queue_of(req), bq);
		model_run(m, req);
		n++;
	}
	virtqueue_publish(&bq->vq);
	return n;
}

/* ---- requests ------------------------------------------------------------ */

void model_header(struct model_blk *m, uint64_t at, uint32_t type,
		  uint64_t sector)
{
	struct virtio_blk_header header = { .type = type, .sector = sector };
	void *p = model_at(&m->mem, at, sizeof(header));

	assert_non_null(p);
	memcpy(p, &header, sizeof(header));
}

uint8_t *model_byte(struct model_blk *m, uint64_t at)
{
	uint8_t *p = model_at(&m->mem, at, 1);

	assert_non_null(p);
	return p;
}

uint64_t model_request(struct model_blk *m, unsigned int queue, uint64_t at,
		       uint32_t type, uint64_t sector, uint32_t bytes)
{
	const uint64_t data = at + 512, status = data + bytes;
	const struct model_buf bufs[] = {
		{ at, 16, false },
		{ data, bytes, type != VIRTIO_BLK_T_OUT },
		{ status, 1, true },
	};

	model_header(m, at, type, sector);
	*model_byte(m, status) = 0xee;
	model_offer(&m->ring[queue], bufs, 3);
	return status;
}
