/* SPDX-License-Identifier: MIT */
/*
 * The virtqueue with a driver that breaks the rules. Every violation makes the
 * queue broken with a named error, for good, and touches nothing. At the end a
 * small model of the rules is held against the device for all chains of a ring
 * of two entries and for many random ones of four.
 *
 * The rules that both kinds of rings have are tested over both; those that only
 * a packed ring has are in virtio_packed.c.
 */
#include "lib/model_chain.h"
#include "lib/model_queue.h"

#define NEXT VRING_DESC_NEXT
#define WRITE VRING_DESC_WRITE
#define INDIRECT VRING_DESC_INDIRECT

/* The next pop fails with `error`, and every later one finds nothing. */
static void check_broken(struct model_queue *m, int error)
{
	const struct vring_desc good = { MODEL_DATA, 1, 0, 0 };
	struct virtq_chain chain;
	uint16_t in_flight = m->q.in_flight;

	assert_int_equal(virtqueue_pop(&m->q, &chain), error);
	assert_true(m->q.broken);
	assert_int_equal(m->q.in_flight, in_flight);
	model_raw(&m->ring, &good, 1);
	assert_int_equal(virtqueue_pop(&m->q, &chain), 0);
	assert_false(virtqueue_pending(&m->q));
	assert_false(virtqueue_notify_on(&m->q));
	model_memory_check_idle(&m->mem);
}

struct bad_ring {
	const char *what;
	struct vring_desc desc[4];
	int error;
	uint64_t features; /* without INDIRECT_DESC if 0 */
};

static const struct bad_ring bad_rings[] = {
	{ "readable after writable",
	  { { MODEL_DATA, 1, NEXT | WRITE, 1 }, { MODEL_DATA, 1, 0, 0 } },
	  -EPROTO,
	  0 },
	{ "indirect was not negotiated",
	  { { MODEL_TABLES, 16, INDIRECT, 0 } },
	  -EPROTO,
	  0 },
	{ "indirect and next",
	  { { MODEL_TABLES, 16, INDIRECT | NEXT, 1 } },
	  -EPROTO,
	  MODEL_BOTH },
	{ "table of no length",
	  { { MODEL_TABLES, 0, INDIRECT, 0 } },
	  -EPROTO,
	  MODEL_BOTH },
	{ "table of 8 bytes",
	  { { MODEL_TABLES, 8, INDIRECT, 0 } },
	  -EPROTO,
	  MODEL_BOTH },
	{ "table of 17 bytes",
	  { { MODEL_TABLES, 17, INDIRECT, 0 } },
	  -EPROTO,
	  MODEL_BOTH },
	{ "table of 31 bytes",
	  { { MODEL_TABLES, 31, INDIRECT, 0 } },
	  -EPROTO,
	  MODEL_BOTH },
	{ "table longer than the queue",
	  { { MODEL_TABLES, 80, INDIRECT, 0 } },
	  -E2BIG,
	  MODEL_BOTH },
	{ "table of nearly 4 GiB",
	  { { MODEL_TABLES, 0xfffffff0, INDIRECT, 0 } },
	  -E2BIG,
	  MODEL_BOTH },
	{ "table at 0", { { 0, 16, INDIRECT, 0 } }, -EFAULT, MODEL_BOTH },
	{ "table over the end of memory",
	  { { MODEL_END - 16, 32, INDIRECT, 0 } },
	  -EFAULT,
	  MODEL_BOTH },
	{ "table over the end of addresses",
	  { { UINT64_MAX - 8, 16, INDIRECT, 0 } },
	  -EFAULT,
	  MODEL_BOTH },
	{ "more than 4 GiB",
	  { { 0, 0xffffffff, NEXT, 1 }, { 0, 1, 0, 0 } },
	  -E2BIG,
	  0 },
	{ "more than 4 GiB, writable",
	  { { 0, 0x80000000, NEXT, 1 }, { 0, 0x80000000, WRITE, 0 } },
	  -E2BIG,
	  0 },
};

/* What only a split ring can get wrong, with its `next`. */
static const struct bad_ring bad_lists[] = {
	{ "loop of one", { { MODEL_DATA, 1, NEXT, 0 } }, -ELOOP, 0 },
	{ "loop of one, of no length", { { 0, 0, NEXT, 0 } }, -ELOOP, 0 },
	{ "loop of two",
	  { { MODEL_DATA, 1, NEXT, 1 }, { MODEL_DATA, 1, NEXT, 0 } },
	  -ELOOP,
	  0 },
	{ "loop of three",
	  { { MODEL_DATA, 1, NEXT, 1 },
	    { MODEL_DATA, 1, NEXT, 2 },
	    { MODEL_DATA, 1, NEXT, 0 } },
	  -ELOOP,
	  0 },
	{ "loop of four",
	  { { MODEL_DATA, 1, NEXT, 1 },
	    { MODEL_DATA, 1, NEXT, 2 },
	    { MODEL_DATA, 1, NEXT, 3 },
	    { MODEL_DATA, 1, NEXT, 0 } },
	  -ELOOP,
	  0 },
	{ "loop behind a tail",
	  { { MODEL_DATA, 1, NEXT, 1 },
	    { MODEL_DATA, 1, NEXT, 2 },
	    { MODEL_DATA, 1, NEXT, 1 } },
	  -ELOOP,
	  0 },
	{ "next is the size", { { MODEL_DATA, 1, NEXT, 4 } }, -ERANGE, 0 },
	{ "next is far", { { MODEL_DATA, 1, NEXT, 0xffff } }, -ERANGE, 0 },
};

static void check_bad_rings(const struct bad_ring *bad, size_t n,
			    uint64_t layout)
{
	for (; n; n--, bad++) {
		struct model_queue m;

		print_message("# %s\n", bad->what);
		model_queue_init(&m, 4, 4, bad->features | layout, 0);
		model_raw(&m.ring, bad->desc, 4);
		check_broken(&m, bad->error);
		model_queue_finish(&m);
	}
}

static void test_bad_descriptors(void **state)
{
	check_bad_rings(bad_rings, sizeof(bad_rings) / sizeof(*bad_rings),
			model_layout(state));
}

static void test_bad_lists(void **state)
{
	check_bad_rings(bad_lists, sizeof(bad_lists) / sizeof(*bad_lists),
			model_layout(state));
}

/* A loop of every length up to a full ring of 64. */
static void test_loops_of_every_length(void **state)
{
	struct model_queue m;

	(void)state;
	for (uint16_t n = 1; n <= 64; n++) {
		model_queue_init(&m, 64, 64, 0, 0);
		for (uint16_t i = 0; i < n; i++)
			model_desc(&m.ring, i, MODEL_DATA, 1, NEXT | WRITE,
				   (uint16_t)((i + 1) % n));
		model_avail(&m.ring, 0);
		check_broken(&m, -ELOOP);
		model_queue_finish(&m);
	}
}

struct bad_table {
	const char *what;
	struct vring_desc desc[4];
	unsigned int entries;
	int error;
};

static const struct bad_table bad_tables[] = {
	{ "readable after writable",
	  { { MODEL_DATA, 1, NEXT | WRITE, 1 }, { MODEL_DATA, 1, 0, 0 } },
	  2,
	  -EPROTO },
	{ "more than 4 GiB",
	  { { 0, 0xffffffff, NEXT, 1 }, { 0, 1, 0, 0 } },
	  2,
	  -E2BIG },
};

/* By the flags NEXT and INDIRECT, which a packed ring's table has not. */
static const struct bad_table bad_table_lists[] = {
	{ "loop of one", { { MODEL_DATA, 1, NEXT, 0 } }, 1, -ELOOP },
	{ "loop of four",
	  { { MODEL_DATA, 1, NEXT, 1 },
	    { MODEL_DATA, 1, NEXT, 2 },
	    { MODEL_DATA, 1, NEXT, 3 },
	    { MODEL_DATA, 1, NEXT, 0 } },
	  4,
	  -ELOOP },
	{ "next is the length", { { MODEL_DATA, 1, NEXT, 2 } }, 2, -ERANGE },
	{ "next is inside the queue, outside the table",
	  { { MODEL_DATA, 1, NEXT, 1 } },
	  1,
	  -ERANGE },
	{ "nested", { { MODEL_TABLES, 16, INDIRECT, 0 } }, 1, -EPROTO },
	{ "nested, second",
	  { { MODEL_DATA, 1, NEXT, 1 }, { MODEL_TABLES, 16, INDIRECT, 0 } },
	  2,
	  -EPROTO },
};

static void write_table(struct model_ring *ring, const struct vring_desc *d,
			unsigned int n)
{
	void *table = model_at(ring->mem, MODEL_TABLES, n * 16);
	struct vring_packed_desc *packed = table;

	if (!ring->packed) {
		memcpy(table, d, n * sizeof(*d));
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		packed[i] = (struct vring_packed_desc){
			.addr = d[i].addr,
			.len = d[i].len,
			.flags = d[i].flags,
		};
}

static void offer_table(struct model_queue *m, const struct bad_table *bad,
			uint64_t layout)
{
	const struct vring_desc pointing = {
		MODEL_TABLES,
		bad->entries * 16,
		INDIRECT,
		0,
	};

	print_message("# %s\n", bad->what);
	model_queue_init(m, 4, 4, layout | MODEL_BOTH, 0);
	write_table(&m->ring, bad->desc, 4);
	model_raw(&m->ring, &pointing, 1);
}

static void test_bad_tables(void **state)
{
	struct model_queue m;

	for (size_t i = 0; i < sizeof(bad_tables) / sizeof(*bad_tables); i++) {
		offer_table(&m, &bad_tables[i], model_layout(state));
		check_broken(&m, bad_tables[i].error);
		model_queue_finish(&m);
	}
}

static void test_bad_lists_in_tables(void **state)
{
	struct model_queue m;
	struct virtq_chain chain;

	for (size_t i = 0;
	     i < sizeof(bad_table_lists) / sizeof(*bad_table_lists); i++) {
		const struct bad_table *bad = &bad_table_lists[i];

		offer_table(&m, bad, model_layout(state));
		if (!m.ring.packed) {
			check_broken(&m, bad->error);
		} else {
			assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
			assert_in_range(chain.n, 1, bad->entries);
		}
		model_queue_finish(&m);
	}
}

/* Descriptors before a table count for the order and the sum as well. */
static void test_table_after_descriptors(void **state)
{
	const struct model_buf readable = { MODEL_DATA, 1, false };
	struct model_queue m;

	(void)state;
	model_queue_init(&m, 4, 4, MODEL_BOTH, 0);
	model_table(&m.ring, MODEL_TABLES, &readable, 1);
	model_desc(&m.ring, 0, MODEL_DATA, 1, NEXT | WRITE, 1);
	model_desc(&m.ring, 1, MODEL_TABLES, 16, INDIRECT, 0);
	model_avail(&m.ring, 0);
	check_broken(&m, -EPROTO);
	model_queue_finish(&m);

	model_queue_init(&m, 4, 4, MODEL_BOTH, 0);
	model_table(&m.ring, MODEL_TABLES, &readable, 1);
	model_desc(&m.ring, 0, MODEL_DATA, 0xffffffff, NEXT, 1);
	model_desc(&m.ring, 1, MODEL_TABLES, 16, INDIRECT, 0);
	model_avail(&m.ring, 0);
	check_broken(&m, -E2BIG);
	model_queue_finish(&m);
}

static void test_chain_of_4_gib_less_one(void **state)
{
	const struct vring_desc bufs[] = {
		{ 0, 0x80000000, NEXT, 1 },
		{ 0, 0x7fffffff, WRITE, 0 },
	};
	struct model_queue m;
	struct virtq_chain chain;

	model_queue_init(&m, 4, 4, model_layout(state), 0);
	model_raw(&m.ring, bufs, 2);
	assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
	assert_int_equal(chain.readable_bytes + chain.writable_bytes,
			 0xffffffffu);
	model_queue_finish(&m);
}

static void test_bad_heads(void **state)
{
	static const uint16_t heads[] = { 4, 5, 255, 256, 0x7fff, 0xffff };
	struct model_queue m;

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		model_queue_init(&m, 16, 4, 0, 0);
		model_avail(&m.ring, heads[i]);
		check_broken(&m, -ERANGE);
		model_queue_finish(&m);
	}
}

/* avail.idx is never further ahead than the ring is long, nor goes back. */
static void test_index_jumps(void **state)
{
	struct model_queue m;

	(void)state;
	for (uint32_t base = 0; base < 65536; base += 21845) {
		for (uint32_t jump = 5; jump < 65536; jump += 13) {
			model_queue_init(&m, 4, 4, 0, (uint16_t)base);
			m.ring.avail->idx = (uint16_t)(base + jump);
			check_broken(&m, -ERANGE);
			model_queue_finish(&m);
			if (jump > 100 && jump < 65400)
				jump += 997;
		}
	}
}

/* The same head again, while it is in flight and while it is not shown. */
static void test_head_in_flight(void **state)
{
	const struct vring_desc d = { MODEL_DATA, 16, 0, 0 };
	struct model_queue m;
	struct virtq_chain chain;

	for (int pushed = 0; pushed < 2; pushed++) {
		model_queue_init(&m, 4, 4, model_layout(state), 0);
		model_raw(&m.ring, &d, 1);
		assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
		if (pushed)
			virtqueue_push(&m.q, 0, 1);
		model_raw(&m.ring, &d, 1);
		check_broken(&m, -ERANGE);
		/* What was in flight is still answered. */
		if (!pushed)
			virtqueue_push(&m.q, 0, 1);
		assert_false(model_has_used(&m.ring));
		assert_true(virtqueue_publish(&m.q));
		assert_true(model_has_used(&m.ring));
		model_queue_finish(&m);
	}
}

/* Broken is for good, until the queue is stopped and started. */
static void test_restart_after_broken(void **state)
{
	const struct vring_desc bad = { MODEL_TABLES, 16, INDIRECT, 0 };
	struct model_queue m;

	model_queue_init(&m, 4, 4, model_layout(state), 0);
	model_raw(&m.ring, &bad, 1);
	check_broken(&m, -EPROTO);
	virtqueue_stop(&m.q);
	memset(m.inflight, 0, virtq_inflight_bytes(4, model_layout(state)));
	model_ring_reset(&m.ring, 0);
	model_queue_start(&m, model_layout(state), 0);
	model_pop(&m, model_offer_pair(&m.ring));
	model_queue_finish(&m);
}

/* ---- against a model of the rules ---------------------------------------- */

static void hold_against_model(struct model_queue *m, uint16_t head)
{
	const struct model_rules rules = { &m->mem, m->q.indirect,
					   m->q.size_max };
	static struct model_verdict v;
	struct virtq_chain chain;
	int r;

	model_judge_chain(&rules, &v, &m->ring, head);
	model_avail(&m->ring, head);
	r = virtqueue_pop(&m->q, &chain);
	assert_int_equal(r, v.result);
	if (r == 1) {
		assert_int_equal(chain.n, v.n);
		assert_int_equal(chain.readable_bytes, v.bytes[0]);
		assert_int_equal(chain.writable_bytes, v.bytes[1]);
		virtqueue_push(&m->q, head, 0);
		virtqueue_publish(&m->q);
	} else {
		m->ring.avail_next--;
		m->ring.avail->idx = m->ring.avail_next;
		m->q.broken = false;
	}
}

static const uint32_t model_lens[] = { 0,  1,   15,          16,
				       32, 512, 0x80000000u, 0xfffffff0u };

/* Choice `c` of a descriptor; returns the choices left over. */
static unsigned int choose(struct vring_desc *d, unsigned int c,
			   unsigned int size)
{
	d->len = model_lens[c % 8];
	c /= 8;
	d->flags = (uint16_t)(c % 8);
	c /= 8;
	d->next = (uint16_t)(c % (size + 1));
	c /= size + 1;
	d->addr = d->flags & INDIRECT ? MODEL_TABLES : MODEL_DATA;
	return c;
}

static void test_all_chains_of_two(void **state)
{
	const struct model_buf table[] = { { MODEL_DATA, 1, true },
					   { MODEL_DATA, 511, true } };

	(void)state;
	for (unsigned int features = 0; features < 2; features++) {
		struct model_queue m;

		model_queue_init(&m, 2, 2, features ? MODEL_BOTH : 0, 0);
		model_table(&m.ring, MODEL_TABLES, table, 2);
		for (unsigned int c = 0; c < 192 * 192; c++) {
			choose(&m.ring.desc[1], choose(&m.ring.desc[0], c, 2),
			       2);
			hold_against_model(&m, c & 1);
		}
		model_queue_finish(&m);
	}
}

static void test_random_chains_of_four(void **state)
{
	uint64_t rnd = 0x9e3779b97f4a7c15u;
	struct model_queue m;

	(void)state;
	model_queue_init(&m, 4, 4, MODEL_BOTH, 0);
	for (unsigned int round = 0; round < 5000000; round++) {
		struct vring_desc *table = model_at(&m.mem, MODEL_TABLES, 64);

		for (unsigned int i = 0; i < 4; i++) {
			choose(&m.ring.desc[i],
			       model_random_below(&rnd, 1 << 30), 4);
			choose(&table[i], model_random_below(&rnd, 1 << 30), 4);
		}
		if (round % 64 == 0)
			m.ring.desc[0].addr = model_random(&rnd);
		hold_against_model(&m, (uint16_t)(round & 3));
	}
	model_queue_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		model_test_both(test_bad_descriptors),
		model_test_split(test_bad_lists),
		cmocka_unit_test(test_loops_of_every_length),
		model_test_both(test_bad_tables),
		model_test_both(test_bad_lists_in_tables),
		cmocka_unit_test(test_table_after_descriptors),
		model_test_both(test_chain_of_4_gib_less_one),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_index_jumps),
		model_test_both(test_head_in_flight),
		model_test_both(test_restart_after_broken),
		cmocka_unit_test(test_all_chains_of_two),
		cmocka_unit_test(test_random_chains_of_four),
	};

	return cmocka_run_group_tests_name("virtio_queue_rules", tests, NULL,
					   NULL);
}
