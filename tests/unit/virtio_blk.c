/* SPDX-License-Identifier: MIT */
/*
 * Block requests as drivers make them: every type, lengths and sectors that are
 * allowed and those that are not, what the engine is told, and the totals.
 */
#include "lib/model_request.h"

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define GET_ID VIRTIO_BLK_T_GET_ID

/* Header and status at the heap, data in the pages after it. */
static void try_type(struct model_blk *m, uint32_t type, uint64_t sector,
		     uint32_t bytes)
{
	const struct model_buf bufs[] = {
		{ m->heap, 16, false },
		{ m->heap + MODEL_PAGE, bytes, type != OUT },
		{ m->heap + 100, 1, true },
	};
	const struct model_chain chain = { bufs, 3 };

	model_header(m, m->heap, type, sector);
	*model_byte(m, m->heap + 100) = 0xee;
	model_try(m, &chain, 3);
}

static uint8_t last_status(struct model_blk *m)
{
	return *model_byte(m, m->heap + 100);
}

static void fill(struct model_blk *m, uint64_t at, uint32_t bytes, uint8_t seed)
{
	for (uint32_t i = 0; i < bytes; i++)
		*model_byte(m, at + i) = (uint8_t)(seed + i * 3 + i / 256);
}

static void test_read_write_read(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t sectors = 1; sectors <= MODEL_SECTORS; sectors++) {
		uint64_t sector = MODEL_SECTORS - sectors;

		fill(&m, m.heap + MODEL_PAGE, sectors * 512, (uint8_t)sectors);
		try_type(&m, OUT, sector, sectors * 512);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
		assert_memory_equal(m.store + sector * 512,
				    model_byte(&m, m.heap + MODEL_PAGE),
				    sectors * 512);
		fill(&m, m.heap + MODEL_PAGE, sectors * 512, 0);
		try_type(&m, IN, sector, sectors * 512);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
	}
	assert_int_equal(m.blk.queue[0].requests, 2 * MODEL_SECTORS);
	assert_int_equal(m.blk.queue[0].failed, 0);
	model_blk_finish(&m);
}

/* Nothing beyond the end, whatever the arithmetic. */
static void test_sectors_out_of_range(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t bytes;
		bool ok;
	} cases[] = {
		{ 0, MODEL_SECTORS * 512, true },
		{ 0, (MODEL_SECTORS + 1) * 512, false },
		{ 1, MODEL_SECTORS * 512, false },
		{ MODEL_SECTORS - 1, 512, true },
		{ MODEL_SECTORS - 1, 1024, false },
		{ MODEL_SECTORS, 0, true },
		{ MODEL_SECTORS, 512, false },
		{ MODEL_SECTORS + 1, 0, false },
		{ MODEL_SECTORS + 1, 512, false },
		{ UINT32_MAX, 512, false },
		{ UINT64_C(1) << 32, 512, false },
		{ UINT64_C(1) << 55, 512, false }, /* times 512: 0 */
		{ (UINT64_C(1) << 55) + 1, 512, false },
		{ UINT64_C(1) << 63, 512, false },
		{ UINT64_MAX / 512, 1024, false },
		{ UINT64_MAX, 512, false },
		{ UINT64_MAX - 1, 1024, false },
	};
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (uint32_t type = IN; type <= OUT; type++) {
			try_type(&m, type, cases[i].sector, cases[i].bytes);
			assert_int_equal(last_status(&m) == VIRTIO_BLK_S_OK,
					 cases[i].ok);
		}
	}
	model_blk_finish(&m);
}

/* CVE-2011-1750: lengths that are no whole sectors. */
static void test_lengths(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t bytes = 0; bytes <= 1600; bytes++) {
		for (uint32_t type = IN; type <= OUT; type++) {
			try_type(&m, type, 3, bytes);
			assert_int_equal(last_status(&m) == VIRTIO_BLK_S_OK,
					 bytes % 512 == 0);
		}
	}
	model_blk_finish(&m);
}

/* Lengths that no guest memory has: answered, nothing touched. */
static void test_huge_lengths(void **state)
{
	static const uint32_t lengths[] = {
		0x10000000u, 0x7fffffffu, 0x80000000u, 0xfffffe00u, 0xffffffeeu,
	};
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (uint32_t type = IN; type <= OUT; type++) {
			try_type(&m, type, 0, lengths[i]);
			assert_int_equal(last_status(&m), VIRTIO_BLK_S_IOERR);
		}
	}
	model_blk_finish(&m);
}

/* More than 32 MiB of data, by naming the same pages many times. */
static void test_data_above_the_limit(void **state)
{
	enum { PIECE = 32 * MODEL_PAGE, N = 256 };
	static struct model_buf bufs[N + 3];
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = 512,
						  .sectors = 70000 });
	bufs[0] = (struct model_buf){ m.heap, 16, false };
	for (unsigned int i = 1; i <= N; i++)
		bufs[i] = (struct model_buf){ m.heap + MODEL_PAGE, PIECE,
					      false };
	for (unsigned int over = 0; over < 2; over++) {
		struct model_chain chain = { bufs, N + 2 + over };
		struct vring_used_elem elem;

		bufs[N + 1] = (struct model_buf){ m.heap + MODEL_PAGE, 512,
						  false };
		bufs[N + 1 + over] = (struct model_buf){ m.heap + 100, 1,
							 true };
		model_header(&m, m.heap, OUT, 0);
		model_offer(&m.ring[0], chain.bufs, chain.n);
		assert_int_equal(model_serve(&m, 0), !over);
		assert_true(model_used(&m.ring[0], &elem));
		assert_int_equal(last_status(&m),
				 over ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
	model_blk_finish(&m);
}

/* A read-only disk: whether or not the driver took the feature. */
static void test_readonly(void **state)
{
	struct model_blk m;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		model_blk_start(
			&m,
			(struct model_setup){
				.readonly = true,
				.refused = i ? VIRTIO_FEATURE(VIRTIO_BLK_F_RO) :
					       0 });
		assert_true(model_offered(&m.blk.dev) &
			    VIRTIO_FEATURE(VIRTIO_BLK_F_RO));
		try_type(&m, OUT, 0, 512);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_IOERR);
		try_type(&m, OUT, 0, 0);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_IOERR);
		try_type(&m, IN, 0, 512);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
		try_type(&m, FLUSH, 0, 0);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
		assert_int_equal(m.blk.queue[0].failed, 2);
		model_blk_finish(&m);
	}
}

/* What is not known is answered, whatever it carries. */
static void test_unknown_types(void **state)
{
	/* Those of zones, of lifetime, of ranges not offered among them. */
	static const uint32_t types[] = {
		2,       3,           5,           6,         7,  9,   10,
		11,      12,          14,          15,        16, 17,  18,
		20,      22,          24,          26,        27, 255, 256,
		0x10000, 0x80000000u, 0x80000001u, UINT32_MAX
	};
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		for (uint32_t bytes = 0; bytes <= 4096; bytes += 1024) {
			try_type(&m, types[i], 0, bytes);
			assert_int_equal(last_status(&m), VIRTIO_BLK_S_UNSUPP);
		}
	}
	model_blk_finish(&m);
}

/* Never more than there is room for, padded with NUL. */
static void test_get_id(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t room = 0; room <= 40; room++) {
		fill(&m, m.heap + MODEL_PAGE, 64, 0x55);
		try_type(&m, GET_ID, 0, room);
		assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
	}
	model_blk_finish(&m);
}

static void test_flush(void **state)
{
	struct model_blk m;
	struct block_request *req;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	try_type(&m, FLUSH, 0, 0);
	assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
	/* The sector means nothing, and neither does data. */
	try_type(&m, FLUSH, UINT64_MAX, 0);
	try_type(&m, FLUSH, 5, 4096);
	assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
	m.engine_fails = -EIO;
	try_type(&m, FLUSH, 0, 0);
	assert_int_equal(last_status(&m), VIRTIO_BLK_S_IOERR);
	model_request(&m, 0, m.heap, FLUSH, 0, 0);
	req = virtio_blk_pop(&m.blk.queue[0]);
	assert_non_null(req);
	assert_int_equal(req->op, BLOCK_FLUSH);
	assert_null(req->iov);
	assert_int_equal(req->offset, 0);
	model_run(&m, req);
	model_blk_finish(&m);
}

static void test_errors_of_the_engine(void **state)
{
	static const int errors[] = { -EIO,   -ENOSPC, -EFAULT, -EINVAL,
				      -EPERM, -EROFS,  -ENOMEM, -ETIMEDOUT };
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		m.engine_fails = errors[i];
		for (uint32_t type = IN; type <= OUT; type++) {
			try_type(&m, type, 2, 1024);
			assert_int_equal(last_status(&m), VIRTIO_BLK_S_IOERR);
		}
	}
	assert_int_equal(m.blk.queue[0].failed, 16);
	model_blk_finish(&m);
}

static void test_engine_without_the_operation(void **state)
{
	struct model_blk m;
	uint64_t status;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	m.engine_fails = -EOPNOTSUPP;
	status = model_request(&m, 0, m.heap, OUT, 0, 512);
	assert_int_equal(model_serve(&m, 0), 1);
	assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_UNSUPP);
	model_blk_finish(&m);
}

/* Offer a read or write always with the same head, so in the same slot. */
static void offer_in_first_slot(struct model_blk *m, uint32_t type)
{
	struct model_ring *ring = &m->ring[0];
	uint16_t in = type == IN ? VRING_DESC_WRITE : 0;

	model_header(m, m->heap, type, 0);
	model_desc(ring, 0, m->heap, 16, VRING_DESC_NEXT, 1);
	model_desc(ring, 1, m->heap + MODEL_PAGE, 512,
		   (uint16_t)(VRING_DESC_NEXT | in), 2);
	model_desc(ring, 2, m->heap + 100, 1, VRING_DESC_WRITE, 0);
	model_avail(ring, 0);
}

/* The flags of one write: a driver that cannot flush has stable ones. */
static uint8_t flags_of_write(struct model_setup setup)
{
	struct model_blk m;
	struct block_request *req;
	uint8_t flags;

	model_blk_start(&m, setup);
	/* A flag must not stay from the request that had the slot before. */
	for (int i = 0; i < 3; i++) {
		offer_in_first_slot(&m, i % 2 ? IN : OUT);
		req = virtio_blk_pop(&m.blk.queue[0]);
		assert_non_null(req);
		flags = req->flags;
		model_run(&m, req);
		virtqueue_publish(&m.blk.queue[0].vq);
		if (i % 2)
			assert_false(flags & BLOCK_STABLE);
	}
	model_blk_finish(&m);
	return flags;
}

static void test_flags(void **state)
{
	const uint64_t flush = VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH);

	(void)state;
	assert_int_equal(flags_of_write((struct model_setup){ 0 }),
			 BLOCK_UNPINNABLE);
	assert_int_equal(
		flags_of_write((struct model_setup){ .pinnable = true }), 0);
	assert_int_equal(flags_of_write((struct model_setup){
				 .pinnable = true, .refused = flush }),
			 BLOCK_STABLE);
	assert_int_equal(
		flags_of_write((struct model_setup){ .refused = flush }),
		BLOCK_STABLE | BLOCK_UNPINNABLE);
}

/* The ring is as long as the driver says. */
static void test_smaller_ring(void **state)
{
	(void)state;
	for (uint16_t size = 4; size <= 64; size = (uint16_t)(size * 2)) {
		struct model_blk m;

		model_blk_start(&m, (struct model_setup){ .queue_size = 64,
							  .ring_size = size });
		for (int i = 0; i < 200; i++)
			try_type(&m, i % 2 ? IN : OUT, 1, 512);
		model_blk_finish(&m);
	}
}

/* Queues of every size, all of them used at once. */
static void serve_all_queues(unsigned int nqueues, uint16_t size)
{
	struct model_blk m;

	model_blk_start(&m, (struct model_setup){ .nqueues = nqueues,
						  .queue_size = size });
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int q = 0; q < nqueues; q++) {
			const struct model_buf bufs[] = {
				{ m.heap + q * 1024, 16, false },
				{ m.heap + q * 1024 + 100, 513, true },
			};
			struct vring_used_elem elem;

			model_header(&m, bufs[0].addr, IN, q);
			model_offer(&m.ring[q], bufs, 2);
			assert_int_equal(model_serve(&m, q), 1);
			assert_memory_equal(model_byte(&m, bufs[1].addr),
					    m.store + q * 512, 512);
			assert_true(model_used(&m.ring[q], &elem));
			assert_int_equal(elem.len, 513);
		}
	}
	model_blk_finish(&m);
}

static void test_many_queues(void **state)
{
	(void)state;
	for (uint16_t size = 2; size <= 256; size = (uint16_t)(size * 2))
		for (unsigned int n = 1; n <= VIRTIO_QUEUES_MAX; n += 5)
			serve_all_queues(n, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write_read),
		cmocka_unit_test(test_sectors_out_of_range),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_huge_lengths),
		cmocka_unit_test(test_data_above_the_limit),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_get_id),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_errors_of_the_engine),
		cmocka_unit_test(test_engine_without_the_operation),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_smaller_ring),
		cmocka_unit_test(test_many_queues),
	};

	return cmocka_run_group_tests_name("virtio_blk", tests, NULL, NULL);
}
