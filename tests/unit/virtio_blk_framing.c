/* SPDX-License-Identifier: MIT */
/*
 * Framing: a request may be divided over descriptors in any way (section
 * 2.7.4.1), and guest memory may fall into pieces in any way. Every division
 * of small requests is held against the reference model: header split at every
 * byte, status alone or merged with the data, runts, empty descriptors, direct,
 * indirect and mixed chains. Chains without a header or without a status too.
 */
#include "lib/model_request.h"

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define GET_ID VIRTIO_BLK_T_GET_ID

enum {
	BUFS_MAX = 12,
	PARTS_MAX = 6,
};

/* A chain in the making; its two parts are contiguous in guest memory. */
struct frame {
	struct model_buf bufs[BUFS_MAX];
	unsigned int n;
	uint64_t at[2]; /* next address of each part */
};

static void frame_init(const struct model_blk *m, struct frame *f)
{
	f->n = 0;
	f->at[0] = m->heap + 40;
	f->at[1] = m->heap + 3 * MODEL_PAGE + 72;
}

static void add(struct frame *f, bool write, uint32_t bytes)
{
	assert_true(f->n < BUFS_MAX);
	f->bufs[f->n++] = (struct model_buf){ f->at[write], bytes, write };
	f->at[write] += bytes;
}

/* Divide `bytes` at the given places, which ascend. */
static void add_split(struct frame *f, bool write, uint32_t bytes,
		      const uint32_t *places, unsigned int n)
{
	uint32_t from = 0;

	for (unsigned int i = 0; i < n; i++) {
		add(f, write, places[i] - from);
		from = places[i];
	}
	add(f, write, bytes - from);
}

static void try_frame(struct model_blk *m, const struct frame *f,
		      unsigned int direct)
{
	const struct model_chain chain = { f->bufs, f->n };

	model_try(m, &chain, direct < f->n ? direct : f->n);
}

/* The header, filled in; written before the chain is offered. */
static void header(struct model_blk *m, uint32_t type, uint64_t sector)
{
	model_header(m, m->heap + 40, type, sector);
}

static const uint32_t all_types[] = { IN, OUT, FLUSH, GET_ID, 99 };

/* Header at every byte, data in the rest of the last readable descriptor. */
static void test_header_split_everywhere(void **state)
{
	struct model_blk m;
	struct frame f;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = 16 });
	for (uint32_t a = 0; a <= 16; a++) {
		for (uint32_t b = a; b <= 20; b++) {
			const uint32_t places[] = { a, b };

			header(&m, OUT, a);
			frame_init(&m, &f);
			add_split(&f, false, 16 + 512, places, 2);
			add(&f, true, 1);
			try_frame(&m, &f, b % 5);
			header(&m, IN, b);
			frame_init(&m, &f);
			add_split(&f, false, 16 + (b > 16 ? 4 : 0), places, 2);
			add(&f, true, 513);
			try_frame(&m, &f, a % 5);
		}
	}
	model_blk_finish(&m);
}

/* Data and status divided at every byte around each end. */
static void test_data_split_everywhere(void **state)
{
	struct model_blk m;
	struct frame f;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = 16 });
	for (uint32_t a = 0; a <= 513; a += a < 4 || a > 508 ? 1 : 31) {
		for (uint32_t b = a; b <= 513; b += b > 508 ? 1 : 101) {
			const uint32_t places[] = { a, b };

			header(&m, IN, a % 7);
			frame_init(&m, &f);
			add(&f, false, 16);
			add_split(&f, true, 513, places, 2);
			try_frame(&m, &f, a % 6);
			header(&m, OUT, b % 7);
			frame_init(&m, &f);
			add(&f, false, 16);
			add_split(&f, false, 512, places, b <= 512 ? 2 : 0);
			add(&f, true, 1);
			try_frame(&m, &f, b % 6);
		}
	}
	model_blk_finish(&m);
}

/* All ways to spread `bytes` over three descriptors, by cases. */
static const uint32_t spreads[][3] = {
	{ 0, 0, 0 },    { 1, 0, 0 },     { 0, 1, 0 },   { 0, 0, 1 },
	{ 15, 0, 0 },   { 8, 7, 0 },     { 0, 15, 1 },  { 16, 0, 0 },
	{ 1, 15, 0 },   { 5, 5, 6 },     { 0, 0, 16 },  { 17, 0, 0 },
	{ 16, 511, 0 }, { 16, 512, 0 },  { 528, 0, 0 }, { 16, 513, 0 },
	{ 15, 513, 0 }, { 16, 0, 1024 }, { 8, 8, 512 }, { 10, 518, 0 },
};

#define NSPREADS (sizeof(spreads) / sizeof(spreads[0]))

static void add_spread(struct frame *f, bool write, const uint32_t *lens)
{
	for (int i = 0; i < 3; i++)
		add(f, write, lens[i]);
}

/*
 * Each readable spread with each writable one and each type: no header, short
 * header, no status, runts, wrong lengths.
 */
static void all_spreads(struct model_setup setup, uint64_t piece)
{
	struct model_blk m;
	struct frame f;
	unsigned int count = 0;

	model_blk_start(&m, setup);
	m.mem.piece = piece;
	for (size_t r = 0; r < NSPREADS; r++) {
		for (size_t w = 0; w < NSPREADS; w++) {
			for (size_t t = 0; t < 5; t++) {
				header(&m, all_types[t], count % 9);
				frame_init(&m, &f);
				add_spread(&f, false, spreads[r]);
				add_spread(&f, true, spreads[w]);
				try_frame(&m, &f, count++ % 7);
			}
		}
	}
	model_blk_finish(&m);
}

static void test_all_spreads(void **state)
{
	(void)state;
	all_spreads((struct model_setup){ .queue_size = 16 }, 0);
	all_spreads((struct model_setup){ .queue_size = 16, .readonly = true },
		    0);
}

/* The same, with memory that falls into small pieces. */
static void test_all_spreads_in_pieces(void **state)
{
	(void)state;
	all_spreads((struct model_setup){ .queue_size = 64 }, 64);
	all_spreads((struct model_setup){ .queue_size = 64 }, 48);
	all_spreads((struct model_setup){ .queue_size = 128 }, 16);
}

/* Chains of one descriptor, of every length that matters, both ways. */
static void test_one_descriptor(void **state)
{
	struct model_blk m;
	struct frame f;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t bytes = 0; bytes < 600; bytes++) {
		for (int write = 0; write < 2; write++) {
			header(&m, IN, 0);
			frame_init(&m, &f);
			add(&f, write, bytes);
			try_frame(&m, &f, bytes % 2);
		}
	}
	model_blk_finish(&m);
}

/* A request of as many descriptors and pieces as there can be. */
static void test_longest_request(void **state)
{
	enum { N = 64 };
	static struct model_buf bufs[2 * N - 1];
	struct model_blk m;

	(void)state;
	for (uint32_t type = IN; type <= OUT; type++) {
		bool in = type == IN;
		unsigned int n = 0;
		struct model_chain chain = { bufs, 0 };

		model_blk_start(&m, (struct model_setup){ .queue_size = N,
							  .sectors = 1000 });
		header(&m, type, 1);
		bufs[n++] = (struct model_buf){ m.heap + 40, 16, false };
		while (n < 2 * N - 2) {
			bufs[n] = (struct model_buf){
				m.heap + MODEL_PAGE + n * 520, 512, in
			};
			n++;
		}
		bufs[n++] = (struct model_buf){ m.heap + 100, 1, true };
		chain.n = n;
		model_try(&m, &chain, N - 1);
		assert_int_equal(*model_byte(&m, m.heap + 100), 0);
		model_blk_finish(&m);
	}
}

/* Buffers of one chain that lie over each other harm the guest only. */
static void test_overlapping_buffers(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t shift = 0; shift <= 1024; shift++) {
		const struct model_buf bufs[] = {
			{ m.heap + 40, 16, false },
			{ m.heap + 40 - 512 + shift, 512, true },
			{ m.heap + 40 + shift % 600, 1, true },
		};
		const struct model_chain chain = { bufs, 3 };

		header(&m, IN, 3);
		model_try(&m, &chain, shift % 4);
	}
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_split_everywhere),
		cmocka_unit_test(test_data_split_everywhere),
		cmocka_unit_test(test_all_spreads),
		cmocka_unit_test(test_all_spreads_in_pieces),
		cmocka_unit_test(test_one_descriptor),
		cmocka_unit_test(test_longest_request),
		cmocka_unit_test(test_overlapping_buffers),
	};

	return cmocka_run_group_tests_name("virtio_blk_framing", tests, NULL,
					   NULL);
}
