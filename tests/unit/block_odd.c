/* SPDX-License-Identifier: MIT */
/*
 * Requests for parts of the store's blocks, with O_DIRECT: in steps before a
 * fake engine, from two engines at the same time, and on a device of 4 KiB
 * sectors.
 */
#define _GNU_SOURCE 1
#include <pthread.h>

#include "lib/block_fake.h"
#include "lib/block_loop.h"

#include "block/bounce.h"
#include "block/gate.h"

#define ALIGN 4096u

/* ---- in steps ------------------------------------------------------------ */

static struct block_engine *open_bounce(unsigned int depth)
{
	struct block_engine *engine;

	image.dio_align = image.dio_mem_align = ALIGN;
	assert_int_equal(block_gate_open(&image), 0);
	assert_int_equal(block_bounce_open(&engine, fake_open(), depth), 0);
	return engine;
}

static void close_bounce(struct block_engine *engine)
{
	assert_int_equal(engine->inflight, 0);
	block_engine_close(engine);
	block_gate_close(&image);
	image.dio_align = image.dio_mem_align = 512;
}

/*
 * Complete the oldest of what the fake engine has; it is (op, offset, length)
 */
static void step(enum block_op op, uint64_t offset, uint64_t length)
{
	assert_true(fake.nheld > 0);
	assert_int_equal(fake.held[0]->op, op);
	assert_int_equal(fake.held[0]->offset, offset);
	assert_int_equal(fake.held[0]->length, length);
	fake_complete(0, 0);
}

static void test_read(void **state)
{
	struct block_engine *engine = open_bounce(4);
	unsigned char *memory = malloc(16384);
	struct virtio_iov iov = { memory + 1, 9216 };
	struct block_request req = make(BLOCK_READ, 0, 3584, &iov);

	(void)state;
	memset(memory, 0xa5, 16384);
	block_engine_queue(engine, &req);
	step(BLOCK_READ, 0, 16384);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(req.result, 0);
	assert_memory_equal(memory + 1, store + 3584, 9216);
	assert_int_equal(memory[0], 0xa5);
	assert_int_equal(memory[9217], 0xa5);
	free(memory);
	close_bounce(engine);
}

/* The first and the last block are read before they are written. */
static void test_write(void **state)
{
	struct block_engine *engine = open_bounce(4);
	unsigned char *memory = malloc(16384);
	unsigned char *expected = malloc(20480);
	struct virtio_iov iov = { memory + 3, 9216 };
	struct block_request req = make(BLOCK_WRITE, 0, 3584, &iov);

	(void)state;
	harness_fill(memory, 16384);
	memcpy(expected, store, 20480);
	memcpy(expected + 3584, memory + 3, 9216);
	block_engine_queue(engine, &req);
	step(BLOCK_READ, 0, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_WRITE, 0, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_WRITE, ALIGN, 2 * ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_READ, 3 * ALIGN, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_WRITE, 3 * ALIGN, ALIGN);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(req.result, 0);
	assert_memory_equal(store, expected, 20480);
	/* Each start was committed. */
	assert_int_equal(fake.commits, 4);

	/* Less than a block; and what cannot be read is not written. */
	iov.len = req.length = 1024;
	req.offset = 1024;
	block_engine_queue(engine, &req);
	fake_complete(0, -EIO);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(req.result, -EIO);
	assert_int_equal(fake.nheld, 0);
	free(expected);
	free(memory);
	close_bounce(engine);
}

static void test_zeroes(void **state)
{
	struct block_engine *engine = open_bounce(4);
	unsigned char *expected = malloc(32768);
	const bool stop = false;
	struct block_request req = {
		.op = BLOCK_WRITE_ZEROES,
		.flags = BLOCK_MAY_UNMAP,
		.offset = 3584,
		.length = 17408,
		.stop = &stop,
	};

	(void)state;
	memcpy(expected, store, 32768);
	memset(expected + 3584, 0, 17408);
	block_engine_queue(engine, &req);
	step(BLOCK_READ, 0, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_WRITE, 0, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	assert_int_equal(fake.held[0]->flags, BLOCK_MAY_UNMAP);
	assert_ptr_equal(fake.held[0]->stop, &stop);
	step(BLOCK_WRITE_ZEROES, ALIGN, 4 * ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_READ, 5 * ALIGN, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_WRITE, 5 * ALIGN, ALIGN);
	assert_ptr_equal(block_engine_reap(engine, 8), &req);
	assert_int_equal(req.result, 0);
	assert_memory_equal(store, expected, 32768);
	free(expected);
	close_bounce(engine);
}

/* Changes of the same block go one after the other, in their order. */
static void test_order(void **state)
{
	struct block_engine *engine = open_bounce(8);
	unsigned char *memory = aligned_alloc(ALIGN, 4 * ALIGN);
	struct virtio_iov part = { memory, 512 }, whole = { memory, 2 * ALIGN };
	struct block_request odd = make(BLOCK_WRITE, 0, 512, &part);
	struct block_request same = make(BLOCK_WRITE, 0, 0, &whole);
	struct block_request next = make(BLOCK_WRITE, 0, 3584, &part);
	struct block_request other = make(BLOCK_WRITE, 0, 8 * ALIGN, &whole);
	struct block_request zeroes = { .op = BLOCK_WRITE_ZEROES,
					.offset = ALIGN,
					.length = ALIGN };
	struct block_request discard = { .op = BLOCK_DISCARD,
					 .length = 2 * ALIGN };

	(void)state;
	harness_fill(memory, 4 * ALIGN);
	block_engine_queue(engine, &odd);
	block_engine_queue(engine, &same);
	block_engine_queue(engine, &next);
	block_engine_queue(engine, &zeroes);
	block_engine_queue(engine, &discard);
	block_engine_queue(engine, &other);
	/* The first, and what has nothing to do with a part of a block. */
	assert_int_equal(fake.nheld, 3);
	assert_int_equal(fake.held[1]->op, BLOCK_WRITE_ZEROES);
	assert_int_equal(fake.held[2]->offset, 8 * ALIGN);
	step(BLOCK_READ, 0, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	fake_complete(0, 0);
	fake_complete(0, 0);
	assert_non_null(block_engine_reap(engine, 8)->next);
	step(BLOCK_WRITE, 0, ALIGN);
	assert_ptr_equal(block_engine_reap(engine, 8), &odd);
	/* Its token comes with the next reap. */
	assert_null(block_engine_reap(engine, 8));
	assert_int_equal(fake.nheld, 1);
	step(BLOCK_WRITE, 0, 2 * ALIGN);
	assert_ptr_equal(block_engine_reap(engine, 8), &same);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_READ, 0, ALIGN);
	assert_null(block_engine_reap(engine, 8));
	assert_int_equal(fake.nheld, 1);
	step(BLOCK_WRITE, 0, ALIGN);
	assert_ptr_equal(block_engine_reap(engine, 8), &next);
	assert_null(block_engine_reap(engine, 8));
	step(BLOCK_DISCARD, 0, 2 * ALIGN);
	assert_ptr_equal(block_engine_reap(engine, 8), &discard);
	assert_int_equal(fake.nheld, 0);
	free(memory);
	close_bounce(engine);
}

/* ---- at the same time ---------------------------------------------------- */

enum {
	BLOCKS = 8,
	SECTORS = BLOCKS * (ALIGN / 512),
	THREADS = 2,
	SLOTS = 8,
	ROUNDS = 600,
};

struct writer {
	struct block_request req;
	struct virtio_iov iov;
	unsigned char data[512];
	unsigned int sector;
};

struct job {
	pthread_t thread;
	struct block_engine *engine;
	unsigned char *shadow;
	unsigned int first; /* of its sectors: every THREADS-th */
	uint32_t random;
	struct writer writer[SLOTS];
	unsigned int left;
};

static uint32_t job_random(struct job *job)
{
	job->random = job->random * 1664525u + 1013904223u;
	return job->random >> 8;
}

/* Each slot has sectors of its own, so that it is known what is there last. */
static void job_start(struct job *job, unsigned int slot)
{
	struct writer *w = &job->writer[slot];
	unsigned int n = SECTORS / (THREADS * SLOTS);
	bool zero = job_random(job) % 4 == 0;

	w->sector = (job_random(job) % n * SLOTS + slot) * THREADS + job->first;
	memset(w->data, zero ? 0 : (int)job_random(job), sizeof(w->data));
	w->iov = (struct virtio_iov){ w->data, sizeof(w->data) };
	w->req = (struct block_request){
		.op = zero ? BLOCK_WRITE_ZEROES : BLOCK_WRITE,
		.niov = !zero,
		.iov = &w->iov,
		.length = 512,
		.offset = w->sector * 512ull,
	};
	block_engine_queue(job->engine, &w->req);
}

static void *job_run(void *arg)
{
	struct job *job = arg;
	struct block_request *req, *next;

	for (unsigned int i = 0; i < SLOTS; i++)
		job_start(job, i);
	block_engine_commit(job->engine);
	while (job->engine->inflight) {
		for (req = harness_wait(job->engine); req; req = next) {
			struct writer *w = (struct writer *)req;

			next = req->next;
			assert_int_equal(req->result, 0);
			memcpy(job->shadow + w->sector * 512, w->data, 512);
			if (job->left == 0)
				continue;
			job->left--;
			job_start(job, (unsigned int)(w - job->writer));
		}
		block_engine_commit(job->engine);
	}
	return NULL;
}

static void two_engines(const char *name)
{
	unsigned char *content = harness_create("shared", SECTORS * 512);
	struct job *job = calloc(THREADS, sizeof(*job));
	struct block_image shared;

	harness_open_image(&shared, "shared", BLOCK_CACHE_AUTO);
	if (!shared.direct) {
		whole_close(&shared);
		skip();
	}
	/* As if the store's blocks were larger. */
	if (!shared.gate)
		assert_int_equal(block_gate_open(&shared), 0);
	shared.dio_align = ALIGN;
	for (unsigned int i = 0; i < THREADS; i++) {
		job[i].engine = harness_open_engine(name, &shared, SLOTS);
		job[i].shadow = content;
		job[i].first = i;
		job[i].random = i;
		job[i].left = ROUNDS;
	}
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&job[i].thread, NULL, job_run,
						&job[i]),
				 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(job[i].thread, NULL);
		block_engine_close(job[i].engine);
	}
	whole_close(&shared);
	harness_check("shared", content, SECTORS * 512);
	free(job);
	free(content);
}

/* Nobody's sectors are lost to who writes the same block. */
static void test_two_engines(void **state)
{
	(void)state;
	two_engines("threads");
	two_engines("libaio");
	two_engines("io_uring");
}

/* ---- a device of 4 KiB sectors ------------------------------------------- */

enum { DISK = 1 << 20 };

static void device(const char *path, unsigned char *content,
		   unsigned int block_size, enum block_cache cache,
		   const char *name)
{
	struct block_image_options options = {
		.file = path,
		.block_size = block_size,
		.cache = cache,
	};
	unsigned char *memory = malloc(65536);
	struct block_engine *engine;
	struct block_image disk;
	char error[BLOCK_ERROR_MAX];

	assert_int_equal(whole_open(&disk, &options, error), 0);
	engine = harness_open_engine(name, &disk, 4);
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t at = harness_random() % (DISK / 512) * 512;
		size_t n = (1 + harness_random() % 64) * 512;
		unsigned int stable = harness_random() % 2 ? BLOCK_STABLE : 0;

		if (n > DISK - at)
			n = DISK - at;
		harness_fill(memory, n);
		if (i % 3 == 0) {
			memset(content + at, 0, n);
			assert_int_equal(harness_command(engine,
							 BLOCK_WRITE_ZEROES,
							 stable, at, n),
					 0);
		} else if (i % 3 == 1) {
			memcpy(content + at, memory, n);
			assert_int_equal(harness_transfer(engine, BLOCK_WRITE,
							  stable, at, memory,
							  n),
					 0);
		}
		assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, at,
						  memory, n),
				 0);
		assert_memory_equal(memory, content + at, n);
	}
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 512, 512),
			 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	block_engine_close(engine);
	whole_close(&disk);
	free(memory);
}

static void test_device(void **state)
{
	static const char *const names[] = { "io_uring", "libaio", "threads" };
	unsigned char *content = harness_create("disk", DISK);
	char path[64];
	int loop = attach_loop("disk", path, sizeof(path), 4096);

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		device(path, content, 0, BLOCK_CACHE_AUTO, names[i]);
		device(path, content, 512, BLOCK_CACHE_AUTO, names[i]);
		device(path, content, 512, BLOCK_CACHE_NONE, names[i]);
		device(path, content, 0, BLOCK_CACHE_WRITETHROUGH, names[i]);
	}
	harness_check("disk", content, DISK);
	close(loop);
	free(content);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_two_engines),
		cmocka_unit_test(test_device),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
