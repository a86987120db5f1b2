/* SPDX-License-Identifier: MIT */
/*
 * The virtqueue with a driver that keeps the rules: what is popped is what was
 * offered, used elements, the one store that shows a batch, notifications with
 * and without EVENT_IDX, and the wrap of the positions. All of it over split
 * and packed rings, unless the test is about one of them.
 */
#include "lib/model_queue.h"

static void check_chain(const struct virtq_chain *chain,
			const struct model_buf *bufs, unsigned int n)
{
	unsigned int k = 0;
	uint64_t bytes[2] = { 0, 0 };

	for (unsigned int i = 0; i < n; i++) {
		bytes[bufs[i].write] += bufs[i].len;
		if (bufs[i].len == 0)
			continue;
		assert_true(k < chain->n);
		assert_int_equal(chain->ranges[k].addr, bufs[i].addr);
		assert_int_equal(chain->ranges[k].len, bufs[i].len);
		assert_int_equal(k < chain->readable, !bufs[i].write);
		k++;
	}
	assert_int_equal(chain->n, k);
	assert_int_equal(chain->readable_bytes, bytes[0]);
	assert_int_equal(chain->writable_bytes, bytes[1]);
}

static void test_empty(void **state)
{
	struct model_queue m;
	struct virtq_chain chain;

	model_queue_init(&m, 8, 8, model_layout(state), 0);
	assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
	assert_false(virtqueue_pending(&m.q));
	assert_false(virtqueue_publish(&m.q));
	assert_false(model_has_used(&m.ring));
	assert_false(m.q.broken);
	model_queue_finish(&m);
}

static void test_pop_gives_what_was_offered(void **state)
{
	const struct model_buf bufs[] = {
		{ MODEL_DATA, 16, false },
		{ MODEL_DATA + 512, 0, false },
		{ 0, 4096, false },
		{ MODEL_DATA + 1024, 512, true },
		{ UINT64_MAX - 5, 3, true },
		{ MODEL_DATA, 0, true },
		{ MODEL_DATA + 2048, 1, true },
	};
	struct model_queue m;
	struct virtq_chain chain;

	model_queue_init(&m, 8, 8, model_layout(state), 0);
	model_offer(&m.ring, bufs, 7);
	assert_true(virtqueue_pending(&m.q));
	assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
	check_chain(&chain, bufs, 7);
	assert_false(virtqueue_pending(&m.q));
	model_queue_finish(&m);
}

/*
 * Every division of a chain into direct descriptors and an indirect table; in a
 * packed ring it is one or the other.
 */
static void test_indirect_and_mixed(void **state)
{
	const struct model_buf bufs[] = {
		{ MODEL_DATA, 7, false },
		{ MODEL_DATA + 64, 9, false },
		{ MODEL_DATA + 128, 512, true },
		{ MODEL_DATA + 1024, 1, true },
	};

	for (uint64_t piece = 0; piece <= 64; piece += 16) {
		struct model_queue m;
		struct virtq_chain chain;
		struct vring_used_elem elem;

		model_queue_init(&m, 8, 8, model_layout(state) | MODEL_BOTH, 0);
		m.mem.piece = piece;
		for (unsigned int direct = 0; direct <= 4; direct++) {
			uint16_t head;

			if (m.ring.packed && direct % 4)
				continue;
			head = model_offer_mixed(&m.ring, bufs, direct, 4,
						 MODEL_TABLES);
			assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
			assert_int_equal(chain.head, head);
			check_chain(&chain, bufs, 4);
			virtqueue_push(&m.q, head, 0);
			virtqueue_publish(&m.q);
			assert_true(model_used(&m.ring, &elem));
			model_memory_check_idle(&m.mem);
		}
		model_queue_finish(&m);
	}
}

/*
 * Sections 2.7.5.3.2 and 2.8.7: WRITE means nothing on the descriptor of a
 * table.
 */
static void test_write_flag_of_table_is_ignored(void **state)
{
	const struct model_buf bufs[] = { { MODEL_DATA, 16, false } };
	struct model_queue m;
	struct virtq_chain chain;
	const struct vring_desc pointing = {
		MODEL_TABLES,
		16,
		VRING_DESC_INDIRECT | VRING_DESC_WRITE,
		0,
	};

	model_queue_init(&m, 8, 8, model_layout(state) | MODEL_BOTH, 0);
	model_table(&m.ring, MODEL_TABLES, bufs, 1);
	model_raw(&m.ring, &pointing, 1);
	assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
	check_chain(&chain, bufs, 1);
	model_queue_finish(&m);
}

/*
 * As long as a chain may be: a full ring; a full table, in a split ring after
 * descriptors.
 */
static void test_longest_chains(void **state)
{
	struct model_buf bufs[15];
	struct model_queue m;
	struct vring_used_elem elem;
	struct virtq_chain chain;
	unsigned int direct;

	for (unsigned int i = 0; i < 15; i++)
		bufs[i] = (struct model_buf){ MODEL_DATA + 16 * i, 16, i > 6 };
	model_queue_init(&m, 8, 8, model_layout(state) | MODEL_BOTH, 0);
	model_offer(&m.ring, bufs, 8);
	assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
	check_chain(&chain, bufs, 8);
	virtqueue_push(&m.q, chain.head, 0);
	virtqueue_publish(&m.q);
	assert_true(model_used(&m.ring, &elem));
	direct = m.ring.packed ? 0 : 7;
	model_offer_mixed(&m.ring, bufs, direct, direct + 8, MODEL_TABLES);
	assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
	check_chain(&chain, bufs, direct + 8);
	model_queue_finish(&m);
}

static void test_batch_is_shown_by_publish(void **state)
{
	struct model_queue m;
	struct vring_used_elem elem;
	uint16_t head[2];

	model_queue_init(&m, 8, 4, model_layout(state), 0);
	for (int i = 0; i < 2; i++)
		head[i] = model_offer_pair(&m.ring);
	for (int i = 0; i < 2; i++)
		model_pop(&m, head[i]);
	/* Out of order, as completions come. */
	virtqueue_push(&m.q, head[1], 17);
	virtqueue_push(&m.q, head[0], 4);
	assert_false(model_has_used(&m.ring));
	assert_true(virtqueue_publish(&m.q));
	assert_true(model_used(&m.ring, &elem));
	assert_int_equal(elem.id, head[1]);
	assert_int_equal(elem.len, 17);
	assert_true(model_used(&m.ring, &elem));
	assert_int_equal(elem.id, head[0]);
	assert_int_equal(elem.len, 4);
	assert_false(model_has_used(&m.ring));
	assert_int_equal(m.q.notifications, 1);
	assert_false(virtqueue_publish(&m.q));
	model_queue_finish(&m);
}

/* Used.idx is never read back. */
static void test_used_index_of_the_guest_is_ignored(void **state)
{
	struct model_queue m;

	(void)state;
	model_queue_init(&m, 4, 4, 0, 0);
	for (uint16_t i = 0; i < 20; i++) {
		uint16_t head = model_offer_pair(&m.ring);
		struct vring_used_elem elem;

		model_pop(&m, head);
		m.ring.used->idx = (uint16_t)(i * 1000u);
		virtqueue_push(&m.q, head, 1);
		virtqueue_publish(&m.q);
		assert_int_equal(m.ring.used->idx, i + 1);
		assert_true(model_used(&m.ring, &elem));
		assert_int_equal(elem.id, head);
	}
	model_queue_finish(&m);
}

static void test_unpop(void **state)
{
	struct model_queue m;
	struct virtq_chain chain;
	uint16_t head[2];

	model_queue_init(&m, 4, 4, model_layout(state), 0);
	for (int i = 0; i < 2; i++)
		head[i] = model_offer_pair(&m.ring);
	model_pop(&m, head[0]);
	virtqueue_unpop(&m.q, head[0]);
	assert_true(m.q.starved);
	assert_int_equal(m.q.in_flight, 0);
	assert_int_equal(model_inflight(&m), 0);
	assert_true(virtqueue_pending(&m.q));
	for (int i = 0; i < 2; i++)
		model_pop(&m, head[i]);
	assert_false(m.q.starved);
	assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
	model_queue_finish(&m);
}

/* No room for the table now: the chain stays on the ring, and nothing leaks. */
static void test_starved_by_a_table(void **state)
{
	const struct model_buf bufs[] = { { MODEL_DATA, 16, false } };
	struct model_queue m;
	struct virtq_chain chain;
	uint16_t head;

	model_queue_init(&m, 4, 4, model_layout(state) | MODEL_BOTH, 0);
	head = model_offer_mixed(&m.ring, bufs, 0, 1, MODEL_TABLES);
	m.mem.fail_at = 1;
	m.mem.fail_calls = 3;
	m.mem.fail_with = -EAGAIN;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
		assert_true(m.q.starved);
		assert_false(m.q.broken);
		assert_int_equal(m.q.in_flight, 0);
	}
	model_pop(&m, head);
	assert_false(m.q.starved);
	model_queue_finish(&m);
}

/* Section 2.7.7: without EVENT_IDX a flag decides, the position does not. */
static void test_notify_by_flag(void **state)
{
	struct model_queue m;

	model_queue_init(&m, 4, 4, model_layout(state), 0);
	for (unsigned int i = 0; i < 64; i++) {
		bool wanted = i % 3;
		uint16_t head = model_offer_pair(&m.ring);
		struct vring_used_elem elem;

		model_want_at(&m.ring, (uint16_t)(i * 7u));
		model_want(&m.ring, wanted);
		model_pop(&m, head);
		virtqueue_push(&m.q, head, 1);
		assert_int_equal(virtqueue_publish(&m.q), wanted);
		assert_true(model_used(&m.ring, &elem));
	}
	assert_int_equal(m.q.notifications, 42);
	model_queue_finish(&m);
}

/* Whether a batch of `n` at `base` notifies a driver that waits for `event`. */
static bool notifies(uint64_t layout, uint16_t base, unsigned int n,
		     uint16_t event)
{
	const struct model_buf buf = { MODEL_DATA, 1, false };
	struct model_queue m;
	struct virtq_chain chain;
	struct vring_used_elem elem;
	bool notify;

	model_queue_init(&m, 4, 4, layout | MODEL_BOTH, base);
	model_want(&m.ring, false); /* means nothing here */
	model_want_at(&m.ring, event);
	for (unsigned int i = 0; i < n; i++)
		model_offer(&m.ring, &buf, 1);
	while (virtqueue_pop(&m.q, &chain) == 1)
		virtqueue_push(&m.q, chain.head, 0);
	notify = virtqueue_publish(&m.q);
	while (n--)
		assert_true(model_used(&m.ring, &elem));
	assert_false(model_has_used(&m.ring));
	assert_false(model_kicks_off(&m.ring));
	model_queue_finish(&m);
	return notify;
}

/*
 * Every event around every batch, with positions about to wrap. A packed ring's
 * can say positions of this round and of the one before.
 */
static void test_notify_by_event_index(void **state)
{
	static const uint16_t bases[] = { 0, 100, 65531, 65535 };

	for (unsigned int b = 0; b < 4; b++)
		for (int n = 1; n <= 4; n++)
			for (int event = -3; event <= 4; event++)
				assert_int_equal(
					notifies(model_layout(state), bases[b],
						 (unsigned int)n,
						 (uint16_t)(bases[b] + event)),
					event >= 0 && event < n);
}

static void test_kicks_off_and_on_by_flag(void **state)
{
	struct model_queue m;

	model_queue_init(&m, 4, 4, model_layout(state), 0);
	virtqueue_notify_off(&m.q);
	assert_true(model_kicks_off(&m.ring));
	assert_false(virtqueue_notify_on(&m.q));
	assert_false(model_kicks_off(&m.ring));
	virtqueue_notify_off(&m.q);
	model_offer_pair(&m.ring);
	/* A chain that came in between is told. */
	assert_true(virtqueue_notify_on(&m.q));
	if (!m.ring.packed)
		assert_int_equal(*model_avail_event(&m.ring), 0);
	model_queue_finish(&m);
}

static void test_kicks_off_and_on_by_event_index(void **state)
{
	const struct model_buf buf = { MODEL_DATA, 1, false };
	struct model_queue m;

	model_queue_init(&m, 4, 4, model_layout(state) | MODEL_BOTH, 65534);
	virtqueue_notify_off(&m.q);
	assert_false(virtqueue_notify_on(&m.q));
	assert_true(model_kick_at(&m.ring, 65534));
	for (int i = 0; i < 2; i++)
		model_pop(&m, model_offer(&m.ring, &buf, 1));
	/* Off: what was written before is behind the driver now. */
	virtqueue_notify_off(&m.q);
	assert_true(model_kick_at(&m.ring, 65534));
	assert_false(virtqueue_notify_on(&m.q));
	assert_true(model_kick_at(&m.ring, 0));
	model_offer_pair(&m.ring);
	assert_true(virtqueue_notify_on(&m.q));
	model_queue_finish(&m);
}

/* Positions run over 16 bits more than once, some chains always in flight. */
static void run_wrap(uint64_t features)
{
	struct model_queue m;
	struct vring_used_elem elem;
	uint16_t waiting[3];
	uint64_t rnd = 88172645463325252u;

	model_queue_init(&m, 16, 8, features, 0);
	for (int i = 0; i < 3; i++) {
		waiting[i] = model_offer_pair(&m.ring);
		model_pop(&m, waiting[i]);
	}
	for (uint32_t n = 0; n < 150000; n++) {
		unsigned int i = model_random_below(&rnd, 3);

		model_want_at(&m.ring, m.ring.used_seen);
		virtqueue_push(&m.q, waiting[i], n);
		assert_true(virtqueue_publish(&m.q));
		assert_true(model_used(&m.ring, &elem));
		assert_int_equal(elem.id, waiting[i]);
		assert_int_equal(elem.len, n);
		waiting[i] = model_offer_pair(&m.ring);
		model_pop(&m, waiting[i]);
		assert_int_equal(m.q.in_flight, 3);
	}
	model_queue_finish(&m);
}

static void test_positions_wrap(void **state)
{
	run_wrap(model_layout(state));
	run_wrap(model_layout(state) | MODEL_BOTH);
}

static int start_with(struct model_queue *m, const struct virtq_rings *rings,
		      uint16_t size, uint64_t features)
{
	return virtqueue_start(&m->q, rings, size, features,
			       virtqueue_fresh_base(features), m->inflight);
}

static void refuses_alignment(struct model_queue *m, void **part,
			      struct virtq_rings *rings, uintptr_t to,
			      uint64_t layout)
{
	uint8_t *good = *part;

	for (uintptr_t off = 1; off < 16; off++) {
		*part = good + off;
		if (off % to)
			assert_int_equal(start_with(m, rings, 16, layout),
					 -EINVAL);
	}
	*part = good;
}

static void test_start_refuses(void **state)
{
	static const uint16_t sizes[] = { 0, 17, 32, 33, 1024, 32768, 65535 };
	static const uint16_t odd[] = { 3, 5, 7, 9, 12, 15 };
	uint64_t layout = model_layout(state);
	struct model_queue m;
	struct virtq_rings rings;

	model_queue_init(&m, 16, 16, layout, 0);
	virtqueue_stop(&m.q);
	rings = model_rings(&m.ring);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		assert_int_equal(start_with(&m, &rings, sizes[i], layout),
				 -EINVAL);
	refuses_alignment(&m, &rings.desc, &rings, 16, layout);
	refuses_alignment(&m, &rings.avail, &rings, layout ? 4 : 2, layout);
	refuses_alignment(&m, &rings.used, &rings, 4, layout);
	for (uint16_t size = 1; size <= 16; size = (uint16_t)(size * 2)) {
		assert_int_equal(start_with(&m, &rings, size, layout), 0);
		virtqueue_stop(&m.q);
	}
	/* Section 2.8.10.1: a packed ring may have any size. */
	for (unsigned int i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		assert_int_equal(start_with(&m, &rings, odd[i], layout),
				 layout ? 0 : -EINVAL);
		assert_int_equal(m.q.running, layout != 0);
		if (m.q.running)
			virtqueue_stop(&m.q);
	}
	model_queue_start(&m, layout, 0);
	model_queue_finish(&m);
}

/* A queue that does not run answers every verb by doing nothing. */
static void test_stopped_queue_is_quiet(void **state)
{
	struct model_queue m;
	struct virtq_chain chain;

	model_queue_init(&m, 4, 4, model_layout(state), 0);
	virtqueue_stop(&m.q);
	model_offer_pair(&m.ring);
	assert_false(virtqueue_pending(&m.q));
	assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
	assert_false(virtqueue_publish(&m.q));
	virtqueue_notify_off(&m.q);
	assert_false(virtqueue_notify_on(&m.q));
	assert_false(model_kicks_off(&m.ring));
	model_queue_start(&m, model_layout(state), 0);
	model_queue_finish(&m);
}

/*
 * Another process served the ring up to a position and is lost with requests of
 * which nothing tells: they are counted, and their used elements are not.
 */
static void test_continues_where_used_ends(void **state)
{
	static const struct {
		uint16_t base, used, lost;
	} cases[] = {
		{ 0, 0, 0 }, { 7, 4, 3 },    { 2, 65534, 4 },
		{ 8, 4, 4 }, { 100, 90, 0 }, { 3, 4, 0 },
	};
	struct vring_used_elem elem;
	struct model_queue m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t base = cases[i].base, used = cases[i].used;
		uint16_t head;

		model_queue_init(&m, 4, 4, 0, base);
		m.ring.used->idx = used;
		m.ring.used_seen = used;
		assert_int_equal(virtqueue_continue_used(&m.q), cases[i].lost);
		assert_int_equal(m.inflight->used_idx, used);
		assert_false(virtqueue_publish(&m.q));
		head = model_offer_pair(&m.ring);
		model_pop(&m, head);
		virtqueue_push(&m.q, head, 1);
		virtqueue_publish(&m.q);
		assert_true(model_used(&m.ring, &elem));
		assert_int_equal(elem.id, head);
		assert_int_equal(m.ring.used->idx, (uint16_t)(used + 1));
		model_queue_finish(&m);
	}
	/* The position of a packed ring says it all. */
	model_queue_init(&m, 4, 4, MODEL_PACKED, 2);
	assert_int_equal(virtqueue_continue_used(&m.q), 0);
	assert_int_equal(m.q.used_next, 2 | VRING_PACKED_WRAP);
	model_queue_finish(&m);
}

/* What is marked is in flight until it is shown as used, and no longer. */
static void test_marks(void **state)
{
	struct model_queue m;
	uint16_t first, second, head = 0;

	model_queue_init(&m, 8, 8, model_layout(state), 0);
	virtqueue_mark(&m.q);
	assert_int_equal(virtqueue_marked(&m.q, &head), 0);
	first = model_offer_pair(&m.ring);
	model_pop(&m, first);
	assert_int_equal(virtqueue_marked(&m.q, &head), 0);
	virtqueue_mark(&m.q);
	second = model_offer_pair(&m.ring);
	model_pop(&m, second);
	assert_int_equal(virtqueue_marked(&m.q, &head), 1);
	assert_int_equal(head, first);
	virtqueue_push(&m.q, first, 0);
	virtqueue_publish(&m.q);
	assert_int_equal(virtqueue_marked(&m.q, &head), 0);
	virtqueue_push(&m.q, second, 0);
	virtqueue_publish(&m.q);
	model_queue_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		model_test_both(test_empty),
		model_test_both(test_pop_gives_what_was_offered),
		model_test_both(test_indirect_and_mixed),
		model_test_both(test_write_flag_of_table_is_ignored),
		model_test_both(test_longest_chains),
		model_test_both(test_batch_is_shown_by_publish),
		cmocka_unit_test(test_used_index_of_the_guest_is_ignored),
		model_test_both(test_unpop),
		model_test_both(test_starved_by_a_table),
		model_test_both(test_notify_by_flag),
		model_test_both(test_notify_by_event_index),
		model_test_both(test_kicks_off_and_on_by_flag),
		model_test_both(test_kicks_off_and_on_by_event_index),
		model_test_both(test_positions_wrap),
		model_test_both(test_start_refuses),
		model_test_both(test_stopped_queue_is_quiet),
		model_test_both(test_marks),
		cmocka_unit_test(test_continues_where_used_ends),
	};

	return cmocka_run_group_tests_name("virtio_queue", tests, NULL, NULL);
}
