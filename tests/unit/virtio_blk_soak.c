/* SPDX-License-Identifier: MIT */
/*
 * Long random runs. First: random chains, good and bad, several in flight and
 * completed in any order, each step held against the reference model. Then
 * random bytes in the rings.
 */
#include "lib/model_request.h"

enum {
	RING = 16,
	SLOTS = 4, /* requests in flight at a time */
	BUFS_MAX = 8,
	STEPS = 40000,
};

struct slot {
	struct model_buf bufs[BUFS_MAX];
	struct model_chain chain;
	uint16_t head;
	struct block_request *req; /* NULL: the slot is free */
};

struct soak {
	struct model_blk m;
	struct slot slot[SLOTS];
	uint64_t rnd;
};

static uint32_t below(struct soak *s, uint32_t limit)
{
	return model_random_below(&s->rnd, limit);
}

/* The memory that slot `i` has to itself: 8 pages. */
static uint64_t slot_at(const struct soak *s, unsigned int i)
{
	return s->m.heap + (uint64_t)i * 8 * MODEL_PAGE;
}

static uint32_t random_length(struct soak *s)
{
	static const uint32_t lens[] = { 0,   1,   15,  16,   17,
					 511, 512, 513, 1024, 4096 };

	return lens[below(s, 10)];
}

static uint32_t random_type(struct soak *s)
{
	static const uint32_t types[] = { 0, 0, 0, 1, 1, 1, 4, 8, 11, 3 };

	return types[below(s, 10)];
}

/* As drivers do it, now and then with one thing wrong. */
static void random_good_chain(struct soak *s, struct slot *slot, uint64_t at)
{
	uint32_t type = random_type(s);
	uint32_t bytes = 512 * below(s, 9);

	model_header(&s->m, at, type,
		     below(s, 20) ? below(s, MODEL_SECTORS) :
				    model_random(&s->rnd));
	slot->bufs[0] = (struct model_buf){ at, 16, false };
	slot->bufs[1] = (struct model_buf){ at + MODEL_PAGE, bytes, type != 1 };
	slot->bufs[2] = (struct model_buf){ at + 64, 1, true };
	slot->chain = (struct model_chain){ slot->bufs, 3 };
	if (below(s, 30) == 0)
		slot->bufs[below(s, 3)].addr = model_random(&s->rnd);
}

/* Any buffers in a legal order. */
static void random_odd_chain(struct soak *s, struct slot *slot, uint64_t at)
{
	unsigned int n = 1 + below(s, BUFS_MAX);
	unsigned int readable = below(s, n + 1);
	uint64_t to = at;

	model_header(&s->m, at, random_type(s), below(s, MODEL_SECTORS));
	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = random_length(s) % 3000;

		slot->bufs[i] = (struct model_buf){ to, len, i >= readable };
		to += len;
	}
	slot->chain = (struct model_chain){ slot->bufs, n };
}

static void offer(struct soak *s, unsigned int i)
{
	struct slot *slot = &s->slot[i];
	uint64_t table = slot_at(s, i) + 7 * MODEL_PAGE;
	struct vring_used_elem elem;
	unsigned int direct;

	if (below(s, 3))
		random_good_chain(s, slot, slot_at(s, i));
	else
		random_odd_chain(s, slot, slot_at(s, i));
	direct = slot->chain.n > 3 ? below(s, 4) : below(s, slot->chain.n + 1);
	slot->head = model_offer_mixed(&s->m.ring[0], slot->bufs, direct,
				       slot->chain.n, table);
	model_shadow(&s->m);
	slot->req = virtio_blk_pop(&s->m.blk.queue[0]);
	if (slot->req) {
		model_compare(&s->m);
		return;
	}
	/* Answered on the way. */
	virtqueue_publish(&s->m.blk.queue[0].vq);
	model_expect(&s->m, 0, slot->head, &slot->chain);
	model_compare(&s->m);
	assert_true(model_used(&s->m.ring[0], &elem));
}

static void complete(struct soak *s, unsigned int i)
{
	struct slot *slot = &s->slot[i];
	struct vring_used_elem elem;

	s->m.engine_fails = below(s, 10) ? 0 : -EIO;
	model_shadow(&s->m);
	model_expect(&s->m, 0, slot->head, &slot->chain);
	model_run(&s->m, slot->req);
	virtqueue_publish(&s->m.blk.queue[0].vq);
	model_compare(&s->m);
	assert_true(model_used(&s->m.ring[0], &elem));
	assert_int_equal(elem.id, slot->head);
	slot->req = NULL;
}

static void soak(struct model_setup setup, uint64_t piece, uint64_t seed)
{
	static struct soak s;

	memset(&s, 0, sizeof(s));
	s.rnd = seed;
	setup.queue_size = 64;
	setup.ring_size = 64;
	model_blk_start(&s.m, setup);
	s.m.mem.piece = piece;
	for (unsigned int step = 0; step < STEPS; step++) {
		unsigned int i = below(&s, SLOTS);

		if (s.slot[i].req)
			complete(&s, i);
		else
			offer(&s, i);
		assert_true(virtio_device_live(&s.m.blk.dev));
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		if (s.slot[i].req)
			complete(&s, i);
	print_message("# %llu requests, all of memory compared\n",
		      (unsigned long long)s.m.blk.queue[0].requests);
	model_blk_finish(&s.m);
}

static void test_random_requests(void **state)
{
	(void)state;
	soak((struct model_setup){ 0 }, 0, 1);
	soak((struct model_setup){ .pinnable = true }, 256, 2);
	soak((struct model_setup){ .readonly = true }, 100, 3);
	soak((struct model_setup){ .windows = true }, 0, 4);
	soak((struct model_setup){ .windows = true, .pinnable = true }, 256, 5);
}

/* Random bytes in ring and tables: T2 of the plan, at the device's border. */
static void test_random_rings(void **state)
{
	struct model_blk m;
	uint64_t rnd = 99;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = RING });
	for (unsigned int round = 0; round < 200000; round++) {
		struct vring_desc *d =
			&m.ring[0].desc[model_random_below(&rnd, RING)];

		for (unsigned int i = 0; i < 4; i++, d = m.ring[0].desc + i) {
			d->addr = m.heap + model_random_below(&rnd, 0x20000);
			d->len = 1u << model_random_below(&rnd, 14);
			d->flags = (uint16_t)model_random_below(&rnd, 8);
			d->next = (uint16_t)model_random_below(&rnd, RING + 1);
		}
		model_header(&m, m.heap + model_random_below(&rnd, 0x10000),
			     model_random_below(&rnd, 10), 1);
		model_avail(&m.ring[0],
			    (uint16_t)model_random_below(&rnd, RING));
		model_serve(&m, 0);
		assert_null(m.mem.maps);
		if (!virtio_device_live(&m.blk.dev))
			model_blk_restart(&m);
	}
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_requests),
		cmocka_unit_test(test_random_rings),
	};

	return cmocka_run_group_tests_name("virtio_blk_soak", tests, NULL,
					   NULL);
}
