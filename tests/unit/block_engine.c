/* SPDX-License-Identifier: MIT */
/*
 * Every engine, buffered and with O_DIRECT, against a copy in memory: many
 * requests at once with all sorts of memory layouts, and each promise of
 * block/engine.h by itself. Completions are waited for with epoll on the
 * engine's fd, so a wake-up that is lost makes the alarm go off.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/block_harness.h"

/*
 * Each slot works in a zone of its own, so that the content is always known
 * although everything runs at once.
 */
#define ZONE (128u * 1024u)
#define SLOTS 48u
#define SIZE (ZONE * SLOTS)
#define ROUNDS 40u
#define SEGMENTS 40u
#define GUARD 64u
#define GUARD_BYTE 0xa5

/* One engine with one kind of image: a cmocka test's initial state. */
struct combination {
	const char *engine;
	enum block_cache cache;
};

struct slot {
	struct block_request req;
	struct virtio_iov iov[SEGMENTS];
	unsigned char *memory;    /* GUARD, ZONE and a page of slack, GUARD */
	unsigned char data[ZONE]; /* what is written */
	unsigned int zone;
	unsigned int rounds;
};

static unsigned char *shadow;
static struct slot *slots;

static void open_combination(void **state, struct block_image *image,
			     struct block_engine **engine, unsigned int depth)
{
	const struct combination *c = *state;

	harness_open_image(image, "image", c->cache);
	*engine = harness_open_engine(c->engine, image, depth);
}

static void close_combination(struct block_image *image,
			      struct block_engine *engine)
{
	harness_check_idle(engine);
	block_engine_close(engine);
	whole_close(image);
}

/* Cut `length` bytes of the slot's memory into segments, in some way. */
static void lay_out(struct slot *slot, size_t length)
{
	unsigned int way = harness_random() % 4;
	/* Way 0 is aligned for anything, the others are for nothing. */
	size_t at = way == 0 ? 4096 : GUARD + harness_random() % 4000;
	uint32_t n = 0;

	while (length > 0 || n == 0) {
		size_t len = length;

		if (way == 2 && n < SEGMENTS - 1)
			len = harness_random() % 700;
		if (way == 3 && n < SEGMENTS - 1)
			len = harness_random() % 9000;
		if (len > length)
			len = length;
		slot->iov[n].base = slot->memory + at;
		slot->iov[n].len = len;
		n++;
		at += len;
		length -= len;
	}
	slot->req.niov = n;
}

/* Copy between the request's memory and `data`. */
static void copy(struct slot *slot, unsigned char *data, bool to_memory)
{
	uint32_t i;

	for (i = 0; i < slot->req.niov; i++) {
		unsigned char *base = slot->iov[i].base;
		size_t len = slot->iov[i].len;

		if (len == 0)
			continue;
		memcpy(to_memory ? base : data, to_memory ? data : base, len);
		data += len;
	}
}

static void choose(struct slot *slot)
{
	static const uint8_t ops[] = {
		BLOCK_READ,  BLOCK_READ,    BLOCK_READ,         BLOCK_READ,
		BLOCK_WRITE, BLOCK_WRITE,   BLOCK_WRITE,        BLOCK_WRITE,
		BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES, BLOCK_WRITE,
	};
	uint32_t from = harness_random() % (ZONE / 512);
	uint32_t length = 1 + harness_random() % (ZONE / 512 - from);

	slot->req = (struct block_request){
		.op = ops[harness_random() % sizeof(ops)],
		.offset = slot->zone * ZONE + from * 512ull,
		.length = length * 512ull,
		.iov = slot->iov,
	};
	if (harness_random() % 3 == 0)
		slot->req.flags |= BLOCK_UNPINNABLE;
	if (harness_random() % 8 == 0 && slot->req.op != BLOCK_READ)
		slot->req.flags |= BLOCK_STABLE;
	if (harness_random() % 2 && slot->req.op == BLOCK_WRITE_ZEROES)
		slot->req.flags |= BLOCK_MAY_UNMAP;
	if (slot->req.op > BLOCK_WRITE)
		return;
	lay_out(slot, slot->req.length);
	memset(slot->memory, GUARD_BYTE, ZONE + 8192 + GUARD);
	if (slot->req.op == BLOCK_WRITE) {
		harness_fill(slot->data, slot->req.length);
		copy(slot, slot->data, true);
	}
}

/* The bytes around the request's memory have to be what they were. */
static void check_guards(const struct slot *slot)
{
	const unsigned char *first = slot->iov[0].base;
	const unsigned char *end = first + slot->req.length;
	const unsigned char *p;

	for (p = slot->memory; p < first; p++)
		assert_int_equal(*p, GUARD_BYTE);
	for (p = end; p < slot->memory + ZONE + 8192 + GUARD; p++)
		assert_int_equal(*p, GUARD_BYTE);
}

static void check(struct slot *slot)
{
	unsigned char *expected = shadow + slot->req.offset;
	static unsigned char data[ZONE];

	assert_int_equal(slot->req.result, 0);
	switch (slot->req.op) {
	case BLOCK_READ:
		copy(slot, data, false);
		assert_memory_equal(data, expected, slot->req.length);
		check_guards(slot);
		break;
	case BLOCK_WRITE:
		memcpy(expected, slot->data, slot->req.length);
		break;
	case BLOCK_DISCARD: /* files read as zeroes then */
	case BLOCK_WRITE_ZEROES:
		memset(expected, 0, slot->req.length);
		break;
	}
}

static void start_slots(struct block_engine *engine)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		slots[i].zone = i;
		slots[i].rounds = ROUNDS;
		slots[i].memory = aligned_alloc(4096, ZONE + 4096 * 3);
		assert_non_null(slots[i].memory);
		choose(&slots[i]);
		block_engine_queue(engine, &slots[i].req);
	}
	block_engine_commit(engine);
}

static void test_random(void **state)
{
	struct block_request *req, *next;
	struct block_image image;
	struct block_engine *engine;
	unsigned int left = SLOTS, i;

	shadow = harness_create("image", SIZE);
	slots = calloc(SLOTS, sizeof(*slots));
	assert_non_null(slots);
	open_combination(state, &image, &engine, SLOTS);
	start_slots(engine);
	while (left > 0) {
		for (req = harness_wait(engine); req; req = next) {
			/* The request is the slot's first member. */
			struct slot *slot = (struct slot *)req;

			next = req->next;
			check(slot);
			if (--slot->rounds == 0) {
				left--;
				continue;
			}
			choose(slot);
			block_engine_queue(engine, req);
		}
		block_engine_commit(engine);
	}
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	close_combination(&image, engine);
	harness_check("image", shadow, SIZE);
	for (i = 0; i < SLOTS; i++)
		free(slots[i].memory);
	free(slots);
	free(shadow);
}

/* A store that has shrunk: an error, for the part and for the whole. */
static void test_end_of_file(void **state)
{
	unsigned char *content = harness_create("image", 65536);
	unsigned char *memory = aligned_alloc(4096, 16384);
	struct block_image image;
	struct block_engine *engine;

	open_combination(state, &image, &engine, 4);
	assert_int_equal(image.size, 65536);
	assert_int_equal(truncate(harness_path("image"), 32768), 0);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 49152, memory,
					  4096),
			 -EIO);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 28672, memory,
					  16384),
			 -EIO);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 28672, memory,
					  4096),
			 0);
	assert_memory_equal(memory, content + 28672, 4096);
	close_combination(&image, engine);
	free(memory);
	free(content);
}

/* reap() with a small `max` leaves the rest, and the fd readable. */
static void test_reap_some(void **state)
{
	unsigned char *content = harness_create("image", 131072);
	unsigned char *memory = aligned_alloc(4096, 65536);
	struct block_request req[16];
	struct virtio_iov iov[16];
	struct block_image image;
	struct block_engine *engine;
	unsigned int i, n = 0;

	open_combination(state, &image, &engine, 16);
	for (i = 0; i < 16; i++) {
		iov[i] = (struct virtio_iov){ memory + i * 4096, 4096 };
		req[i] = (struct block_request){
			.op = i % 5 == 4 ? BLOCK_FLUSH : BLOCK_READ,
			.niov = 1,
			/* No neighbours, which come as one. */
			.offset = i * 8192,
			.length = 4096,
			.iov = &iov[i],
		};
		block_engine_queue(engine, &req[i]);
	}
	block_engine_commit(engine);
	while (n < 16) {
		struct block_request *done;

		assert_true(harness_is_readable(engine, -1));
		done = block_engine_reap(engine, 1);
		if (!done)
			continue;
		assert_null(done->next);
		assert_int_equal(done->result, 0);
		n++;
		assert_int_equal(engine->inflight, 16 - n);
	}
	for (i = 0; i < 16; i++)
		if (req[i].op == BLOCK_READ)
			assert_memory_equal(memory + i * 4096,
					    content + i * 8192, 4096);
	close_combination(&image, engine);
	free(memory);
	free(content);
}

/* More segments than one system call takes. */
static void test_many_segments(void **state)
{
	enum { N = 2600, LEN = 512 };
	unsigned char *content = harness_create("image", N * LEN);
	unsigned char *memory = aligned_alloc(4096, N * LEN);
	struct virtio_iov *iov = calloc(N, sizeof(*iov));
	struct block_request req = {
		.op = BLOCK_READ,
		.niov = N,
		.length = N * LEN,
		.iov = iov,
	};
	struct block_image image;
	struct block_engine *engine;
	unsigned int i;

	open_combination(state, &image, &engine, 4);
	for (i = 0; i < N; i++)
		iov[i] = (struct virtio_iov){ memory + i * LEN, LEN };
	assert_int_equal(harness_do(engine, &req), 0);
	assert_memory_equal(memory, content, N * LEN);

	harness_fill(memory, N * LEN);
	req.op = BLOCK_WRITE;
	assert_int_equal(harness_do(engine, &req), 0);
	close_combination(&image, engine);
	harness_check("image", memory, N * LEN);
	free(iov);
	free(memory);
	free(content);
}

/* The first 1100 segments are empty: still no end of file. */
static void test_empty_segments(void **state)
{
	unsigned char *content = harness_create("image", 8192);
	unsigned char *memory = aligned_alloc(4096, 4096);
	struct virtio_iov *iov = calloc(1101, sizeof(*iov));
	struct block_request req = {
		.op = BLOCK_READ,
		.niov = 1101,
		.length = 4096,
		.iov = iov,
	};
	struct block_image image;
	struct block_engine *engine;

	open_combination(state, &image, &engine, 4);
	iov[1100] = (struct virtio_iov){ memory, 4096 };
	assert_int_equal(harness_do(engine, &req), 0);
	assert_memory_equal(memory, content, 4096);
	/* Nothing at all to move is done at once. */
	req.length = 0;
	req.niov = 0;
	assert_int_equal(harness_do(engine, &req), 0);
	close_combination(&image, engine);
	free(iov);
	free(memory);
	free(content);
}

static void *use_engine(void *arg)
{
	static unsigned char memory[4096];

	assert_int_equal(
		harness_transfer(arg, BLOCK_READ, 0, 4096, memory, 4096), 0);
	return NULL;
}

/* Opened by one thread, used by another, closed by the first. */
static void test_other_thread(void **state)
{
	unsigned char *content = harness_create("image", 65536);
	struct block_image image;
	struct block_engine *engine;
	pthread_t thread;

	open_combination(state, &image, &engine, 4);
	assert_int_equal(pthread_create(&thread, NULL, use_engine, engine), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close_combination(&image, engine);
	free(content);
}

static void test_read_only(void **state)
{
	const struct combination *c = *state;
	unsigned char *content = harness_create("image", 8192);
	unsigned char memory[512];
	struct block_image_options options = {
		.file = harness_path("image"),
		.readonly = true,
		.cache = c->cache,
	};
	char error[BLOCK_ERROR_MAX];
	struct block_image image;
	struct block_engine *engine;

	assert_int_equal(whole_open(&image, &options, error), 0);
	engine = harness_open_engine(c->engine, &image, 4);
	assert_int_equal(
		harness_transfer(engine, BLOCK_READ, 0, 512, memory, 512), 0);
	assert_memory_equal(memory, content + 512, 512);
	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, 0, 512, memory,
					  512),
			 -EROFS);
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 0, 4096),
			 -EROFS);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES, 0, 0,
					 4096),
			 -EROFS);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	close_combination(&image, engine);
	harness_check("image", content, 8192);
	free(content);
}

/*
 * A write behind the limit for files (RLIMIT_FSIZE) is that write's error: no
 * signal, and nothing else is lost.
 */
static void test_file_size_limit(void **state)
{
	unsigned char *content = harness_create("image", 65536);
	unsigned char *memory = aligned_alloc(4096, 8192);
	struct rlimit old, low;
	struct block_image image;
	struct block_engine *engine;

	memset(memory, 0x5a, 8192);
	open_combination(state, &image, &engine, 4);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 32768;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int flags = i ? BLOCK_STABLE : 0;

		assert_int_equal(harness_transfer(engine, BLOCK_WRITE, flags,
						  40960, memory, 4096),
				 -EFBIG);
		/* Up to the limit it goes well, then not. */
		assert_int_equal(harness_transfer(engine, BLOCK_WRITE, flags,
						  28672, memory, 8192),
				 -EFBIG);
		assert_int_equal(harness_transfer(engine, BLOCK_WRITE, flags, 0,
						  memory, 4096),
				 0);
		assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0),
				 0);
	}
	assert_int_equal(block_image_flush_error(&image), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	close_combination(&image, engine);
	memset(content, 0x5a, 4096);
	memset(content + 28672, 0x5a, 4096);
	harness_check("image", content, 65536);
	free(memory);
	free(content);
}

/* With O_DIRECT an impossible range is an error, not a bounce. */
static void test_misaligned(void **state)
{
	unsigned char *content = harness_create("image", 65536);
	unsigned char *memory = aligned_alloc(4096, 8192);
	struct block_image image;
	struct block_engine *engine;
	int expected;

	open_combination(state, &image, &engine, 4);
	expected = image.direct ? -EINVAL : 0;
	assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 4096, memory,
					  100),
			 expected);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 4097, memory,
					  512),
			 expected);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, BLOCK_UNPINNABLE,
					  1, memory, 512),
			 expected);
	close_combination(&image, engine);
	free(memory);
	free(content);
}

/* WRITE_ZEROES and DISCARD leave their neighbours alone. */
static void test_zeroes(void **state)
{
	unsigned char *content = harness_create("image", 1 << 20);
	struct block_image image;
	struct block_engine *engine;

	open_combination(state, &image, &engine, 4);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_STABLE, 4096, 512),
			 0);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_MAY_UNMAP, 65536, 300032),
			 0);
	assert_int_equal(
		harness_command(engine, BLOCK_DISCARD, 0, 500224, 100352), 0);
	close_combination(&image, engine);
	memset(content + 4096, 0, 512);
	memset(content + 65536, 0, 300032);
	memset(content + 500224, 0, 100352);
	harness_check("image", content, 1 << 20);
	free(content);
}

/* Deeper than the kernel's io_uring workers, AIO batch or thread pool. */
static void test_deep(void **state)
{
	enum { DEPTH = 1024 };
	unsigned char *content = harness_create("image", DEPTH * 512);
	unsigned char *memory = aligned_alloc(4096, DEPTH * 512);
	struct block_request *req = calloc(DEPTH, sizeof(*req)), *done;
	struct virtio_iov *iov = calloc(DEPTH, sizeof(*iov));
	struct block_image image;
	struct block_engine *engine;
	unsigned int i, n = 0;

	open_combination(state, &image, &engine, DEPTH);
	for (i = 0; i < DEPTH; i++) {
		iov[i] = (struct virtio_iov){ memory + i * 512, 512 };
		req[i] = (struct block_request){
			.op = BLOCK_READ,
			.niov = 1,
			.length = 512,
			.offset = i * 512,
			.iov = &iov[i],
		};
		block_engine_queue(engine, &req[i]);
	}
	block_engine_commit(engine);
	while (n < DEPTH)
		for (done = harness_wait(engine); done; done = done->next) {
			assert_int_equal(done->result, 0);
			n++;
		}
	assert_memory_equal(memory, content, DEPTH * 512);
	close_combination(&image, engine);
	free(iov);
	free(req);
	free(memory);
	free(content);
}

/* Every engine with every kind of image runs every test. */
#define EACH(test, engine, cache)                              \
	{                                                      \
#test " " engine " " #cache, test, NULL, NULL, \
			&(struct combination)                  \
		{                                              \
			engine, BLOCK_CACHE_##cache            \
		}                                              \
	}
#define ALL(engine, cache)                                 \
	EACH(test_random, engine, cache),                  \
		EACH(test_end_of_file, engine, cache),     \
		EACH(test_reap_some, engine, cache),       \
		EACH(test_many_segments, engine, cache),   \
		EACH(test_empty_segments, engine, cache),  \
		EACH(test_other_thread, engine, cache),    \
		EACH(test_read_only, engine, cache),       \
		EACH(test_file_size_limit, engine, cache), \
		EACH(test_misaligned, engine, cache),      \
		EACH(test_zeroes, engine, cache),          \
		EACH(test_deep, engine, cache)

int main(void)
{
	/* AUTO is O_DIRECT wherever the scratch directory can do it. */
	const struct CMUnitTest tests[] = {
		ALL("io_uring", AUTO),         ALL("io_uring", WRITEBACK),
		ALL("io_uring", WRITETHROUGH), ALL("libaio", AUTO),
		ALL("libaio", WRITEBACK),      ALL("threads", AUTO),
		ALL("threads", WRITEBACK),     ALL("threads", UNSAFE),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
