/* SPDX-License-Identifier: MIT */
/*
 * Merging in front of a fake engine: what goes together, what does not, what
 * becomes of a run that fails, and much of it at random.
 */
#include "lib/block_fake.h"

#include "block/merge.h"

#define BLOCK 4096u
#define BLOCKS 80u /* more than go together */

static unsigned char *memory; /* a block for each request */
static struct virtio_iov iov[BLOCKS];
static struct block_request req[BLOCKS];

static struct block_engine *open_merge(unsigned int depth)
{
	struct block_engine *engine;

	assert_int_equal(block_merge_open(&engine, fake_open(), depth), 0);
	assert_string_equal(engine->kind->name, "fake");
	assert_int_equal(engine->kind->batch, 1);
	return engine;
}

/* Request `i` is one block, `at` blocks from the start of the store. */
static void put(struct block_engine *engine, unsigned int i, enum block_op op,
		unsigned int flags, unsigned int at)
{
	iov[i] = (struct virtio_iov){ memory + i * BLOCK, BLOCK };
	req[i] = make(op, flags, (uint64_t)at * BLOCK, &iov[i]);
	req[i].result = 77;
	block_engine_queue(engine, &req[i]);
}

/* Everything comes back with `result`, in order, request `first` first. */
static void check_back(struct block_engine *engine, unsigned int first,
		       unsigned int n, int result)
{
	struct block_request *done = block_engine_reap(engine, BLOCKS);

	for (unsigned int i = first; i < first + n; i++) {
		assert_ptr_equal(done, &req[i]);
		assert_int_equal(done->result, result);
		done = done->next;
	}
	assert_null(done);
}

/* `n` requests became `runs` of the inner engine. */
static void check_runs(struct block_engine *engine, unsigned int n,
		       unsigned int runs)
{
	block_engine_commit(engine);
	assert_int_equal(fake.nheld, runs);
	while (fake.nheld)
		fake_complete(fake.nheld - 1, 0);
	check_back(engine, 0, n, 0);
	assert_int_equal(engine->inflight, 0);
}

static int setup(void **state)
{
	memory = aligned_alloc(BLOCK, BLOCKS * BLOCK);
	return memory ? fake_setup(state) : -1;
}

static int teardown(void **state)
{
	free(memory);
	return fake_teardown(state);
}

/* Neighbours are one request, with all their segments; data ends up right. */
static void test_run(void **state)
{
	struct block_engine *engine = open_merge(8);

	(void)state;
	for (unsigned int i = 0; i < 5; i++)
		put(engine, i, BLOCK_READ, 0, 3 + i);
	assert_int_equal(fake.nheld, 0);
	block_engine_commit(engine);
	assert_int_equal(fake.nheld, 1);
	assert_int_equal(fake.held[0]->offset, 3 * BLOCK);
	assert_int_equal(fake.held[0]->length, 5 * BLOCK);
	assert_int_equal(fake.held[0]->niov, 5);
	fake_complete(0, 0);
	check_back(engine, 0, 5, 0);
	assert_memory_equal(memory, store + 3 * BLOCK, 5 * BLOCK);
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
}

/* A request of its own is given on as it is, and not before its time. */
static void test_alone(void **state)
{
	struct block_engine *engine = open_merge(8);

	(void)state;
	put(engine, 0, BLOCK_READ, 0, 1);
	put(engine, 1, BLOCK_READ, 0, 9);
	assert_int_equal(fake.nheld, 1);
	assert_ptr_equal(fake.held[0], &req[0]);
	check_runs(engine, 2, 2);
	assert_int_equal(fake.commits, 1);
	/* An empty commit is the inner engine's, too. */
	block_engine_commit(engine);
	assert_int_equal(fake.commits, 2);
	block_engine_close(engine);
}

/* What is next to each other and yet does not go together. */
static void test_apart(void **state)
{
	struct block_engine *engine = open_merge(8);
	struct block_request flush = { .op = BLOCK_FLUSH };

	(void)state;
	put(engine, 0, BLOCK_READ, 0, 0);
	put(engine, 1, BLOCK_WRITE, 0, 1);
	check_runs(engine, 2, 2);
	/* The other way round, and with a hole, and twice the same. */
	put(engine, 0, BLOCK_WRITE, 0, 1);
	put(engine, 1, BLOCK_WRITE, 0, 0);
	put(engine, 2, BLOCK_WRITE, 0, 2);
	put(engine, 3, BLOCK_WRITE, 0, 2);
	check_runs(engine, 4, 4);
	image.direct = false;
	put(engine, 0, BLOCK_WRITE, 0, 0);
	put(engine, 1, BLOCK_WRITE, BLOCK_UNPINNABLE, 1);
	check_runs(engine, 2, 2);
	image.direct = true;
	put(engine, 0, BLOCK_WRITE, BLOCK_STABLE, 0);
	put(engine, 1, BLOCK_WRITE, BLOCK_STABLE, 1);
	check_runs(engine, 2, 2);
	put(engine, 0, BLOCK_DISCARD, 0, 0);
	put(engine, 1, BLOCK_DISCARD, 0, 1);
	check_runs(engine, 2, 2);
	/* Not around a flush. */
	put(engine, 0, BLOCK_WRITE, 0, 0);
	block_engine_queue(engine, &flush);
	put(engine, 1, BLOCK_WRITE, 0, 1);
	block_engine_commit(engine);
	assert_int_equal(fake.nheld, 3);
	assert_ptr_equal(fake.held[0], &req[0]);
	assert_ptr_equal(fake.held[1], &flush);
	assert_ptr_equal(fake.held[2], &req[1]);
	while (fake.nheld)
		fake_complete(0, 0);
	assert_non_null(block_engine_reap(engine, BLOCKS));
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
}

/* A store where every write is stable. */
static void test_write_through(void **state)
{
	struct block_engine *engine = open_merge(8);

	(void)state;
	image.write_through = true;
	put(engine, 0, BLOCK_WRITE, 0, 0);
	put(engine, 1, BLOCK_WRITE, 0, 1);
	check_runs(engine, 2, 2);
	put(engine, 0, BLOCK_READ, 0, 0);
	put(engine, 1, BLOCK_READ, 0, 1);
	check_runs(engine, 2, 1);
	image.write_through = false;
	block_engine_close(engine);
}

/* A run has its limits: bytes, and segments. */
static void test_limits(void **state)
{
	enum { WHOLE = BLOCK_MERGE_BYTES_MAX / BLOCK };
	struct block_engine *engine = open_merge(BLOCKS);
	struct virtio_iov parts[2] = {
		{ memory, 512 },
		{ memory + 512, BLOCK - 512 },
	};

	(void)state;
	for (unsigned int i = 0; i < BLOCKS; i++)
		put(engine, i, BLOCK_READ, 0, i);
	block_engine_commit(engine);
	assert_int_equal(fake.nheld, 2);
	assert_int_equal(fake.held[0]->length, BLOCK_MERGE_BYTES_MAX);
	assert_int_equal(fake.held[1]->length, (BLOCKS - WHOLE) * BLOCK);
	fake_complete(1, 0);
	fake_complete(0, 0);
	check_back(engine, 0, BLOCKS, 0);
	/* One segment too many. */
	_Static_assert(WHOLE == BLOCK_MERGE_IOV_MAX, "63 and 2 are too many");
	for (unsigned int i = 0; i < BLOCK_MERGE_IOV_MAX - 1; i++)
		put(engine, i, BLOCK_READ, 0, i);
	req[BLOCKS - 1] = (struct block_request){
		.op = BLOCK_READ,
		.niov = 2,
		.iov = parts,
		.length = BLOCK,
		.offset = (BLOCK_MERGE_IOV_MAX - 1) * BLOCK,
	};
	block_engine_queue(engine, &req[BLOCKS - 1]);
	block_engine_commit(engine);
	assert_int_equal(fake.nheld, 2);
	assert_ptr_equal(fake.held[1], &req[BLOCKS - 1]);
	fake_complete(1, 0);
	fake_complete(0, 0);
	assert_non_null(block_engine_reap(engine, BLOCKS));
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
}

/* A run that fails is done one by one: the good blocks get through. */
static void test_failure(void **state)
{
	struct block_engine *engine = open_merge(8);

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		put(engine, i, BLOCK_WRITE, 0, 5 + i);
	harness_fill(memory, 3 * BLOCK);
	block_engine_commit(engine);
	fake_complete(0, -EIO);
	assert_null(block_engine_reap(engine, BLOCKS));
	assert_int_equal(fake.commits, 2);
	assert_int_equal(fake.nheld, 3);
	assert_ptr_equal(fake.held[1], &req[1]);
	fake_complete(1, -ENOSPC);
	fake_complete(1, 0);
	fake_complete(0, 0);
	assert_non_null(block_engine_reap(engine, BLOCKS));
	assert_int_equal(req[0].result, 0);
	assert_int_equal(req[1].result, -ENOSPC);
	assert_int_equal(req[2].result, 0);
	assert_memory_equal(store + 5 * BLOCK, memory, BLOCK);
	assert_memory_equal(store + 7 * BLOCK, memory + 2 * BLOCK, BLOCK);
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
}

/* What is done one by one may be done at once, and nothing would tell of it. */
static void test_failure_at_once(void **state)
{
	struct block_engine *engine = open_merge(8);

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		put(engine, i, BLOCK_WRITE, 0, 5 + i);
	block_engine_commit(engine);
	fake.at_once = true;
	fake_complete(0, -EIO);
	check_back(engine, 0, 3, 0);
	assert_null(block_engine_reap(engine, BLOCKS));
	block_engine_close(engine);
}

/* As many runs at once as there can be. */
static void test_depth(void **state)
{
	struct block_engine *engine = open_merge(9);

	(void)state;
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 8; i++)
			put(engine, i, BLOCK_READ, 0, i / 2 * 10 + i % 2);
		put(engine, 8, BLOCK_READ, 0, 1000);
		check_runs(engine, 9, 5);
	}
	block_engine_close(engine);
}

/* Reads and writes here and there, failing and completing in any order. */
static void test_stress(void **state)
{
	enum { DEPTH = 24, SPAN = 64, LEFT = 20000 };
	struct block_engine *engine = open_merge(DEPTH);
	unsigned char *model = malloc(SPAN * BLOCK);
	struct block_request *done;
	unsigned int started = 0;

	(void)state;
	memcpy(model, store, SPAN * BLOCK);
	while (started < LEFT) {
		unsigned int at = harness_random() % (SPAN - DEPTH);
		unsigned int n = 1 + harness_random() % DEPTH;

		/* A row in which each block is met once at most. */
		for (unsigned int i = 0; i < n; i++, at++) {
			bool write = harness_random() % 8 < 4;

			if (write)
				harness_fill(memory + i * BLOCK, 64);
			put(engine, i, write ? BLOCK_WRITE : BLOCK_READ, 0, at);
			if (harness_random() % 8 == 0 && at < SPAN - DEPTH)
				at++;
		}
		block_engine_commit(engine);
		started += n;
		while (engine->inflight) {
			while (fake.nheld)
				fake_complete(harness_random() % fake.nheld,
					      harness_random() % 9 ? 0 : -EIO);
			done = block_engine_reap(engine, DEPTH);
			for (; done; done = done->next) {
				unsigned char *m = model + done->offset;
				void *data = done->iov->base;

				if (done->result)
					assert_int_equal(done->result, -EIO);
				else if (done->op == BLOCK_READ)
					assert_memory_equal(data, m, BLOCK);
				/* Written perhaps, by the run, if it failed. */
				if (done->op == BLOCK_WRITE)
					memcpy(m, store + done->offset, BLOCK);
				if (done->op == BLOCK_WRITE && !done->result)
					assert_memory_equal(data, m, BLOCK);
			}
		}
	}
	assert_memory_equal(model, store, SPAN * BLOCK);
	block_engine_close(engine);
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_write_through),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_failure_at_once),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
