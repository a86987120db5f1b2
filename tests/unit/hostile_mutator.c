/* SPDX-License-Identifier: MIT */
/*
 * A driver that changes its mind: a second thread rewrites descriptors, tables,
 * headers and the rings while the device parses them, on purpose without any
 * order. What a chain has become in the end is the driver's affair, so there is
 * nothing to compare with; but after each round
 *
 *  - every chain that was taken has been answered, and nothing is mapped;
 *  - or the device asks for a reset, which has its effect at once;
 *  - the engine was given requests inside the disk and inside memory only
 *    (around guest memory are forbidden pages, ASan watches everything else);
 *  - a neighbour, whose memory is left alone, serves;
 *  - and in the end, with the thread gone, so does this device.
 *
 * MUTATIONS in the environment says how many changes each test makes; by itself
 * the program makes enough for some seconds.
 */
#include "lib/model_blk.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
	RING = 16,
	QUEUES = 2,
	BATCH = 5, /* chains of a queue in a round */
	HELD_MAX = QUEUES * RING,
	AREA = 2048, /* of guest memory for a chain */
};

#define MUTATIONS 10000000ul
#define ROUNDS_MIN 10000ul

struct mutator {
	struct model_blk m;
	struct model_blk neighbour;
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong changes;
	uint64_t rnd; /* of the device's side */
	unsigned long rounds, resets, ran;
};

static uint32_t below(uint64_t *rnd, uint32_t limit)
{
	return model_random_below(rnd, limit);
}

/* ---- the thread ---------------------------------------------------------- */

/* Values that mean something: lengths, flags, indexes. */
static uint32_t telling_value(uint64_t *rnd)
{
	static const uint32_t values[] = {
		0,      1,      2,      3,          4,          5,
		7,      15,     16,     17,         32,         48,
		64,     256,    511,    512,        513,        4096,
		0x7fff, 0x8000, 0xffff, 0x80000000, 0xfffffff0, 0xffffffff,
	};

	return values[below(rnd, sizeof(values) / sizeof(values[0]))];
}

static void change_desc(volatile struct vring_desc *d, uint64_t *rnd)
{
	switch (below(rnd, 6)) {
	case 0:
		d->len = telling_value(rnd);
		break;
	case 1:
		d->flags = (uint16_t)below(rnd, 8);
		break;
	case 2:
		d->next = (uint16_t)below(rnd, RING + 1);
		break;
	case 3:
		((volatile uint8_t *)d)[below(rnd, 16)] ^=
			(uint8_t)(1u << below(rnd, 8));
		break;
	default:
		/* Back to something that works, or rounds end too soon. */
		d->len = below(rnd, 2) ? 16 : 512;
		break;
	}
}

static void change_header(volatile struct virtio_blk_header *h, uint64_t *rnd)
{
	if (below(rnd, 2))
		h->type = below(rnd, 10) ? below(rnd, 2) : telling_value(rnd);
	else
		h->sector = below(rnd, 10) ? below(rnd, MODEL_SECTORS) :
					     telling_value(rnd);
}

/* The rings' own words seldom: what is wrong there ends the round. */
static void change_ring(const struct model_ring *ring, uint64_t *rnd)
{
	const struct vring_bytes bytes = model_ring_bytes(ring);
	volatile uint8_t *avail = (volatile uint8_t *)ring->avail;
	volatile uint8_t *used = (volatile uint8_t *)ring->used;

	if (below(rnd, 2))
		avail[below(rnd, (uint32_t)bytes.driver)] ^=
			(uint8_t)telling_value(rnd);
	else
		used[below(rnd, (uint32_t)bytes.device)] ^=
			(uint8_t)telling_value(rnd);
}

/* A flag of a packed ring that makes a descriptor available, or not. */
static void change_packed(volatile struct vring_packed_desc *d, uint64_t *rnd)
{
	if (below(rnd, 2))
		d->flags ^= (uint16_t)(1u << below(rnd, 16));
	else
		d->id = (uint16_t)(below(rnd, 10) ? below(rnd, RING + 1) :
						    telling_value(rnd));
}

static void change_anything(struct mutator *mu, uint64_t *rnd)
{
	const struct model_ring *ring = &mu->m.ring[below(rnd, QUEUES)];
	uint8_t *area = mu->m.mem.bytes + (mu->m.heap - MODEL_BASE) +
			(uint64_t)AREA * below(rnd, QUEUES * BATCH);
	uint32_t what = below(rnd, 1000);

	if (what < 2)
		change_ring(ring, rnd);
	else if (what < 200 && ring->packed)
		change_packed(&ring->pdesc[below(rnd, RING)], rnd);
	else if (what < 400)
		change_desc(&ring->desc[below(rnd, RING)], rnd);
	else if (what < 700)
		change_desc((struct vring_desc *)(area + 64) + below(rnd, 4),
			    rnd);
	else
		change_header((struct virtio_blk_header *)area, rnd);
}

static void change_some(struct mutator *mu, uint64_t *rnd, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		change_anything(mu, rnd);
	atomic_fetch_add_explicit(&mu->changes, n, memory_order_relaxed);
}

static void *mutate(void *arg)
{
	struct mutator *mu = arg;
	uint64_t rnd = 31337;

	/* A hundred at a time: the counter is not the point. */
	while (!mu->stop)
		change_some(mu, &rnd, 100);
	return NULL;
}

/* ---- the device's side --------------------------------------------------- */

/* A good request, to begin with: direct, in a table, or half and half. */
static void offer(struct mutator *mu, unsigned int queue, unsigned int i)
{
	struct model_blk *m = &mu->m;
	struct model_ring *ring = &m->ring[queue];
	uint64_t at = m->heap + (uint64_t)AREA * (queue * BATCH + i);
	bool in = below(&mu->rnd, 2);
	const struct model_buf bufs[] = {
		{ at, 16, false },
		{ at + 512, 512, in },
		{ at + 1024, 1, true },
	};
	unsigned int direct = below(&mu->rnd, 4);

	/* Section 2.8.7: direct or a table, not both. */
	if (m->setup.packed && direct < 3)
		direct = 0;
	model_header(m, at, in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i);
	model_offer_mixed(ring, bufs, direct, 3, at + 64);
}

/* The driver forgets what it knew: all descriptors are free again. */
static void forget(struct mutator *mu, unsigned int queue)
{
	struct model_ring *ring = &mu->m.ring[queue];

	ring->avail_next = mu->m.blk.queue[queue].vq.last_avail;
	ring->nfree = RING;
	for (uint16_t i = 0; i < RING; i++)
		ring->free[i] = i;
}

/*
 * All that is there is in flight together, and comes back in any order. Some
 * changes come from here, so that there are some between any two chains even
 * where the thread and this one take turns on one processor.
 */
static void serve(struct mutator *mu)
{
	struct block_request *held[HELD_MAX], *req;
	unsigned int n = 0;

	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		while ((req = virtio_blk_pop(&mu->m.blk.queue[queue]))) {
			assert_true(n < HELD_MAX);
			held[n++] = req;
			change_some(mu, &mu->rnd, 8);
		}
	}
	mu->ran += n;
	while (n) {
		unsigned int i = below(&mu->rnd, n);

		req = held[i];
		held[i] = held[--n];
		mu->m.engine_fails = below(&mu->rnd, 10) ? 0 : -EIO;
		change_some(mu, &mu->rnd, 2);
		model_run(&mu->m, req);
	}
	for (unsigned int queue = 0; queue < QUEUES; queue++)
		virtqueue_publish(&mu->m.blk.queue[queue].vq);
}

static void check_round(struct mutator *mu)
{
	struct model_blk *m = &mu->m;
	bool broken = false;

	assert_null(m->mem.maps);
	assert_int_equal(m->mem.live, 0);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		assert_int_equal(m->blk.queue[queue].vq.in_flight, 0);
		broken |= m->blk.queue[queue].vq.broken;
	}
	assert_int_equal(virtio_device_live(&m->blk.dev), !broken);
	if (broken) {
		model_blk_restart(m);
		mu->resets++;
	}
}

static void check_neighbour(struct mutator *mu)
{
	struct model_blk *m = &mu->neighbour;
	struct vring_used_elem elem;
	uint64_t status;

	status = model_request(m, 0, m->heap, VIRTIO_BLK_T_IN, 3, 512);
	assert_int_equal(model_serve(m, 0), 1);
	assert_int_equal(*model_byte(m, status), 0);
	assert_memory_equal(model_byte(m, m->heap + 512), m->store + 3 * 512,
			    512);
	assert_true(model_used(&m->ring[0], &elem));
}

static void play_round(struct mutator *mu)
{
	/* What the thread made of a packed ring, no driver could go on with. */
	if (mu->m.setup.packed)
		model_blk_restart(&mu->m);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		if (!mu->m.setup.packed)
			forget(mu, queue);
		for (unsigned int i = 0; i < BATCH; i++)
			offer(mu, queue, i);
	}
	serve(mu);
	check_round(mu);
	if (mu->rounds++ % 64 == 0)
		check_neighbour(mu);
}

static unsigned long wanted(void)
{
	const char *text = getenv("MUTATIONS");

	return text && *text ? strtoul(text, NULL, 10) : MUTATIONS;
}

static void changing(struct model_setup setup)
{
	static struct mutator mu;
	unsigned long changes = wanted();
	uint64_t status;

	mu = (struct mutator){ .rnd = 5 };
	setup.queue_size = RING;
	setup.nqueues = QUEUES;
	model_blk_start(&mu.m, setup);
	model_blk_start(&mu.neighbour, (struct model_setup){ 0 });
	assert_int_equal(pthread_create(&mu.thread, NULL, mutate, &mu), 0);
	while (mu.changes < changes || mu.rounds < ROUNDS_MIN)
		play_round(&mu);
	mu.stop = true;
	pthread_join(mu.thread, NULL);
	print_message(
		"# %lu changes, %lu rounds, %lu requests run, %lu resets\n",
		mu.changes, mu.rounds, mu.ran, mu.resets);
	assert_true(mu.ran > ROUNDS_MIN);
	assert_true(mu.resets > 0);
	model_blk_restart(&mu.m);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		status = model_request(&mu.m, queue, mu.m.heap, VIRTIO_BLK_T_IN,
				       0, 512);
		mu.m.engine_fails = 0;
		assert_int_equal(model_serve(&mu.m, queue), 1);
		assert_int_equal(*model_byte(&mu.m, status), 0);
	}
	model_blk_finish(&mu.m);
	model_blk_finish(&mu.neighbour);
}

static void test_memory_that_changes(void **state)
{
	(void)state;
	changing((struct model_setup){ 0 });
}

/* Memory that is mapped for good is found in another way. */
static void test_windows_that_change(void **state)
{
	(void)state;
	changing((struct model_setup){ .windows = true });
}

static void test_packed_rings_that_change(void **state)
{
	(void)state;
	changing((struct model_setup){ .packed = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_that_changes),
		cmocka_unit_test(test_windows_that_change),
		cmocka_unit_test(test_packed_rings_that_change),
	};

	return cmocka_run_group_tests_name("hostile_mutator", tests, NULL,
					   NULL);
}
