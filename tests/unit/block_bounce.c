/* SPDX-License-Identifier: MIT */
/*
 * The bounce buffers in front of a fake engine; and the arena by itself against
 * a naive model.
 */
#include "lib/block_fake.h"

#include "block/arena.h"
#include "block/bounce.h"

static struct block_engine *open_bounce(unsigned int depth)
{
	struct block_engine *engine;

	assert_int_equal(block_bounce_open(&engine, fake_open(), depth), 0);
	assert_string_equal(engine->kind->name, "fake");
	return engine;
}

/* What can go uncopied goes uncopied. */
static void test_pass_through(void **state)
{
	struct block_engine *engine = open_bounce(4);
	unsigned char *memory = aligned_alloc(4096, 8192);
	struct virtio_iov iov[] = {
		{ memory + 512, 1024 },
		{ memory + 4096, 512 },
	};
	struct block_request req = {
		.op = BLOCK_READ,
		.niov = 2,
		.length = 1536,
		.iov = iov,
	};
	struct block_request flush = { .op = BLOCK_FLUSH };

	(void)state;
	block_engine_queue(engine, &req);
	block_engine_queue(engine, &flush);
	block_engine_commit(engine);
	assert_int_equal(fake.commits, 1);
	assert_ptr_equal(fake.held[0], &req);
	assert_ptr_equal(fake.held[1], &flush);
	fake_complete(1, 0);
	fake_complete(0, 0);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
	free(memory);
}

/* Each reason to bounce by itself. */
static void test_reasons(void **state)
{
	struct block_engine *engine = open_bounce(4);
	unsigned char *memory = aligned_alloc(4096, 8192);
	struct virtio_iov whole = { memory, 1024 };
	struct virtio_iov base = { memory + 4, 1024 };
	struct virtio_iov lengths[] = {
		{ memory, 100 },
		{ memory + 512, 924 },
	};
	struct block_request req[] = {
		make(BLOCK_READ, BLOCK_UNPINNABLE, 0, &whole),
		make(BLOCK_READ, 0, 0, &base),
		{ .op = BLOCK_READ, .niov = 2, .length = 1024, .iov = lengths },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		block_engine_queue(engine, &req[i]);
		assert_ptr_not_equal(fake.held[0], &req[i]);
		fake_complete(0, 0);
		assert_ptr_equal(block_engine_reap(engine, 8), &req[i]);
		assert_int_equal(req[i].result, 0);
	}
	assert_memory_equal(memory, store, 100);
	assert_memory_equal(memory + 512, store + 100, 924);
	/* Impossible with O_DIRECT, and no question to the store. */
	req[0].offset = 100;
	block_engine_queue(engine, &req[0]);
	assert_int_equal(fake.nheld, 0);
	block_engine_commit(engine);
	assert_ptr_equal(block_engine_reap(engine, 8), &req[0]);
	assert_int_equal(req[0].result, -EINVAL);
	block_engine_close(engine);
	free(memory);
}

/* A failed read leaves the guest's memory alone, and ends the request. */
static void test_failed_piece(void **state)
{
	enum { SIZE = 3 << 20 };
	struct block_engine *engine = open_bounce(4);
	unsigned char *memory = malloc(SIZE);
	unsigned char *before = malloc(SIZE);
	struct virtio_iov iov = { memory, SIZE };
	struct block_request req = make(BLOCK_READ, BLOCK_UNPINNABLE, 0, &iov);

	(void)state;
	harness_fill(memory, SIZE);
	memcpy(before, memory, SIZE);
	block_engine_queue(engine, &req);
	fake_complete(0, 0);
	assert_null(block_engine_reap(engine, 8));
	assert_int_equal(fake.nheld, 1);
	fake_complete(0, -EIO);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(req.result, -EIO);
	assert_memory_equal(memory, store, 1 << 20);
	assert_memory_equal(memory + (1 << 20), before + (1 << 20), 2 << 20);
	assert_int_equal(fake.nheld, 0);
	block_engine_close(engine);
	free(before);
	free(memory);
}

/* More than the arena holds waits, in order, and all of it gets through. */
static void test_exhaustion(void **state)
{
	enum { N = 12, SIZE = 1 << 20 };
	struct block_engine *engine = open_bounce(N);
	unsigned char *memory = malloc(SIZE);
	struct virtio_iov iov = { memory, SIZE };
	struct block_request req[N];
	unsigned int i;

	(void)state;
	for (i = 0; i < N; i++) {
		req[i] = make(BLOCK_WRITE, BLOCK_UNPINNABLE, i * SIZE, &iov);
		block_engine_queue(engine, &req[i]);
	}
	block_engine_commit(engine);
	/* 4 MiB are there for 12. */
	assert_int_equal(fake.nheld, 4);
	for (i = 0; i < N; i++) {
		assert_int_equal(fake.held[0]->offset, i * SIZE);
		fake_complete(0, 0);
		assert_ptr_equal(block_engine_reap(engine, 8), &req[i]);
		assert_int_equal(fake.commits, i < N - 4 ? i + 2 : N - 4 + 1);
	}
	assert_int_equal(fake.max_held, 4);
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
	free(memory);
}

/* With little memory free a large request goes on in small pieces. */
static void test_small_pieces(void **state)
{
	enum { SMALL = 4000 * 1024 };
	struct block_engine *engine = open_bounce(8);
	unsigned char *memory = malloc(1 << 20);
	unsigned char *last_memory = malloc(1 << 20);
	struct virtio_iov iov = { memory, SMALL / 4 };
	struct virtio_iov last_iov = { last_memory, 1 << 20 };
	struct block_request req[4], last;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		req[i] = make(BLOCK_READ, BLOCK_UNPINNABLE, 0, &iov);
		block_engine_queue(engine, &req[i]);
	}
	last = make(BLOCK_READ, BLOCK_UNPINNABLE, 4096, &last_iov);
	block_engine_queue(engine, &last);
	/* 96 KiB are left for the 1 MiB. */
	assert_int_equal(fake.nheld, 5);
	assert_int_equal(fake.held[4]->length, (4096 - 4000) * 1024);
	while (last.done < last.length) {
		fake_complete(4, 0);
		if (last.done + 96 * 1024 < last.length)
			assert_null(block_engine_reap(engine, 8));
		else
			assert_ptr_equal(block_engine_reap(engine, 8), &last);
	}
	assert_memory_equal(last_memory, store + 4096, 1 << 20);
	for (i = 0; i < 4; i++)
		fake_complete(0, 0);
	assert_non_null(block_engine_reap(engine, 8));
	block_engine_close(engine);
	free(last_memory);
	free(memory);
}

/* A piece may be done by the commit that starts it, and nothing tells of it. */
static void test_pieces_at_once(void **state)
{
	enum { SIZE = 3 << 20 };
	struct block_engine *engine = open_bounce(4);
	unsigned char *memory = malloc(SIZE);
	struct virtio_iov iov = { memory, SIZE };
	struct block_request req = make(BLOCK_READ, BLOCK_UNPINNABLE, 0, &iov);

	(void)state;
	fake.at_once = true;
	block_engine_queue(engine, &req);
	block_engine_commit(engine);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(fake.commits, 3);
	assert_memory_equal(memory, store, SIZE);
	assert_null(block_engine_reap(engine, 8));
	block_engine_close(engine);
	free(memory);
}

#define STRESS_DEPTH 24u
#define STRESS_ZONE (STORE_SIZE / 32)
#define STRESS_SEGMENTS 60u

struct stress {
	struct block_request req;
	struct virtio_iov iov[STRESS_SEGMENTS];
	unsigned char *memory;
	unsigned int zone;
};

static void stress_start(struct block_engine *engine, struct stress *s)
{
	uint64_t length = 512 * (1 + harness_random() % (STRESS_ZONE / 512));
	size_t at = harness_random() % 3000, left = length;
	uint32_t n = 0;

	if (harness_random() % 4)
		length = left = 512 * (1 + harness_random() % 16);
	harness_fill(s->memory, 4096);
	while (left > 0) {
		size_t len = n == STRESS_SEGMENTS - 1 ?
				     left :
				     harness_random() % (n % 5 ? 1000 : 40000);

		s->iov[n].base = s->memory + at;
		s->iov[n].len = len < left ? len : left;
		at += s->iov[n].len;
		left -= s->iov[n++].len;
	}
	s->req = (struct block_request){
		.op = harness_random() % 2 ? BLOCK_READ : BLOCK_WRITE,
		.niov = n,
		.length = length,
		.iov = s->iov,
		.offset = (uint64_t)s->zone * STRESS_ZONE,
	};
	block_engine_queue(engine, &s->req);
}

/* Many layouts and sizes, completed in any order, some failing. */
static void test_stress(void **state)
{
	struct stress *s = calloc(STRESS_DEPTH, sizeof(*s));
	struct block_engine *engine = open_bounce(STRESS_DEPTH);
	struct block_request *req, *next;
	unsigned int i, left = 3000;

	(void)state;
	for (i = 0; i < STRESS_DEPTH; i++) {
		s[i].memory = malloc(STRESS_ZONE + 4096);
		s[i].zone = i;
		stress_start(engine, &s[i]);
	}
	while (engine->inflight > 0) {
		unsigned int n = 1 + harness_random() % fake.nheld;

		while (n--)
			fake_complete(harness_random() % fake.nheld,
				      harness_random() % 50 ? 0 : -EIO);
		for (req = block_engine_reap(engine, 64); req; req = next) {
			struct stress *one = (struct stress *)req;

			next = req->next;
			/* Its memory is one piece, whatever the segments. */
			if (req->result == 0)
				assert_memory_equal(one->iov[0].base,
						    store + req->offset,
						    req->length);
			else
				assert_int_equal(req->result, -EIO);
			if (left > 0) {
				left--;
				stress_start(engine, one);
			}
		}
	}
	assert_true(fake.max_held <= STRESS_DEPTH);
	block_engine_close(engine);
	for (i = 0; i < STRESS_DEPTH; i++)
		free(s[i].memory);
	free(s);
}

/* The run that a naive search finds. */
static struct block_arena_run model_take(bool *used, unsigned int want)
{
	struct block_arena_run best = { .count = 0 };
	unsigned int first, n;

	for (first = 0; first < BLOCK_ARENA_GRANULES; first++) {
		for (n = 0; n < want && first + n < BLOCK_ARENA_GRANULES; n++)
			if (used[first + n])
				break;
		if (n > best.count)
			best = (struct block_arena_run){ first, n };
		if (n == want)
			break;
	}
	memset(used + best.first, true, best.count);
	return best;
}

static void test_arena(void **state)
{
	static struct block_arena_run runs[BLOCK_ARENA_GRANULES];
	static bool used[BLOCK_ARENA_GRANULES];
	struct block_arena arena;
	unsigned int i, round, nruns = 0;

	(void)state;
	assert_int_equal(block_arena_init(&arena), 0);
	for (round = 0; round < 20000; round++) {
		unsigned int want = harness_random() % 3 ?
					    1 :
					    1 + harness_random() % 256;
		struct block_arena_run run, model;

		if (nruns > 0 && harness_random() % 2) {
			i = harness_random() % nruns;
			memset(used + runs[i].first, false, runs[i].count);
			block_arena_give(&arena, runs[i]);
			runs[i] = runs[--nruns];
			continue;
		}
		model = model_take(used, want);
		run = block_arena_take(&arena, want);
		assert_int_equal(run.count, model.count);
		if (run.count == 0)
			continue;
		assert_int_equal(run.first, model.first);
		runs[nruns++] = run;
	}
	block_arena_finish(&arena);
	block_arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_pass_through),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_failed_piece),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_small_pieces),
		cmocka_unit_test(test_pieces_at_once),
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
