/* SPDX-License-Identifier: MIT */
/*
 * The chain parser: a virtqueue, split or packed, on a ring that the input
 * writes, popped, pushed, published, given back and taken over in any order.
 */
#include "fuzz_guest.h"

#include "lib/model_queue.h"

struct queue_state {
	struct model_queue m;
	uint16_t head[MODEL_RING_MAX]; /* in flight: popped and not pushed */
	unsigned int n;
	uint64_t features;
	bool last_was_pop;
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	return 0;
}

static void check_chain(const struct queue_state *s,
			const struct virtq_chain *chain)
{
	uint64_t bytes[2] = { 0, 0 };

	assert_true(chain->head < s->m.ring.size);
	assert_true(chain->n <= 2u * s->m.q.size_max);
	assert_true(chain->readable <= chain->n);
	for (unsigned int i = 0; i < s->n; i++)
		assert_int_not_equal(s->head[i], chain->head);
	for (unsigned int i = 0; i < chain->n; i++) {
		assert_int_not_equal(chain->ranges[i].len, 0);
		bytes[i >= chain->readable] += chain->ranges[i].len;
	}
	assert_int_equal(bytes[0], chain->readable_bytes);
	assert_int_equal(bytes[1], chain->writable_bytes);
	assert_true(bytes[0] + bytes[1] <= UINT32_MAX);
}

static void pop(struct queue_state *s)
{
	struct virtq_chain chain;
	bool broken = s->m.q.broken;
	int r = virtqueue_pop(&s->m.q, &chain);

	assert_int_equal(s->m.q.broken, broken || r < 0);
	if (broken)
		assert_int_equal(r, 0);
	s->last_was_pop = r > 0;
	if (r <= 0)
		return;
	check_chain(s, &chain);
	s->head[s->n++] = chain.head;
}

static void push(struct queue_state *s, unsigned int i, uint32_t len)
{
	struct virtqueue *q = &s->m.q;
	uint16_t at = q->used_next & (s->m.ring.size - 1);
	uint16_t head = s->head[i];

	virtqueue_push(q, head, len);
	s->head[i] = s->head[--s->n];
	if (s->m.ring.packed)
		return;
	assert_int_equal(s->m.ring.used->ring[at].id, head);
	assert_int_equal(s->m.ring.used->ring[at].len, len);
}

static void publish(struct queue_state *s)
{
	bool any = !s->m.ring.packed && s->m.q.used_next != s->m.q.used_shown;

	virtqueue_publish(&s->m.q);
	if (any)
		assert_int_equal(s->m.ring.used->idx, s->m.q.used_next);
}

static void unpop(struct queue_state *s)
{
	if (!s->last_was_pop)
		return;
	virtqueue_unpop(&s->m.q, s->head[--s->n]);
	assert_true(s->m.q.starved);
}

/* The process dies, and the next one goes by what it finds in memory. */
static void take_over(struct queue_state *s, struct fuzz_input *in)
{
	struct model_queue *m = &s->m;
	size_t bytes = virtq_inflight_bytes(m->ring.size, m->ring.packed);
	uint64_t features = s->features;
	struct virtq_chain chain;
	int r;

	/* It may be shared with a hostile front end. */
	if (fuzz_u8(in) & 1)
		fuzz_copy(in,
			  (uint8_t *)m->inflight + fuzz_u16(in) % (bytes - 8),
			  8);
	virtqueue_init(&m->q, m->q.size_max, m->scratch, &m->mem.memory);
	model_queue_start(m, features, fuzz_u16(in));
	s->n = 0;
	if (virtqueue_recover(&m->q) < 0) {
		virtqueue_stop(&m->q);
		memset(m->inflight, 0, bytes);
		model_queue_start(m, features, 0);
		return;
	}
	while ((r = virtqueue_repop(&m->q, &chain)) != 0) {
		if (r < 0)
			continue;
		check_chain(s, &chain);
		s->head[s->n++] = chain.head;
	}
}

static void step(struct queue_state *s, struct fuzz_input *in)
{
	bool popped = false;

	switch (fuzz_u8(in) % 16) {
	case 0 ... 3:
		pop(s);
		popped = true;
		break;
	case 4 ... 5:
		if (s->n)
			push(s, fuzz_below(in, s->n), fuzz_u32(in));
		break;
	case 6:
		publish(s);
		break;
	case 7:
		unpop(s);
		break;
	case 8:
		virtqueue_notify_off(&s->m.q);
		break;
	case 9:
		virtqueue_notify_on(&s->m.q);
		break;
	case 10:
		take_over(s, in);
		break;
	default:
		fuzz_ring_step(in, &s->m.ring, MODEL_TABLES);
		break;
	}
	s->last_was_pop &= popped;
	assert_int_equal(s->m.q.in_flight, s->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct queue_state s;
	struct fuzz_input in = { data, size };
	uint8_t how = fuzz_u8(&in);
	uint16_t ring_size = (uint16_t)(1u << (how & 3));
	uint16_t size_max = (uint16_t)(ring_size << (how >> 2 & 3));

	s.features = (how & 0x80 ? MODEL_BOTH : 0) |
		     (how & 0x20 ? MODEL_PACKED : 0);
	/* A packed ring may be of any size. */
	if (how & 0x20 && how & 0x10 && ring_size > 2)
		ring_size--;
	model_queue_init(&s.m, size_max, ring_size, s.features, fuzz_u16(&in));
	s.m.mem.piece = how & 0x40 ? 64 : 0;
	s.n = 0;
	s.last_was_pop = false;
	while (in.left)
		step(&s, &in);
	while (s.n)
		push(&s, 0, 0);
	publish(&s);
	for (uint16_t i = 0; i < ring_size; i++)
		assert_int_equal(s.m.q.busy[i], 0);
	assert_int_equal(s.m.q.in_flight, 0);
	assert_int_equal(s.m.mem.live, 0);
	model_queue_finish(&s.m);
	return 0;
}
