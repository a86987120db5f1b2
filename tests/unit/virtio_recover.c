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
#include "model_queue.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RING = 4,		/* entries */
	LIFE = 70,		/* steps of a life */
	HISTORY = 128,
	/* Everything that a process leaves behind: ring and in-flight area. */
	LEFT_BYTES = 512,
	STATES_MAX = 2000,
};

/* What the driver offered and what it was shown, in order. */
struct history {
	uint16_t base;
	uint16_t offered[HISTORY];
	unsigned int noffered;
	uint16_t used[HISTORY];
	unsigned int nused;
};

static void queue_over_shared(struct model_queue *m, uint64_t features,
			      uint16_t base)
{
	model_queue_init(m, RING, RING, features, base);
	virtqueue_stop(&m->q);
	free(m->inflight);
	m->inflight = model_at(&m->mem, MODEL_BASE + LEFT_BYTES / 2,
			       LEFT_BYTES / 2);
	assert_true(m->ring.used_at + vring_used_bytes(RING) <
		    MODEL_BASE + LEFT_BYTES / 2);
	memset(m->inflight, 0, virtq_inflight_bytes(RING));
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

static void life_offer(struct life *life)
{
	const struct model_buf buf = { MODEL_DATA, 16, false };

	if (life->m->ring.nfree == 0)
		return;
	life->history->offered[life->history->noffered++] =
		model_offer(&life->m->ring, &buf, 1);
}

static void life_pop(struct life *life)
{
	struct virtq_chain chain;

	if (virtqueue_pop(&life->m->q, &chain) == 1)
		life->popped[life->npopped++] = chain.head;
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
	struct vring_used_elem elem;

	virtqueue_publish(&life->m->q);
	while (model_used(&life->m->ring, &elem))
		life->history->used[life->history->nused++] =
			(uint16_t)elem.id;
}

static void live(struct model_queue *m, struct history *history, uint64_t seed)
{
	struct life life = { .m = m, .history = history, .rnd = seed };

	for (int step = 0; step < LIFE; step++) {
		switch (model_random_below(&life.rnd, 7)) {
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
		default:
			life_publish(&life);
		}
	}
}

/* ---- every state of the memory ------------------------------------------- */

struct states {
	unsigned int n;
	uint8_t bytes[STATES_MAX][LEFT_BYTES];
};

static struct states states;	/* large */

static void note_state(const uint8_t *memory)
{
	unsigned int n = states.n;

	if (n && !memcmp(states.bytes[n - 1], memory, LEFT_BYTES))
		return;
	assert_true(n < STATES_MAX);
	memcpy(states.bytes[n], memory, LEFT_BYTES);
	states.n++;
}

static void step_child(pid_t child, const uint8_t *memory)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	states.n = 0;
	while (WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status);

		note_state(memory);
		/* Anything but a step is the child's fault: let it die. */
		sig = sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL,
					(void *)(intptr_t)sig), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Run `act` in a child and collect the states that `memory` goes through. */
static void collect(const uint8_t *memory, void (*act)(void *), void *arg)
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
	step_child(child, memory);
}

/* ---- what has to be recovered -------------------------------------------- */

struct expected {
	uint16_t head[HISTORY];
	unsigned int n;
};

/* What was offered up to avail.idx and not shown up to used.idx, in order. */
static void expect(struct expected *e, const struct history *h,
		   const struct model_queue *m)
{
	unsigned int offered = (uint16_t)(m->ring.avail->idx - h->base);
	unsigned int shown = (uint16_t)(m->ring.used->idx - h->base);

	e->n = 0;
	for (unsigned int i = 0; i < offered; i++)
		e->head[e->n++] = h->offered[i];
	for (unsigned int i = 0; i < shown; i++) {
		unsigned int k = 0;

		while (k < e->n && e->head[k] != h->used[i])
			k++;
		assert_true(k < e->n);
		e->n--;
		memmove(&e->head[k], &e->head[k + 1],
			(e->n - k) * sizeof(e->head[0]));
	}
}

/* The next chain of a taken over queue, whoever popped it first. */
static int take_next(struct virtqueue *q, struct virtq_chain *chain)
{
	int r = virtqueue_repop(q, chain);

	return r ? r : virtqueue_pop(q, chain);
}

/* Recover in `m`, whose memory is what was left, and finish everything. */
static void recover_and_finish(struct model_queue *m, const struct expected *e)
{
	uint16_t used = m->ring.used->idx;
	struct virtq_chain chain;
	int n = virtqueue_recover(&m->q);

	assert_in_range(n, 0, e->n);
	for (unsigned int i = 0; i < e->n; i++) {
		assert_int_equal(take_next(&m->q, &chain), 1);
		assert_int_equal(chain.head, e->head[i]);
	}
	assert_int_equal(take_next(&m->q, &chain), 0);
	assert_int_equal(m->q.in_flight, e->n);
	for (unsigned int i = 0; i < e->n; i++)
		virtqueue_push(&m->q, e->head[i], 0);
	virtqueue_publish(&m->q);
	assert_int_equal(m->ring.used->idx, (uint16_t)(used + e->n));
	for (unsigned int i = 0; i < e->n; i++)
		assert_int_equal(
			m->ring.used->ring[(uint16_t)(used + i) % RING].id,
			e->head[i]);
	for (unsigned int i = 0; i < RING; i++)
		assert_int_equal(m->inflight->desc[i].inflight, 0);
	assert_int_equal(m->inflight->used_idx, m->ring.used->idx);
}

/* A new process on memory `left`: start with what it finds there. */
static void take_over(struct model_queue *m, const uint8_t *left)
{
	virtqueue_stop(&m->q);
	memcpy(m->mem.bytes, left, LEFT_BYTES);
	virtqueue_init(&m->q, RING, m->scratch, &m->mem.memory);
	model_queue_start(m, 0, 0);
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

/* All states of one life, each recovered from. */
static void kill_everywhere(uint16_t base, uint64_t seed)
{
	struct history dry = { .base = base }, wet = { .base = base };
	struct model_queue m, r;
	struct lived lived = { &m, &wet, seed };
	struct expected e;

	/* Once for the history, then in the child. */
	queue_over_shared(&m, 0, base);
	live(&m, &dry, seed);
	m.q.in_flight = 0;
	queue_over_shared_finish(&m);
	queue_over_shared(&m, 0, base);
	queue_over_shared(&r, 0, base);
	collect(m.mem.bytes, act_live, &lived);
	assert_true(states.n > 50);
	for (unsigned int i = 0; i < states.n; i++) {
		take_over(&r, states.bytes[i]);
		expect(&e, &dry, &r);
		recover_and_finish(&r, &e);
	}
	queue_over_shared_finish(&r);
	queue_over_shared_finish(&m);
}

static void test_killed_at_every_instruction(void **state)
{
	static const uint16_t bases[] = { 0, 65530, 32765 };

	(void)state;
	for (unsigned int b = 0; b < 3; b++)
		kill_everywhere(bases[b], (b + 1) * 0x9e3779b97f4a7c15u);
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

static void kill_recovery(const uint8_t *left, const struct history *h)
{
	struct model_queue m, r;
	struct recovery rec = { .m = &m };
	struct expected e;
	uint16_t used;

	queue_over_shared(&m, 0, h->base);
	queue_over_shared(&r, 0, h->base);
	take_over(&m, left);
	used = m.ring.used->idx;
	expect(&rec.e, h, &m);
	collect(m.mem.bytes, act_recover, &rec);
	for (unsigned int i = 0; i < states.n; i++) {
		take_over(&r, states.bytes[i]);
		expect_less(&e, &rec.e,
			    (uint16_t)(r.ring.used->idx - used));
		recover_and_finish(&r, &e);
	}
	queue_over_shared_finish(&r);
	queue_over_shared_finish(&m);
}

/* States in which three and more chains are in flight are of interest. */
static void test_killed_while_recovering(void **state)
{
	const uint64_t seed = 77;
	static uint8_t chosen[6][LEFT_BYTES];
	struct history dry = { .base = 0 }, wet = { .base = 0 };
	struct model_queue m;
	struct lived lived = { &m, &wet, seed };
	unsigned int n = 0;

	(void)state;
	queue_over_shared(&m, 0, 0);
	live(&m, &dry, seed);
	m.q.in_flight = 0;
	queue_over_shared_finish(&m);
	queue_over_shared(&m, 0, 0);
	collect(m.mem.bytes, act_live, &lived);
	for (unsigned int i = 0; i < states.n; i += states.n / 6 + 1)
		memcpy(chosen[n++], states.bytes[i], LEFT_BYTES);
	queue_over_shared_finish(&m);
	for (unsigned int i = 0; i < n; i++)
		kill_recovery(chosen[i], &dry);
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
		head[i] = model_offer(&m.ring, &(struct model_buf){
					      MODEL_DATA, 16, false }, 1);
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
			m.inflight->used_idx = (uint16_t)(
				m.ring.used->idx - round % (RING + 1));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_recover_refuses),
		cmocka_unit_test(test_repop_of_broken_chains),
		cmocka_unit_test(test_hostile_contents),
		cmocka_unit_test(test_killed_at_every_instruction),
		cmocka_unit_test(test_killed_while_recovering),
	};

	return cmocka_run_group_tests_name("virtio_recover", tests, NULL,
					   NULL);
}
