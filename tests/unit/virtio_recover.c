/* SPDX-License-Identifier: MIT */
/*
 * The in-flight area and taking a queue over from a process that died.
 *
 * The main test runs a queue's life in a child process, one machine instruction
 * at a time, and at every state of the shared memory that the life goes through
 * pretends that the child was killed there: a new queue recovers from a copy.
 * What it gives has to be exactly what the driver offered and was not shown as
 * used, oldest first. The recovery is then treated in the same way.
 */
#include "lib/model_queue.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RING = 4,  /* entries */
	LIFE = 70, /* steps of a life */
	HISTORY = 128,
	/* Everything that a process leaves behind: ring and in-flight area. */
	LEFT_BYTES = 512,
	STATES_MAX = 2000,
};

/* What the driver offered and what it was shown, in order. */
struct history {
	uint64_t layout; /* feature RING_PACKED, or 0 */
	uint16_t base;
	uint16_t offered[HISTORY];
	uint16_t offered_at[HISTORY]; /* positions */
	uint16_t length[HISTORY];     /* of the chains offered: descriptors */
	unsigned int noffered;
	uint16_t used[HISTORY];
	uint16_t used_at[HISTORY];
	unsigned int nused;
};

static void queue_over_shared(struct model_queue *m, uint64_t features,
			      uint16_t base)
{
	size_t bytes = virtq_inflight_bytes(RING, features & MODEL_PACKED);

	model_queue_init(m, RING, RING, features, base);
	virtqueue_stop(&m->q);
	free(m->inflight);
	m->inflight = model_at(&m->mem, MODEL_BASE + LEFT_BYTES / 2,
			       LEFT_BYTES / 2);
	assert_true(m->ring.used_at + model_ring_bytes(&m->ring).device <
		    MODEL_BASE + LEFT_BYTES / 2);
	assert_true(bytes <= LEFT_BYTES / 2);
	memset(m->inflight, 0, bytes);
	model_queue_start(m, features, base);
}

static void queue_over_shared_finish(struct model_queue *m)
{
	m->inflight = NULL;
	model_queue_finish(m);
}

/* ---- the life of a queue ------------------------------------------------- */

struct life {
	struct model_queue *m;
	struct history *history;
	uint16_t popped[RING];
	unsigned int npopped;
	uint64_t rnd;
};

/* Chains of one and of two descriptors. */
static void life_offer(struct life *life)
{
	const struct model_buf bufs[2] = { { MODEL_DATA, 16, false },
					   { MODEL_DATA, 16, true } };
	unsigned int n = 1 + model_random_below(&life->rnd, 2);
	struct history *h = life->history;
	struct model_ring *ring = &life->m->ring;

	if ((ring->packed ? ring->room : ring->nfree) < n)
		return;
	h->offered_at[h->noffered] = ring->avail_next;
	h->length[h->noffered] = (uint16_t)n;
	h->offered[h->noffered++] = model_offer(ring, bufs, n);
}

static void life_pop(struct life *life)
{
	struct virtq_chain chain;

	if (virtqueue_pop(&life->m->q, &chain) == 1)
		life->popped[life->npopped++] = chain.head;
}

/* Pop a chain for which there is no room, and give it back. */
static void life_unpop(struct life *life)
{
	struct virtq_chain chain;

	if (virtqueue_pop(&life->m->q, &chain) == 1)
		virtqueue_unpop(&life->m->q, chain.head);
}

static void life_push(struct life *life)
{
	unsigned int i;

	if (life->npopped == 0)
		return;
	i = model_random_below(&life->rnd, life->npopped);
	virtqueue_push(&life->m->q, life->popped[i], 0);
	life->popped[i] = life->popped[--life->npopped];
}

static void life_publish(struct life *life)
{
	struct history *h = life->history;
	struct vring_used_elem elem;
	uint16_t at = life->m->ring.used_seen;

	virtqueue_publish(&life->m->q);
	while (model_used(&life->m->ring, &elem)) {
		h->used_at[h->nused] = at;
		h->used[h->nused++] = (uint16_t)elem.id;
		at = life->m->ring.used_seen;
	}
}

static void live(struct model_queue *m, struct history *history, uint64_t seed)
{
	struct life life = { .m = m, .history = history, .rnd = seed };

	for (int step = 0; step < LIFE; step++) {
		switch (model_random_below(&life.rnd, 8)) {
		case 0:
		case 1:
			life_offer(&life);
			break;
		case 2:
		case 3:
			life_pop(&life);
			break;
		case 4:
		case 5:
			life_push(&life);
			break;
		case 6:
			life_unpop(&life);
			break;
		default:
			life_publish(&life);
		}
	}
}

/* ---- every state of the memory ------------------------------------------- */

/* Of a history: what the driver has made available and has seen as used. */
struct progress {
	unsigned int offered;
	unsigned int shown;
};

struct states {
	unsigned int n;
	uint8_t bytes[STATES_MAX][LEFT_BYTES];
	struct progress progress[STATES_MAX];
};

static struct states states; /* large */

/*
 * How far a ring has got since `p`. In a packed ring a descriptor says that
 * only until it is written again, so every state has to be looked at.
 */
static void make_progress(struct progress *p, const struct history *h,
			  const struct model_ring *ring)
{
	if (!ring->packed) {
		p->offered = (uint16_t)(ring->avail->idx - h->base);
		p->shown = (uint16_t)(ring->used->idx - h->base);
		return;
	}
	while (p->offered < h->noffered) {
		uint16_t at = h->offered_at[p->offered];

		if ((ring->pdesc[at % RING].flags & (1u << 7 | 1u << 15)) !=
		    model_packed_flags(ring, at, false))
			break;
		p->offered++;
	}
	while (p->shown < h->nused &&
	       model_packed_is_used(ring, h->used_at[p->shown]))
		p->shown++;
}

static void note_state(const struct model_queue *m, const struct history *h)
{
	unsigned int n = states.n;
	const uint8_t *memory = m->mem.bytes;

	if (n && !memcmp(states.bytes[n - 1], memory, LEFT_BYTES))
		return;
	assert_true(n < STATES_MAX);
	memcpy(states.bytes[n], memory, LEFT_BYTES);
	if (n)
		states.progress[n] = states.progress[n - 1];
	make_progress(&states.progress[n], h, &m->ring);
	states.n++;
}

static void step_child(pid_t child, const struct model_queue *m,
		       const struct history *h)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	states.n = 0;
	while (WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status);

		note_state(m, h);
		/* Anything but a step is the child's fault: let it die. */
		sig = sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL,
					(void *)(intptr_t)sig),
				 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * Run `act` in a child and collect the states that the memory of `m` goes
 * through; `from` is how far `h` had got before.
 */
static void collect(const struct model_queue *m, const struct history *h,
		    struct progress from, void (*act)(void *), void *arg)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(9);
		raise(SIGSTOP);
		act(arg);
		_exit(0);
	}
	states.progress[0] = from;
	step_child(child, m, h);
}

/* ---- what has to be recovered -------------------------------------------- */

struct expected {
	uint16_t head[HISTORY];
	uint16_t length[HISTORY];
	unsigned int n;
};

/* What was offered and not shown, in order. */
static void expect(struct expected *e, const struct history *h,
		   const struct progress *p)
{
	unsigned int offered = p->offered, shown = p->shown;

	e->n = 0;
	for (unsigned int i = 0; i < offered; i++) {
		e->head[e->n] = h->offered[i];
		e->length[e->n++] = h->length[i];
	}
	for (unsigned int i = 0; i < shown; i++) {
		unsigned int k = 0;

		while (k < e->n && e->head[k] != h->used[i])
			k++;
		assert_true(k < e->n);
		e->n--;
		memmove(&e->head[k], &e->head[k + 1],
			(e->n - k) * sizeof(e->head[0]));
		memmove(&e->length[k], &e->length[k + 1],
			(e->n - k) * sizeof(e->length[0]));
	}
}

/* The next chain of a taken over queue, whoever popped it first. */
static int take_next(struct virtqueue *q, struct virtq_chain *chain)
{
	int r = virtqueue_repop(q, chain);

	return r ? r : virtqueue_pop(q, chain);
}

/* The `i`th used element since the queue was taken over at `used`. */
static uint32_t used_id(const struct model_queue *m, uint16_t used,
			const uint16_t *length, unsigned int i)
{
	if (!m->ring.packed)
		return m->ring.used->ring[(uint16_t)(used + i) % RING].id;
	used &= VRING_PACKED_INDEX;
	for (unsigned int k = 0; k < i; k++)
		used = (uint16_t)(used + length[k]);
	return m->ring.pdesc[used % RING].id;
}

/* The in-flight area tells of nothing and is whole. */
static void check_area(struct model_queue *m)
{
	assert_int_equal(model_inflight(m), 0);
	if (!m->ring.packed) {
		assert_int_equal(m->inflight->used_idx, m->ring.used->idx);
		return;
	}
	assert_int_equal(virtqueue_recover(&m->q), 0);
}

/* Behind what is used there is nothing that a driver could take for used. */
static void check_end_of_used(const struct model_queue *m)
{
	uint16_t at = m->q.used_next;
	uint16_t used = VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED;

	if (m->ring.packed)
		assert_int_not_equal(
			m->ring.pdesc[at & VRING_PACKED_INDEX].flags & used,
			at & VRING_PACKED_WRAP ? used : 0);
}

/*
 * Recover in `m`, whose memory is what was left, and finish everything: at once
 * or, if `each`, chain by chain.
 */
static void recover_and_finish(struct model_queue *m, const struct expected *e,
			       bool each)
{
	struct virtq_chain chain;
	uint16_t used;
	int n = virtqueue_recover(&m->q);

	assert_in_range(n, 0, e->n);
	used = m->q.used_next;
	for (unsigned int i = 0; i < e->n; i++) {
		assert_int_equal(take_next(&m->q, &chain), 1);
		assert_int_equal(chain.head, e->head[i]);
		assert_int_equal(chain.ranges[0].addr, MODEL_DATA);
		assert_int_equal(chain.n, e->length[i]);
	}
	assert_int_equal(take_next(&m->q, &chain), 0);
	assert_int_equal(m->q.in_flight, e->n);
	for (unsigned int i = 0; i < e->n; i++) {
		virtqueue_push(&m->q, e->head[i], 0);
		if (!each)
			continue;
		virtqueue_publish(&m->q);
		check_end_of_used(m);
	}
	virtqueue_publish(&m->q);
	check_end_of_used(m);
	if (!m->ring.packed)
		assert_int_equal(m->ring.used->idx, (uint16_t)(used + e->n));
	for (unsigned int i = 0; i < e->n; i++)
		assert_int_equal(used_id(m, used, e->length, i), e->head[i]);
	check_area(m);
}

/* A new process on memory `left`: start with what it finds there. */
static void take_over(struct model_queue *m, const uint8_t *left)
{
	virtqueue_stop(&m->q);
	memcpy(m->mem.bytes, left, LEFT_BYTES);
	virtqueue_init(&m->q, RING, m->scratch, &m->mem.memory);
	model_queue_start(m, m->ring.packed ? MODEL_PACKED : 0, 0);
}

struct lived {
	struct model_queue *m;
	struct history *history;
	uint64_t seed;
};

static void act_live(void *arg)
{
	struct lived *lived = arg;

	live(lived->m, lived->history, lived->seed);
}

/* A life in which nobody dies tells the history of those that are killed. */
static void live_through(struct history *history, uint64_t seed)
{
	struct model_queue m;

	queue_over_shared(&m, history->layout, history->base);
	live(&m, history, seed);
	m.q.in_flight = 0;
	queue_over_shared_finish(&m);
}

/* All states of one life, each recovered from. */
static void kill_everywhere(uint64_t layout, uint16_t base, uint64_t seed)
{
	struct history dry = { .layout = layout, .base = base }, wet = dry;
	struct model_queue m, r;
	struct lived lived = { &m, &wet, seed };
	struct expected e;

	live_through(&dry, seed);
	queue_over_shared(&m, layout, base);
	queue_over_shared(&r, layout, base);
	collect(&m, &dry, (struct progress){ 0 }, act_live, &lived);
	assert_true(states.n > 50);
	for (unsigned int i = 0; i < states.n; i++) {
		take_over(&r, states.bytes[i]);
		expect(&e, &dry, &states.progress[i]);
		recover_and_finish(&r, &e, i % 2);
	}
	queue_over_shared_finish(&r);
	queue_over_shared_finish(&m);
}

/* The positions run over 16 bits on the way. */
static void test_killed_at_every_instruction(void **state)
{
	kill_everywhere(model_layout(state), 65530, 0x9e3779b97f4a7c15u);
}

/* ---- killed while it recovers -------------------------------------------- */

struct recovery {
	struct model_queue *m;
	struct expected e;
};

/* Finish in two batches, newest first, so that both orders are seen. */
static void act_recover(void *arg)
{
	struct recovery *rec = arg;
	struct virtqueue *q = &rec->m->q;
	struct virtq_chain chain;
	uint16_t head[RING];
	int n = 0;

	if (virtqueue_recover(q) < 0)
		_exit(1);
	while (n < RING && take_next(q, &chain) == 1)
		head[n++] = chain.head;
	while (n--) {
		virtqueue_push(q, head[n], 0);
		if (n % 2)
			virtqueue_publish(q);
	}
	virtqueue_publish(q);
}

/* The order in which act_recover() finishes: the end of the list first. */
static void expect_less(struct expected *e, const struct expected *all,
			unsigned int shown)
{
	assert_true(shown <= all->n);
	*e = *all;
	e->n = all->n - shown;
}

struct chosen {
	uint8_t left[LEFT_BYTES];
	struct progress progress;
};

/* The history up to `p`, and what act_recover() then makes of it. */
static void foresee(struct history *out, const struct history *h,
		    const struct progress *p, const struct expected *e)
{
	uint16_t at = h->base;

	*out = *h;
	out->noffered = p->offered;
	out->nused = p->shown;
	for (unsigned int i = 0; i < p->offered; i++)
		at = (uint16_t)(at + h->length[i]);
	for (unsigned int i = 0; i < e->n; i++)
		at = (uint16_t)(at - e->length[i]);
	for (unsigned int i = e->n; i--;) {
		out->used[out->nused] = e->head[i];
		out->used_at[out->nused++] = at;
		at = (uint16_t)(at + e->length[i]);
	}
}

static void kill_recovery(const struct chosen *from, const struct history *h)
{
	struct model_queue m, r;
	struct recovery rec = { .m = &m };
	struct history then;
	struct expected e;

	queue_over_shared(&m, h->layout, h->base);
	queue_over_shared(&r, h->layout, h->base);
	take_over(&m, from->left);
	expect(&rec.e, h, &from->progress);
	foresee(&then, h, &from->progress, &rec.e);
	collect(&m, &then, from->progress, act_recover, &rec);
	for (unsigned int i = 0; i < states.n; i++) {
		take_over(&r, states.bytes[i]);
		expect_less(&e, &rec.e,
			    states.progress[i].shown - from->progress.shown);
		recover_and_finish(&r, &e, i % 2);
	}
	queue_over_shared_finish(&r);
	queue_over_shared_finish(&m);
}

/* States in which three and more chains are in flight are of interest. */
static void test_killed_while_recovering(void **state)
{
	const uint64_t seed = 77;
	static struct chosen chosen[5];
	struct history dry = { .layout = model_layout(state) }, wet = dry;
	struct model_queue m;
	struct lived lived = { &m, &wet, seed };
	unsigned int n = 0;

	live_through(&dry, seed);
	queue_over_shared(&m, dry.layout, 0);
	collect(&m, &dry, (struct progress){ 0 }, act_live, &lived);
	for (unsigned int i = 0; i < states.n; i += states.n / 5 + 1, n++) {
		memcpy(chosen[n].left, states.bytes[i], LEFT_BYTES);
		chosen[n].progress = states.progress[i];
	}
	queue_over_shared_finish(&m);
	for (unsigned int i = 0; i < n; i++)
		kill_recovery(&chosen[i], &dry);
}

/* ---- killed while it starts ---------------------------------------------- */

static void act_start(void *arg)
{
	struct model_queue *m = arg;

	model_queue_start(m, m->ring.packed ? MODEL_PACKED : 0, 0);
}

/* An area is believed only when all is there that it needs. */
static void test_killed_while_starting(void **state)
{
	struct history none = { .layout = model_layout(state) };
	struct model_queue m, r;

	queue_over_shared(&m, none.layout, 0);
	queue_over_shared(&r, none.layout, 0);
	virtqueue_stop(&m.q);
	memset(m.inflight, 0, virtq_inflight_bytes(RING, none.layout));
	collect(&m, &none, (struct progress){ 0 }, act_start, &m);
	assert_true(states.n > 2);
	for (unsigned int i = 0; i < states.n; i++) {
		take_over(&r, states.bytes[i]);
		assert_int_equal(virtqueue_recover(&r.q), 0);
	}
	queue_over_shared_finish(&r);
	queue_over_shared_finish(&m);
}

/* ---- contents and refusals ----------------------------------------------- */

/* The fields after each step, as the vhost-user document tells them. */
static void test_contents(void **state)
{
	struct model_queue m;
	struct virtq_inflight *in;
	uint16_t a, b;

	(void)state;
	queue_over_shared(&m, 0, 0);
	in = m.inflight;
	assert_int_equal(in->version, 1);
	assert_int_equal(in->desc_num, RING);
	assert_int_equal(in->used_idx, 0);
	assert_int_equal(in->features, 0);
	a = model_offer_pair(&m.ring);
	b = model_offer_pair(&m.ring);
	model_pop(&m, a);
	assert_int_equal(in->desc[a].inflight, 1);
	assert_int_equal(in->desc[b].inflight, 0);
	model_pop(&m, b);
	assert_int_equal(in->desc[b].inflight, 1);
	assert_true(in->desc[b].counter > in->desc[a].counter);
	virtqueue_push(&m.q, b, 1);
	assert_int_equal(in->last_batch_head, b);
	assert_int_equal(in->desc[b].inflight, 1);
	virtqueue_push(&m.q, a, 1);
	assert_int_equal(in->last_batch_head, a);
	assert_int_equal(in->desc[a].next, b);
	assert_int_equal(in->desc[a].inflight, 1);
	assert_int_equal(in->used_idx, 0);
	virtqueue_publish(&m.q);
	assert_int_equal(in->desc[a].inflight, 0);
	assert_int_equal(in->desc[b].inflight, 0);
	assert_int_equal(in->used_idx, 2);
	queue_over_shared_finish(&m);
}

static void test_recover_refuses(void **state)
{
	struct model_queue m;

	(void)state;
	queue_over_shared(&m, 0, 0);
	m.inflight->version = 2;
	assert_int_equal(virtqueue_recover(&m.q), -EINVAL);
	m.inflight->version = 1;
	m.inflight->desc_num = RING * 2;
	assert_int_equal(virtqueue_recover(&m.q), -EINVAL);
	m.inflight->desc_num = RING;
	m.ring.used->idx = RING + 1;
	assert_int_equal(virtqueue_recover(&m.q), -EINVAL);
	m.ring.used->idx = 0xffff;
	assert_int_equal(virtqueue_recover(&m.q), -EINVAL);
	m.ring.used->idx = 0;
	assert_int_equal(virtqueue_recover(&m.q), 0);
	queue_over_shared_finish(&m);
}

/* The driver broke a chain meanwhile: it and all later ones are dropped. */
static void test_repop_of_broken_chains(void **state)
{
	struct model_queue m;
	struct virtq_chain chain;
	uint16_t head[3];
	uint8_t left[LEFT_BYTES];

	(void)state;
	queue_over_shared(&m, 0, 0);
	for (int i = 0; i < 3; i++)
		head[i] = model_offer(
			&m.ring, &(struct model_buf){ MODEL_DATA, 16, false },
			1);
	for (int i = 0; i < 3; i++)
		model_pop(&m, head[i]);
	m.ring.desc[head[1]].flags = VRING_DESC_NEXT;
	m.ring.desc[head[1]].next = head[1];
	memcpy(left, m.mem.bytes, LEFT_BYTES);
	m.q.in_flight = 0;
	take_over(&m, left);
	assert_int_equal(virtqueue_recover(&m.q), 3);
	assert_int_equal(virtqueue_repop(&m.q, &chain), 1);
	assert_int_equal(chain.head, head[0]);
	assert_int_equal(virtqueue_repop(&m.q, &chain), -ELOOP);
	assert_int_equal(virtqueue_repop(&m.q, &chain), -ERANGE);
	assert_int_equal(virtqueue_repop(&m.q, &chain), 0);
	assert_true(m.q.broken);
	assert_int_equal(m.q.in_flight, 1);
	virtqueue_push(&m.q, head[0], 0);
	virtqueue_publish(&m.q);
	queue_over_shared_finish(&m);
}

/* Anything at all in the in-flight area: refused, or a number of chains. */
static void test_hostile_contents(void **state)
{
	uint64_t rnd = 4711;
	struct model_queue m;

	(void)state;
	queue_over_shared(&m, 0, 0);
	for (unsigned int round = 0; round < 200000; round++) {
		uint8_t left[LEFT_BYTES];
		struct virtq_chain chain;
		int n, r;

		for (unsigned int i = 0; i < LEFT_BYTES; i++)
			left[i] = (uint8_t)(model_random(&rnd) >> 24);
		take_over(&m, left);
		m.inflight->version = 1;
		m.inflight->desc_num = RING;
		if (round % 2)
			m.inflight->used_idx = (uint16_t)(m.ring.used->idx -
							  round % (RING + 1));
		n = virtqueue_recover(&m.q);
		assert_in_range(n + EINVAL, 0, RING + EINVAL);
		while (n > 0 && (r = virtqueue_repop(&m.q, &chain)) != 0) {
			n--;
			if (r == 1)
				virtqueue_push(&m.q, chain.head, 0);
		}
		virtqueue_publish(&m.q);
		assert_int_equal(m.q.in_flight, 0);
	}
	queue_over_shared_finish(&m);
}

/* A packed queue's area with two chains in flight, of two and one entries. */
static void leave_two(struct model_queue *m)
{
	queue_over_shared(m, MODEL_PACKED, 0);
	model_pop(m, model_offer_pair(&m->ring));
	model_pop(m,
		  model_offer(&m->ring,
			      &(struct model_buf){ MODEL_DATA, 16, false }, 1));
	m->q.in_flight = 0;
	virtqueue_stop(&m->q);
	model_queue_start(m, MODEL_PACKED, 0);
}

static void test_packed_contents(void **state)
{
	struct virtq_inflight_packed *in;
	struct model_queue m;
	uint16_t a, b;

	(void)state;
	queue_over_shared(&m, MODEL_PACKED, 0);
	in = m.inflight_packed;
	assert_int_equal(in->version, 1);
	assert_int_equal(in->desc_num, RING);
	assert_int_equal(in->features, 0);
	assert_int_equal(in->positions.used_wrap, 1);
	assert_int_equal(in->positions.old_used_wrap, 1);
	a = model_offer_pair(&m.ring);
	b = model_offer_pair(&m.ring);
	model_pop(&m, a);
	model_pop(&m, b);
	assert_int_equal(in->desc[0].inflight, 1);
	assert_int_equal(in->desc[0].num, 2);
	assert_int_equal(in->desc[0].last, 1);
	assert_int_equal(in->desc[0].next, 1);
	assert_int_equal(in->desc[0].addr, MODEL_DATA);
	assert_int_equal(in->desc[1].id, a);
	assert_int_equal(in->desc[1].len, 1);
	assert_int_equal(in->desc[2].inflight, 1);
	assert_int_equal(in->desc[3].id, b);
	assert_true(in->desc[2].counter > in->desc[0].counter);
	assert_int_equal(in->free.head, RING);
	virtqueue_push(&m.q, b, 1);
	virtqueue_publish(&m.q);
	assert_int_equal(in->desc[2].inflight, 0);
	assert_int_equal(in->desc[0].inflight, 1);
	assert_int_equal(in->free.head, 2);
	assert_int_equal(in->free.old_head, 2);
	assert_int_equal(in->positions.used_idx, 2);
	assert_int_equal(in->positions.old_used_idx, 2);
	virtqueue_push(&m.q, a, 1);
	virtqueue_publish(&m.q);
	assert_int_equal(in->free.head, 0);
	assert_int_equal(in->positions.used_idx, 0);
	assert_int_equal(in->positions.used_wrap, 0);
	assert_int_equal(in->positions.old_used_wrap, 0);
	queue_over_shared_finish(&m);
}

/* Each field of the area that can be wrong, wrong. */
static void test_packed_recover_refuses(void **state)
{
	(void)state;
	for (int i = 0; i < 17; i++) {
		struct virtq_inflight_packed *in;
		struct virtq_chain chain;
		struct model_queue m;

		leave_two(&m);
		in = m.inflight_packed;
		in->version = i == 1 ? 2 : 1;
		in->desc_num = i == 2 ? RING - 1 : RING;
		in->positions.used_idx = i == 3 ? RING : 0;
		in->positions.old_used_idx = i == 4 ? RING : 0;
		in->positions.used_wrap = i == 5 ? 2 : 1;
		in->positions.old_used_wrap = i == 6 ? 0xff : 1;
		/*
		 * The free list: too long, too short, in a circle, to a chain.
		 */
		in->free.old_head = i == 7 ? 1 : i == 8 ? RING : 3;
		in->desc[3].next = i == 9 ? 3 : i == 10 ? 0 : RING;
		/* The chains: sizes, lists, ids, ones that are lost. */
		in->desc[0].num = i == 11 ? 0 : i == 12 ? 5 : 2;
		in->desc[0].next = i == 13 ? 2 : i == 14 ? 0xffff : 1;
		in->desc[1].id = i == 15 ? RING :
				 i == 16 ? in->desc[2].id :
					   in->desc[1].id;
		assert_int_equal(virtqueue_recover(&m.q), i ? -EINVAL : 2);
		assert_int_equal(virtqueue_pop(&m.q, &chain), 0);
		/* A queue that was refused can be stopped. */
		m.q.in_flight = i ? m.q.in_flight : 0;
		virtqueue_stop(&m.q);
		model_queue_start(&m, MODEL_PACKED, 0);
		queue_over_shared_finish(&m);
	}
}

/* A few bytes of an area changed: refused, or a number of chains. */
static void test_packed_hostile_contents(void **state)
{
	uint8_t good[LEFT_BYTES], left[LEFT_BYTES];
	uint64_t rnd = 4712;
	unsigned int taken = 0;
	struct model_queue m;

	(void)state;
	leave_two(&m);
	memcpy(good, m.mem.bytes, LEFT_BYTES);
	for (unsigned int round = 0; round < 200000; round++) {
		struct virtq_chain chain;
		int n, r;

		memcpy(left, good, LEFT_BYTES);
		for (unsigned int i = model_random_below(&rnd, 4); i; i--)
			left[model_random_below(&rnd, LEFT_BYTES)] =
				(uint8_t)model_random_below(&rnd, 256);
		take_over(&m, left);
		n = virtqueue_recover(&m.q);
		assert_in_range(n + EINVAL, 0, RING + EINVAL);
		taken += n > 0;
		while (n > 0 && (r = virtqueue_repop(&m.q, &chain)) != 0) {
			n--;
			if (r == 1)
				virtqueue_push(&m.q, chain.head, 0);
		}
		while (virtqueue_pop(&m.q, &chain) == 1)
			virtqueue_push(&m.q, chain.head, 0);
		virtqueue_publish(&m.q);
		assert_int_equal(m.q.in_flight, 0);
	}
	assert_true(taken > 1000);
	queue_over_shared_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_recover_refuses),
		cmocka_unit_test(test_repop_of_broken_chains),
		cmocka_unit_test(test_hostile_contents),
		cmocka_unit_test(test_packed_contents),
		cmocka_unit_test(test_packed_recover_refuses),
		cmocka_unit_test(test_packed_hostile_contents),
		model_test_both(test_killed_at_every_instruction),
		model_test_both(test_killed_while_recovering),
		model_test_both(test_killed_while_starting),
	};

	return cmocka_run_group_tests_name("virtio_recover", tests, NULL, NULL);
}
