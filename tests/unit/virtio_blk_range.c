/* SPDX-License-Identifier: MIT */
/*
 * DISCARD, WRITE_ZEROES and SECURE_ERASE: lists that are right and lists that
 * are not, one answer for all of a list, and what the engine is told of it.
 */
#include "lib/model_request.h"

#define DISCARD VIRTIO_BLK_T_DISCARD
#define ZEROES VIRTIO_BLK_T_WRITE_ZEROES
#define ERASE VIRTIO_BLK_T_SECURE_ERASE
#define UNMAP VIRTIO_BLK_SEGMENT_UNMAP
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint32_t types[] = { DISCARD, ZEROES, ERASE };

static const struct model_setup all = { .discard = true, .secure_erase = true };

static void write_list(struct model_blk *m, uint64_t at,
		       const struct virtio_blk_segment *list, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		*model_byte(m, at + i) = ((const uint8_t *)list)[i];
}

/* Try a list of `bytes`: the status. Everything else is model_try()'s. */
static uint8_t try_bytes(struct model_blk *m, uint32_t type,
			 const struct virtio_blk_segment *list, uint32_t bytes)
{
	const struct model_buf bufs[] = {
		{ m->heap, 16, false },
		{ m->heap + MODEL_PAGE, bytes, false },
		{ m->heap + 100, 1, true },
	};
	const struct model_chain chain = { bufs, 3 };

	model_header(m, m->heap, type, 0);
	*model_byte(m, m->heap + 100) = 0xee;
	write_list(m, m->heap + MODEL_PAGE, list, bytes);
	model_try(m, &chain, 3);
	return *model_byte(m, m->heap + 100);
}

static uint8_t try_list(struct model_blk *m, uint32_t type,
			const struct virtio_blk_segment *list, unsigned int n)
{
	return try_bytes(m, type, list, n * (uint32_t)sizeof(*list));
}

static uint8_t try_one(struct model_blk *m, uint32_t type, uint64_t sector,
		       uint32_t sectors, uint32_t flags)
{
	const struct virtio_blk_segment s = { sector, sectors, flags };

	return try_list(m, type, &s, 1);
}

/* One answer for the whole list, however long; the engine gets each range. */
static void test_lists(void **state)
{
	struct virtio_blk_segment list[32];
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (unsigned int i = 0; i < 32; i++)
		list[i] = (struct virtio_blk_segment){ i * 2, 1 + i % 3 % 2,
						       0 };
	for (size_t t = 0; t < COUNT(types); t++) {
		for (unsigned int n = 1; n <= 32; n++) {
			m.ranges = 0;
			assert_int_equal(try_list(&m, types[t], list, n),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(m.ranges, n);
		}
	}
	assert_int_equal(m.blk.queue[0].requests, 96);
	assert_int_equal(m.blk.queue[0].failed, 0);
	model_blk_finish(&m);
}

/* Ranges of no length are done by doing nothing, wherever they are. */
static void test_empty_ranges(void **state)
{
	static const struct virtio_blk_segment list[] = {
		{ 0, 0, 0 }, { 5, 2, 0 }, { MODEL_SECTORS, 0, 0 },
		{ 9, 0, 0 }, { 9, 1, 0 }, { 1, 0, 0 },
	};
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (size_t t = 0; t < COUNT(types); t++) {
		m.ranges = 0;
		assert_int_equal(try_list(&m, types[t], list, COUNT(list)),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(m.ranges, 2);
		assert_int_equal(try_list(&m, types[t], list, 1),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(m.ranges, 2);
		/* Nowhere is still outside of the disk. */
		assert_int_equal(try_one(&m, types[t], MODEL_SECTORS + 1, 0, 0),
				 VIRTIO_BLK_S_IOERR);
	}
	model_blk_finish(&m);
}

/* Clause 85: data that is no list, or is a longer one than was allowed. */
static void test_lengths(void **state)
{
	static const struct virtio_blk_segment list[40];
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (size_t t = 0; t < COUNT(types); t++) {
		for (uint32_t bytes = 0; bytes <= sizeof(list); bytes++) {
			bool ok = bytes && bytes % 16 == 0 && bytes <= 512;

			assert_int_equal(try_bytes(&m, types[t], list, bytes),
					 ok ? VIRTIO_BLK_S_OK :
					      VIRTIO_BLK_S_IOERR);
		}
	}
	model_blk_finish(&m);
}

/* Clause 85: nothing beyond the end, whatever the arithmetic. */
static void test_out_of_range(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors;
		bool ok;
	} cases[] = {
		{ 0, MODEL_SECTORS, true },
		{ 0, MODEL_SECTORS + 1, false },
		{ 1, MODEL_SECTORS, false },
		{ MODEL_SECTORS - 1, 1, true },
		{ MODEL_SECTORS - 1, 2, false },
		{ MODEL_SECTORS, 1, false },
		{ 0, UINT32_MAX, false },
		{ 1, UINT32_MAX, false },
		{ UINT32_MAX, 1, false },
		{ UINT64_C(1) << 55, 1, false }, /* times 512: 0 */
		{ (UINT64_C(1) << 55) + 1, 1, false },
		{ UINT64_C(1) << 63, 1, false },
		{ UINT64_MAX, 1, false },
		{ UINT64_MAX, 2, false },
		{ UINT64_MAX - 1, UINT32_MAX, false },
		{ UINT64_MAX - UINT32_MAX, UINT32_MAX, false },
		{ UINT64_MAX - UINT32_MAX + 1, UINT32_MAX, false },
	};
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (size_t t = 0; t < COUNT(types); t++) {
		for (size_t i = 0; i < COUNT(cases); i++) {
			uint8_t s = try_one(&m, types[t], cases[i].sector,
					    cases[i].sectors, 0);

			assert_int_equal(s, cases[i].ok ? VIRTIO_BLK_S_OK :
							  VIRTIO_BLK_S_IOERR);
		}
	}
	model_blk_finish(&m);
}

/*
 * Clause 85: no more sectors in a range than the configuration says; but
 * zeroes, for which there are drivers that do not look at it.
 */
static void test_limits(void **state)
{
	struct model_blk m;
	struct model_setup setup = all;

	(void)state;
	setup.sectors = (1 << 17) + 8;
	model_blk_start(&m, setup);
	assert_int_equal(m.blk.state->config.max_write_zeroes_sectors, 1 << 22);
	assert_int_equal(m.blk.state->config.max_discard_sectors, 1 << 22);
	assert_int_equal(m.blk.state->config.max_secure_erase_sectors, 1 << 22);
	assert_int_equal(try_one(&m, ZEROES, 3, 1 << 17, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(try_one(&m, ZEROES, 3, (1 << 17) + 1, 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(try_one(&m, DISCARD, 3, (1 << 17) + 1, 0),
			 VIRTIO_BLK_S_OK);
	/* Without a store behind, only to see what is refused. */
	assert_true(virtio_blk_resize(&m.blk, UINT64_C(1) << 42));
	for (size_t t = 0; t < COUNT(types); t++) {
		const bool zeroes = types[t] == ZEROES;
		const uint32_t max = zeroes ? UINT32_MAX : 1u << 22;

		for (uint32_t over = 0; over < 2u - zeroes; over++) {
			const struct virtio_blk_segment s = { 7, max + over,
							      0 };
			struct block_request *req;
			struct vring_used_elem elem;
			uint64_t status;

			status = model_request(&m, 0, m.heap, types[t], 0, 16);
			/* Its data is for the device to read. */
			write_list(&m, m.heap + 512, &s, sizeof(s));
			for (unsigned int i = 0; i < 8; i++)
				if (m.ring[0].desc[i].len == 16)
					m.ring[0].desc[i].flags &=
						(uint16_t)~VRING_DESC_WRITE;
			req = virtio_blk_pop(&m.blk.queue[0]);
			assert_int_equal(req == NULL, over);
			if (req) {
				assert_int_equal(req->length, max * 512ull);
				assert_true(virtio_blk_complete(req));
			}
			virtqueue_publish(&m.blk.queue[0].vq);
			assert_true(model_used(&m.ring[0], &elem));
			assert_int_equal(*model_byte(&m, status),
					 over ? VIRTIO_BLK_S_IOERR :
						VIRTIO_BLK_S_OK);
		}
	}
	model_blk_finish(&m);
}

/* Clauses 73 and 74: flags that are unknown, or of another type. */
static void test_flags_of_ranges(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (size_t t = 0; t < COUNT(types); t++) {
		for (unsigned int bit = 0; bit < 32; bit++) {
			bool ok = types[t] == ZEROES && bit == 0;

			assert_int_equal(
				try_one(&m, types[t], 1, 1, UINT32_C(1) << bit),
				ok ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP);
		}
		assert_int_equal(try_one(&m, types[t], 1, 0, 2),
				 VIRTIO_BLK_S_UNSUPP);
	}
	model_blk_finish(&m);
}

/* One wrong range anywhere in the list: nothing of it is done. */
static void test_one_wrong_range(void **state)
{
	struct virtio_blk_segment list[32];
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (unsigned int bad = 0; bad < 32; bad++) {
		for (unsigned int i = 0; i < 32; i++)
			list[i] = (struct virtio_blk_segment){ i, 1, 0 };
		list[bad].sector = MODEL_SECTORS;
		assert_int_equal(try_list(&m, ZEROES, list, 32),
				 VIRTIO_BLK_S_IOERR);
		/* UNSUPP wins, before or after. */
		list[31 - bad].flags = 2;
		assert_int_equal(try_list(&m, ZEROES, list, 32),
				 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(m.ranges, 0);
	}
	model_blk_finish(&m);
}

/* Clause 72: a disk that is read-only offers none of them and refuses all. */
static void test_readonly(void **state)
{
	struct model_setup setup = all;
	struct model_blk m;

	(void)state;
	setup.readonly = true;
	model_blk_start(&m, setup);
	assert_false(model_offered(&m.blk.dev) &
		     (VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD) |
		      VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES) |
		      VIRTIO_FEATURE(VIRTIO_BLK_F_SECURE_ERASE)));
	for (size_t t = 0; t < COUNT(types); t++)
		assert_int_equal(try_one(&m, types[t], 0, 1, 0),
				 VIRTIO_BLK_S_IOERR);
	assert_int_equal(m.ranges, 0);
	assert_int_equal(m.blk.queue[0].failed, 3);
	model_blk_finish(&m);
}

/* Not offered, or not accepted: as a type that is not known. */
static void test_not_negotiated(void **state)
{
	static const unsigned int bits[] = {
		VIRTIO_BLK_F_DISCARD,
		VIRTIO_BLK_F_WRITE_ZEROES,
		VIRTIO_BLK_F_SECURE_ERASE,
	};
	struct model_blk m;

	(void)state;
	for (size_t t = 0; t < COUNT(types); t++) {
		struct model_setup setup = all;

		setup.refused = VIRTIO_FEATURE(bits[t]);
		model_blk_start(&m, setup);
		for (size_t i = 0; i < COUNT(types); i++)
			assert_int_equal(try_one(&m, types[i], 2, 1, 0),
					 i == t ? VIRTIO_BLK_S_UNSUPP :
						  VIRTIO_BLK_S_OK);
		model_blk_finish(&m);
	}
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_int_equal(try_one(&m, DISCARD, 2, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(try_one(&m, ERASE, 2, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(try_one(&m, ZEROES, 2, 1, 0), VIRTIO_BLK_S_OK);
	model_blk_finish(&m);
}

/* Offer a list of three ranges with a status at the heap's byte 100. */
static struct block_request *pop_three(struct model_blk *m, uint32_t type)
{
	static const struct virtio_blk_segment list[] = {
		{ 1, 1, 0 },
		{ 10, 2, 0 },
		{ 20, 3, 0 },
	};
	const struct model_buf bufs[] = {
		{ m->heap, 16, false },
		{ m->heap + MODEL_PAGE, sizeof(list), false },
		{ m->heap + 100, 1, true },
	};
	struct block_request *req;

	model_header(m, m->heap, type, 0);
	*model_byte(m, m->heap + 100) = 0xee;
	write_list(m, m->heap + MODEL_PAGE, list, sizeof(list));
	model_offer(&m->ring[0], bufs, 3);
	req = virtio_blk_pop(&m->blk.queue[0]);
	assert_non_null(req);
	/* Copied once: what the guest writes now does not matter. */
	memset(model_byte(m, m->heap + MODEL_PAGE), 0xff, sizeof(list));
	return req;
}

static uint8_t last_status(struct model_blk *m)
{
	struct vring_used_elem elem;

	virtqueue_publish(&m->blk.queue[0].vq);
	assert_true(model_used(&m->ring[0], &elem));
	assert_int_equal(elem.len, 1);
	assert_false(model_used(&m->ring[0], &elem));
	return *model_byte(m, m->heap + 100);
}

/* The k-th range fails: that is the answer, and the rest is not begun. */
static void test_errors_of_the_engine(void **state)
{
	static const struct {
		int error;
		uint8_t status;
	} errors[] = {
		{ -EIO, VIRTIO_BLK_S_IOERR },
		{ -ENOSPC, VIRTIO_BLK_S_IOERR },
		{ -EINVAL, VIRTIO_BLK_S_IOERR },
		{ -EOPNOTSUPP, VIRTIO_BLK_S_UNSUPP },
	};
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	for (size_t e = 0; e < COUNT(errors); e++) {
		for (unsigned int k = 0; k < 3; k++) {
			struct block_request *req = pop_three(&m, DISCARD);

			for (unsigned int i = 0; i < k; i++) {
				req->result = 0;
				assert_false(virtio_blk_complete(req));
				assert_false(
					virtqueue_publish(&m.blk.queue[0].vq));
				assert_int_equal(m.ring[0].used->idx,
						 m.ring[0].used_seen);
			}
			req->result = errors[e].error;
			assert_true(virtio_blk_complete(req));
			assert_int_equal(last_status(&m), errors[e].status);
		}
	}
	assert_int_equal(m.blk.queue[0].failed, 12);
	assert_int_equal(m.blk.queue[0].requests, 12);
	model_blk_finish(&m);
}

/* What the engine sees of a list: one range after another, in order. */
static void test_ranges_of_a_list(void **state)
{
	static const uint64_t offset[] = { 512, 5120, 10240 };
	struct model_blk m;
	struct block_request *req;

	(void)state;
	model_blk_start(&m, all);
	req = pop_three(&m, ERASE);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(req->op, BLOCK_SECURE_ERASE);
		assert_int_equal(req->offset, offset[i]);
		assert_int_equal(req->length, (i + 1) * 512);
		assert_int_equal(req->niov, 0);
		req->result = 0;
		assert_int_equal(virtio_blk_complete(req), i == 2);
	}
	assert_int_equal(last_status(&m), VIRTIO_BLK_S_OK);
	/* The slot's next request is not taken for a list. */
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_FLUSH, 0, 0);
	assert_int_equal(model_serve(&m, 0), 1);
	model_blk_finish(&m);
}

/* A device that may not deallocate does not, whatever the driver allows. */
static void test_unmap(void **state)
{
	struct model_blk m;

	(void)state;
	for (unsigned int discard = 0; discard < 2; discard++) {
		model_blk_start(&m, (struct model_setup){ .discard = discard,
							  .pinnable = true });
		assert_int_equal(m.blk.state->config.write_zeroes_may_unmap,
				 discard);
		assert_int_equal(try_one(&m, ZEROES, 1, 1, UNMAP),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(m.range_flags, discard ? BLOCK_MAY_UNMAP : 0);
		assert_int_equal(try_one(&m, ZEROES, 1, 1, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(m.range_flags, 0);
		model_blk_finish(&m);
	}
}

/* Clause 77: zeroes of a driver that cannot flush are stable at once. */
static void test_stable(void **state)
{
	struct model_setup setup = all;
	struct model_blk m;

	(void)state;
	setup.pinnable = true;
	setup.refused = VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
			VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE);
	model_blk_start(&m, setup);
	assert_int_equal(try_one(&m, ZEROES, 1, 1, UNMAP), VIRTIO_BLK_S_OK);
	assert_int_equal(m.range_flags, BLOCK_STABLE | BLOCK_MAY_UNMAP);
	assert_int_equal(try_one(&m, DISCARD, 1, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(m.range_flags, 0);
	model_blk_finish(&m);
}

/* The list lies where it likes: with the header, or a byte per descriptor. */
static void test_framing(void **state)
{
	static const struct virtio_blk_segment list[] = {
		{ 1, 2, 0 },
		{ 30, 4, 1 },
	};
	const uint32_t total = 16 + sizeof(list);
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .discard = true,
						  .queue_size = 64 });
	for (uint32_t piece = 1; piece <= total; piece++) {
		struct model_buf bufs[64];
		struct model_chain chain = { bufs, 0 };

		model_header(&m, m.heap, ZEROES, 0);
		write_list(&m, m.heap + 16, list, sizeof(list));
		for (uint32_t at = 0; at < total; at += piece)
			bufs[chain.n++] = (struct model_buf){
				m.heap + at,
				at + piece > total ? total - at : piece, false
			};
		bufs[chain.n++] = (struct model_buf){ m.heap + 200, 1, true };
		m.ranges = 0;
		model_try(&m, &chain, chain.n);
		assert_int_equal(*model_byte(&m, m.heap + 200),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(m.ranges, 2);
	}
	model_blk_finish(&m);
}

static uint32_t random_state = 1;

static uint32_t rnd(uint32_t n)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % n;
}

/* Lists of any kind, against the slow opinion of model_request.h. */
static void test_any_list(void **state)
{
	struct virtio_blk_segment list[34];
	struct model_blk m;

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		unsigned int n = rnd(round % 8 ? 5 : 34);

		if (round % 100 == 0) {
			if (round)
				model_blk_finish(&m);
			model_blk_start(&m, (struct model_setup){
						    .discard = rnd(2),
						    .secure_erase = rnd(2),
						    .readonly = rnd(8) == 0,
						    .pinnable = rnd(2) });
		}
		for (unsigned int i = 0; i < n; i++)
			list[i] = (struct virtio_blk_segment){
				rnd(MODEL_SECTORS + 2), rnd(6),
				rnd(20) ? rnd(2) : 1u << rnd(32)
			};
		m.engine_fails = rnd(10) ? 0 : -EIO;
		try_bytes(&m, types[rnd(3)], list,
			  n * 16 + (rnd(20) ? 0 : rnd(16)));
	}
	model_blk_finish(&m);
}

/* The store shrinks: what is popped then is held against its new size. */
static void test_after_shrinking(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, all);
	assert_true(virtio_blk_resize(&m.blk, 32 * 512));
	m.setup.sectors = 32;
	for (size_t t = 0; t < COUNT(types); t++) {
		assert_int_equal(try_one(&m, types[t], 31, 1, 0),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(try_one(&m, types[t], 31, 2, 0),
				 VIRTIO_BLK_S_IOERR);
	}
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_empty_ranges),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_flags_of_ranges),
		cmocka_unit_test(test_one_wrong_range),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_not_negotiated),
		cmocka_unit_test(test_errors_of_the_engine),
		cmocka_unit_test(test_ranges_of_a_list),
		cmocka_unit_test(test_unmap),
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_any_list),
		cmocka_unit_test(test_after_shrinking),
	};

	return cmocka_run_group_tests_name("virtio_blk_range", tests, NULL,
					   NULL);
}
