/* SPDX-License-Identifier: MIT */
/*
 * What only a packed ring has: buffer ids, wrap counters in rings of any size,
 * positions in both, event suppression; and drivers that break its rules. What
 * both kinds of rings have in common is in virtio_queue.c and the like.
 */
#include "lib/model_blk.h"
#include "lib/model_queue.h"

#define NEXT VRING_DESC_NEXT
#define WRITE VRING_DESC_WRITE
#define INDIRECT VRING_DESC_INDIRECT

/* One descriptor with a buffer id, available as the next chain. */
static void offer_id(struct model_ring *ring, uint16_t id)
{
	model_packed_desc(ring, 0,
			  (struct vring_packed_desc){
				  .addr = MODEL_DATA, .len = 1, .id = id });
	model_packed_avail(ring, 1);
}

static void check_broken(struct model_queue *m, int error)
{
	struct virtq_chain chain;

	assert_int_equal(virtqueue_pop(&m->q, &chain), error);
	assert_true(m->q.broken);
	assert_int_equal(virtqueue_pop(&m->q, &chain), 0);
	assert_false(virtqueue_pending(&m->q));
	model_memory_check_idle(&m->mem);
}

/* ---- drivers that keep the rules ----------------------------------------- */

struct life {
	struct model_queue m;
	uint64_t rnd;
	uint16_t popped[MODEL_RING_MAX];
	unsigned int npopped;
	uint32_t offered[MODEL_RING_MAX]; /* by id: what its chain is */
	unsigned int done;
};

/* A chain whose lengths tell its number, direct or in a table. */
static void life_offer(struct life *l)
{
	struct model_ring *ring = &l->m.ring;
	unsigned int n = 1 + model_random_below(&l->rnd, ring->size);
	bool table = model_random_below(&l->rnd, 3) == 0;
	struct model_buf bufs[16];
	uint16_t id;

	if (ring->nfree == 0 || (table ? 1 : n) > ring->room)
		return;
	for (unsigned int i = 0; i < n; i++)
		bufs[i] = (struct model_buf){ MODEL_DATA + i, n, i > n / 2 };
	id = model_offer_mixed(ring, bufs, table ? 0 : n, n,
			       MODEL_TABLES + ring->free[ring->nfree - 1] *
						      UINT64_C(1024));
	l->offered[id] = n;
}

static void life_pop(struct life *l)
{
	bool expected = virtqueue_pending(&l->m.q);
	struct virtq_chain chain;
	int r = virtqueue_pop(&l->m.q, &chain);

	assert_int_equal(r, expected);
	if (r == 0)
		return;
	assert_int_equal(chain.n, l->offered[chain.head]);
	for (unsigned int i = 0; i < chain.n; i++) {
		assert_int_equal(chain.ranges[i].addr, MODEL_DATA + i);
		assert_int_equal(chain.ranges[i].len, chain.n);
	}
	if (model_random_below(&l->rnd, 8) == 0)
		virtqueue_unpop(&l->m.q, chain.head);
	else
		l->popped[l->npopped++] = chain.head;
}

static void life_push(struct life *l)
{
	unsigned int i;

	if (l->npopped == 0)
		return;
	i = model_random_below(&l->rnd, l->npopped);
	virtqueue_push(&l->m.q, l->popped[i], l->offered[l->popped[i]]);
	l->popped[i] = l->popped[--l->npopped];
}

static void life_publish(struct life *l)
{
	struct vring_used_elem elem;
	bool some = l->m.q.npushed;

	assert_false(model_has_used(&l->m.ring));
	virtqueue_publish(&l->m.q);
	assert_int_equal(model_has_used(&l->m.ring), some);
	while (model_used(&l->m.ring, &elem)) {
		assert_int_equal(elem.len, l->offered[elem.id]);
		l->done++;
	}
	assert_int_equal(model_inflight(&l->m), l->m.q.in_flight);
}

/* Rings of any size, chains of any length, in any order. */
static void test_lives(void **state)
{
	static struct life l;

	(void)state;
	for (uint16_t size = 1; size <= 16; size++) {
		l = (struct life){ .rnd = size };
		model_queue_init(&l.m, 16, size, MODEL_PACKED | MODEL_BOTH, 0);
		/* The model's positions have 16 bits. */
		while (l.m.ring.avail_next < 60000) {
			switch (model_random_below(&l.rnd, 4)) {
			case 0:
				life_offer(&l);
				break;
			case 1:
				life_pop(&l);
				break;
			case 2:
				life_push(&l);
				break;
			default:
				life_publish(&l);
			}
		}
		assert_true(l.done > 1000);
		model_queue_finish(&l.m);
	}
}

/* A used descriptor behind the first of a batch shows nothing. */
static void test_first_of_a_batch_shows_it(void **state)
{
	struct model_queue m;
	uint16_t id[3];

	(void)state;
	model_queue_init(&m, 8, 8, MODEL_PACKED, 0);
	for (int i = 0; i < 3; i++) {
		id[i] = model_offer_pair(&m.ring);
		model_pop(&m, id[i]);
	}
	for (int i = 2; i >= 0; i--)
		virtqueue_push(&m.q, id[i], (uint32_t)i);
	assert_false(model_packed_is_used(&m.ring, 0));
	assert_true(model_packed_is_used(&m.ring, 2));
	assert_true(model_packed_is_used(&m.ring, 4));
	virtqueue_publish(&m.q);
	assert_true(model_packed_is_used(&m.ring, 0));
	/*
	 * One used descriptor per chain: the others are as the driver left it.
	 */
	assert_false(model_packed_is_used(&m.ring, 1));
	assert_int_equal(m.ring.pdesc[0].id, id[2]);
	assert_int_equal(m.ring.pdesc[0].addr, MODEL_DATA);
	assert_int_equal(m.ring.pdesc[4].id, id[0]);
	/* No length, no WRITE. */
	assert_int_equal(m.ring.pdesc[4].flags & WRITE, 0);
	assert_int_equal(m.ring.pdesc[0].flags & WRITE, WRITE);
	model_queue_finish(&m);
}

/* A chain from the end of the ring to its beginning. */
static void test_chain_over_the_wrap(void **state)
{
	const struct model_buf bufs[] = {
		{ MODEL_DATA, 1, false },
		{ MODEL_DATA, 2, false },
		{ MODEL_DATA, 3, true },
		{ MODEL_DATA, 4, true },
	};

	(void)state;
	for (uint16_t base = 0; base < 10; base++) {
		struct model_queue m;
		struct virtq_chain chain;
		struct vring_used_elem elem;
		uint16_t id;

		model_queue_init(&m, 8, 5, MODEL_PACKED, base);
		id = model_offer(&m.ring, bufs, 4);
		assert_int_equal(virtqueue_pop(&m.q, &chain), 1);
		assert_int_equal(chain.head, id);
		assert_int_equal(chain.n, 4);
		for (unsigned int i = 0; i < 4; i++)
			assert_int_equal(chain.ranges[i].len, i + 1);
		assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
		virtqueue_push(&m.q, id, 7);
		virtqueue_publish(&m.q);
		assert_true(model_used(&m.ring, &elem));
		assert_int_equal(elem.len, 7);
		assert_int_equal(virtqueue_base(&m.q),
				 model_ring_base(&m.ring,
						 (uint16_t)(base + 4)));
		model_queue_finish(&m);
	}
}

/* ---- positions and events ------------------------------------------------ */

static int start_at(struct model_queue *m, uint32_t base)
{
	struct virtq_rings rings = model_rings(&m->ring);

	virtqueue_stop(&m->q);
	memset(m->inflight, 0, virtq_inflight_bytes(m->ring.size, true));
	return virtqueue_start(&m->q, &rings, m->ring.size, MODEL_PACKED, base,
			       m->inflight);
}

static void test_base(void **state)
{
	struct model_queue m;

	(void)state;
	model_queue_init(&m, 8, 5, MODEL_PACKED, 0);
	assert_int_equal(virtqueue_base(&m.q), 0x80008000);
	assert_int_equal(start_at(&m, 0x00048004), 0);
	assert_int_equal(m.q.last_avail, 0x8004);
	assert_int_equal(m.q.used_next, 0x0004);
	/* A front end with 16 bits. */
	assert_int_equal(start_at(&m, 0x8003), 0);
	assert_int_equal(virtqueue_base(&m.q), 0x80038003);
	assert_int_equal(start_at(&m, 0), 0);
	assert_int_equal(virtqueue_base(&m.q), 0);
	assert_int_equal(start_at(&m, 0x80008005), -EINVAL);
	assert_int_equal(start_at(&m, 0x80058000), -EINVAL);
	assert_int_equal(start_at(&m, 0x7fff7fff), -EINVAL);
	assert_false(m.q.running);
	assert_int_equal(start_at(&m, 0x80008000), 0);
	model_queue_finish(&m);
}

/* What the driver's event means that is neither on nor off. */
static void test_odd_events(void **state)
{
	static const struct {
		uint16_t flags;
		uint16_t position;
		uint64_t features;
		bool notify;
	} cases[] = {
		{ VRING_PACKED_EVENT_DESC, 0x8003, 0, true },
		{ VRING_PACKED_EVENT_DESC, 0x8003, MODEL_BOTH, false },
		{ VRING_PACKED_EVENT_DESC, 0x8000, MODEL_BOTH, true },
		{ VRING_PACKED_EVENT_DESC, 0x0000, MODEL_BOTH, false },
		{ VRING_PACKED_EVENT_DESC, 0x7fff, MODEL_BOTH, false },
		{ VRING_PACKED_EVENT_DESC, 0xffff, MODEL_BOTH, false },
		{ VRING_PACKED_EVENT_ENABLE, 0x8003, MODEL_BOTH, true },
		{ VRING_PACKED_EVENT_DISABLE, 0x8000, MODEL_BOTH, false },
		{ 3, 0, 0, true }, /* reserved */
		{ 3, 0, MODEL_BOTH, true },
		{ 0xffff, 0x8003, MODEL_BOTH, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct model_queue m;
		uint16_t id;

		model_queue_init(&m, 8, 5, MODEL_PACKED | cases[i].features, 0);
		m.ring.driver->flags = cases[i].flags;
		m.ring.driver->position = cases[i].position;
		id = model_offer_pair(&m.ring);
		model_pop(&m, id);
		virtqueue_push(&m.q, id, 1);
		assert_int_equal(virtqueue_publish(&m.q), cases[i].notify);
		model_queue_finish(&m);
	}
}

/* ---- a whole device ------------------------------------------------------ */

static void run_requests(struct model_blk *m)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct vring_used_elem elem;
		uint64_t status = model_request(m, 0, m->heap, VIRTIO_BLK_T_IN,
						i, 512);

		assert_int_equal(model_serve(m, 0), 1);
		assert_true(model_used(&m->ring[0], &elem));
		assert_int_equal(elem.len, 513);
		assert_int_equal(*model_byte(m, status), VIRTIO_BLK_S_OK);
		assert_memory_equal(model_byte(m, m->heap + 512),
				    m->store + 512 * (size_t)i, 512);
	}
}

/* By its registers, before and after a reset, in rings of any size. */
static void test_device(void **state)
{
	static struct model_blk m;

	(void)state;
	for (uint16_t size = 3; size <= 8; size++) {
		model_blk_start(&m, (struct model_setup){ .packed = true,
							  .ring_size = size });
		assert_true(
			virtio_device_has(&m.blk.dev, VIRTIO_F_RING_PACKED));
		run_requests(&m);
		model_blk_restart(&m);
		run_requests(&m);
		model_blk_finish(&m);
	}
}

/* A driver that does not take the feature gets a split ring. */
static void test_device_without(void **state)
{
	static struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ .packed = true,
						 .refused = MODEL_PACKED });
	model_ring_lay(&m.ring[0], &m.mem, MODEL_BASE, 8, false);
	model_blk_drive(&m);
	assert_false(m.blk.queue[0].vq.packed);
	run_requests(&m);
	model_blk_finish(&m);
}

/* ---- drivers that break the rules ---------------------------------------- */

static void test_bad_ids(void **state)
{
	static const uint16_t ids[] = { 5, 6, 7, 8, 0x7fff, 0x8000, 0xffff };
	struct model_queue m;

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		model_queue_init(&m, 8, 5, MODEL_PACKED, 0);
		offer_id(&m.ring, 4);
		model_pop(&m, 4);
		offer_id(&m.ring, ids[i]);
		check_broken(&m, -ERANGE);
		virtqueue_push(&m.q, 4, 0);
		virtqueue_publish(&m.q);
		assert_int_equal(model_inflight(&m), 0);
		model_queue_finish(&m);
	}
}

/* NEXT in every descriptor, at every place, with some of the ring taken. */
static void test_endless_chains(void **state)
{
	(void)state;
	for (uint16_t base = 0; base < 10; base++) {
		for (uint16_t taken = 0; taken < 5; taken++) {
			struct model_queue m;

			model_queue_init(&m, 8, 5, MODEL_PACKED, base);
			for (uint16_t i = 0; i < taken; i++) {
				offer_id(&m.ring, i);
				model_pop(&m, i);
			}
			for (uint16_t i = 5; i--;)
				model_packed_desc(&m.ring, i,
						  (struct vring_packed_desc){
							  .addr = MODEL_DATA,
							  .len = 1,
							  .id = taken,
							  .flags = NEXT });
			model_packed_avail(&m.ring, 1);
			check_broken(&m, -ELOOP);
			assert_int_equal(m.q.in_flight, taken);
			model_queue_finish(&m);
		}
	}
}

/* Available again in the next round, before it was used in this one. */
static void test_more_chains_than_room(void **state)
{
	struct model_queue m;
	struct virtq_chain chain;

	(void)state;
	for (int pushed = 0; pushed < 2; pushed++) {
		model_queue_init(&m, 8, 4, MODEL_PACKED, 0);
		for (uint16_t i = 0; i < 4; i++) {
			offer_id(&m.ring, i);
			model_pop(&m, i);
		}
		assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
		/* An id that is free does not make room. */
		for (uint16_t i = 0; pushed && i < 4; i++)
			virtqueue_push(&m.q, i, 0);
		offer_id(&m.ring, 0);
		check_broken(&m, -ERANGE);
		model_queue_finish(&m);
	}
}

/* A list is direct or a table: not both, section 2.8.7. */
static void test_table_in_a_list(void **state)
{
	const struct model_buf readable = { MODEL_DATA, 1, false };
	struct model_queue m;

	(void)state;
	model_queue_init(&m, 4, 4, MODEL_PACKED | MODEL_BOTH, 0);
	model_table(&m.ring, MODEL_TABLES, &readable, 1);
	model_packed_desc(&m.ring, 1,
			  (struct vring_packed_desc){ .addr = MODEL_TABLES,
						      .len = 16,
						      .flags = INDIRECT });
	model_packed_desc(&m.ring, 0,
			  (struct vring_packed_desc){ .addr = MODEL_DATA,
						      .len = 1,
						      .flags = NEXT });
	model_packed_avail(&m.ring, 2);
	check_broken(&m, -EPROTO);
	model_queue_finish(&m);
}

/* Only AVAIL equal to our wrap counter and USED unequal is available. */
static void test_flags_of_no_chain(void **state)
{
	const uint16_t both = VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED;

	(void)state;
	for (uint16_t base = 0; base < 8; base += 4) {
		for (unsigned int flags = 0; flags < 4; flags++) {
			struct model_queue m;
			struct virtq_chain chain;
			bool is;

			model_queue_init(&m, 4, 4, MODEL_PACKED, base);
			m.ring.pdesc[0].flags =
				(uint16_t)((flags & 1 ?
						    VRING_PACKED_DESC_AVAIL :
						    0) |
					   (flags & 2 ? VRING_PACKED_DESC_USED :
							0));
			is = (m.ring.pdesc[0].flags & both) ==
			     (base ? VRING_PACKED_DESC_USED :
				     VRING_PACKED_DESC_AVAIL);
			assert_int_equal(virtqueue_pending(&m.q), is);
			assert_int_equal(virtqueue_pop(&m.q, &chain), is);
			model_queue_finish(&m);
		}
	}
}

/* Anything at all in the ring: what is popped keeps within its bounds. */
static void test_hostile_ring(void **state)
{
	uint64_t rnd = 99;
	unsigned int popped = 0;
	struct model_queue m;

	(void)state;
	for (unsigned int round = 0; round < 300000; round++) {
		uint16_t size = (uint16_t)(1 + round % 7);
		struct virtq_chain chain;
		int r;

		if (round % 100 == 0)
			model_queue_init(&m, 8, size, MODEL_PACKED | MODEL_BOTH,
					 0);
		for (unsigned int i = 0; i < m.ring.size; i++) {
			struct vring_packed_desc *d = &m.ring.pdesc[i];

			d->addr = model_random_below(&rnd, 4) ?
					  MODEL_TABLES :
					  model_random(&rnd);
			d->len = model_random_below(&rnd, 9) * 16;
			d->id = (uint16_t)model_random_below(&rnd, size + 1u);
			d->flags = (uint16_t)model_random(&rnd);
			if (model_random_below(&rnd, 4))
				d->flags &= (uint16_t)~INDIRECT;
		}
		r = virtqueue_pop(&m.q, &chain);
		m.q.broken = false;
		if (r == 1) {
			popped++;
			assert_true(chain.n <= 8);
			assert_true(chain.head < m.ring.size);
			if (model_random_below(&rnd, 4))
				virtqueue_push(&m.q, chain.head, 1);
			else
				virtqueue_unpop(&m.q, chain.head);
		}
		if (round % 3 == 0)
			virtqueue_publish(&m.q);
		if (round % 100 == 99)
			model_queue_finish(&m);
	}
	assert_true(popped > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_first_of_a_batch_shows_it),
		cmocka_unit_test(test_chain_over_the_wrap),
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_odd_events),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_device_without),
		cmocka_unit_test(test_bad_ids),
		cmocka_unit_test(test_endless_chains),
		cmocka_unit_test(test_more_chains_than_room),
		cmocka_unit_test(test_table_in_a_list),
		cmocka_unit_test(test_flags_of_no_chain),
		cmocka_unit_test(test_hostile_ring),
	};

	return cmocka_run_group_tests_name("virtio_packed", tests, NULL, NULL);
}
