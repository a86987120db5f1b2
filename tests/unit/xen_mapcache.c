/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_map */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_map2 */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_unmap */
/* LDFLAGS: -Wl,--wrap=fopen */
/*
 * The map cache on a fake guest: hits and misses, holes, eviction, no room,
 * invalidation while mappings are in use, failing calls, rings; and that it
 * never leaks a mapping nor lets a bad page through.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_foreign.h"

/* A confined process opens no file, be it one of /proc. */
static bool no_files;

FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	errno = EACCES;
	return no_files ? NULL : __real_fopen(path, mode);
}

static void start(struct mapcache *cache, unsigned int nchunks)
{
	memset(guest.bad, 0, sizeof(guest.bad));
	guest.calls = 0;
	guest.fail_at = 0;
	guest.fail_calls = 0;
	guest.error = 0;
	guest.keep = false;
	guest.steal = false;
	assert_int_equal(mapcache_init(cache, handle, 7, nchunks), 0);
	assert_false(cache->memory.pinnable);
}

static void finish(struct mapcache *cache)
{
	assert_int_equal(cache->pinned, 0);
	mapcache_finish(cache);
	assert_int_equal(mapped_pages(), 0);
}

/* A mapping of one range. */
struct mapping {
	struct virtio_iov iov[IOV_MAX_PIECES];
	int n;
	unsigned int split;
};

static int map(struct mapcache *cache, struct mapping *m, uint64_t addr,
	       uint32_t len)
{
	const struct guest_range range = { addr, len };

	m->n = cache->memory.ops->map(&cache->memory, &range, 1, 0, m->iov,
				      IOV_MAX_PIECES, &m->split);
	return m->n;
}

static void unmap(struct mapcache *cache, const struct mapping *m)
{
	cache->memory.ops->unmap(&cache->memory, m->iov, (unsigned int)m->n,
				 m->split);
}

/* Map and unmap again: the number of pieces or the error. */
static int touch(struct mapcache *cache, uint64_t addr, uint32_t len)
{
	struct mapping m;

	if (map(cache, &m, addr, len) < 0)
		return m.n;
	for (int i = 0; i < m.n; i++)
		for (size_t k = 0; k < m.iov[i].len; k += 512)
			((volatile uint8_t *)m.iov[i].base)[k];
	unmap(cache, &m);
	return m.n;
}

static uint8_t guest_byte(uint64_t addr)
{
	uint8_t byte;

	assert_int_equal(pread(guest.fd, &byte, 1, (off_t)addr), 1);
	return byte;
}

static void test_hit_costs_nothing(void **state)
{
	struct mapcache cache;
	struct mapping m;

	(void)state;
	start(&cache, 4);
	assert_int_equal(map(&cache, &m, 0x1234, 512), 1);
	assert_int_equal(m.iov[0].len, 512);
	memset(m.iov[0].base, 0x77, 512);
	assert_int_equal(guest_byte(0x1234), 0x77);
	assert_int_equal(guest_byte(0x1233), 0);
	assert_int_equal(guest_byte(0x1434), 0);
	unmap(&cache, &m);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(touch(&cache, i * 997, 1 + i), 1);
	assert_int_equal(guest.calls, 1);
	assert_int_equal(cache.maps, 1);
	assert_int_equal(cache.pages, MAPCACHE_CHUNK_PAGES);
	assert_int_equal(mapped_pages(), MAPCACHE_CHUNK_PAGES);
	finish(&cache);
}

/* Pieces end where chunks end, and the split counts pieces, not ranges. */
static void test_crossing_chunks(void **state)
{
	const struct guest_range ranges[] = {
		{ CHUNK - 10, 20 },
		{ 0, 0 },
		{ 2 * CHUNK - 1, CHUNK + 2 },
		{ 5 * CHUNK, 3 * CHUNK },
	};
	struct virtio_iov iov[IOV_MAX_PIECES];
	struct mapcache cache;
	unsigned int split;
	int n;

	(void)state;
	start(&cache, 8);
	n = cache.memory.ops->map(&cache.memory, ranges, 4, 3, iov,
				  IOV_MAX_PIECES, &split);
	assert_int_equal(n, 8);
	assert_int_equal(split, 5);
	assert_int_equal(iov[0].len, 10);
	assert_int_equal(iov[1].len, 10);
	assert_int_equal(iov[2].len, 1);
	assert_int_equal(iov[3].len, CHUNK);
	assert_int_equal(iov[4].len, 1);
	*(uint8_t *)iov[4].base = 0x42;
	assert_int_equal(guest_byte(3 * CHUNK), 0x42);
	cache.memory.ops->unmap(&cache.memory, iov, 8, split);
	/* One entry less is too few; nothing stays pinned. */
	for (unsigned int max = 0; max < 8; max++) {
		n = cache.memory.ops->map(&cache.memory, ranges, 4, 3, iov, max,
					  &split);
		assert_int_equal(n, -E2BIG);
		assert_int_equal(cache.pinned, 0);
	}
	/* A chain of nothing. */
	assert_int_equal(cache.memory.ops->map(&cache.memory, ranges, 0, 0, iov,
					       0, &split),
			 0);
	assert_int_equal(split, 0);
	finish(&cache);
}

static void test_holes(void **state)
{
	struct mapcache cache;

	(void)state;
	start(&cache, 4);
	guest.bad[3] = true;
	guest.bad[MAPCACHE_CHUNK_PAGES - 1] = true;
	assert_int_equal(touch(&cache, 0, 3 * MODEL_PAGE), 1);
	assert_int_equal(touch(&cache, 4 * MODEL_PAGE, 5 * MODEL_PAGE), 1);
	assert_int_equal(touch(&cache, 3 * MODEL_PAGE, 1), -EFAULT);
	assert_int_equal(touch(&cache, 3 * MODEL_PAGE - 1, 2), -EFAULT);
	assert_int_equal(touch(&cache, 4 * MODEL_PAGE - 1, 2), -EFAULT);
	assert_int_equal(touch(&cache, 0, CHUNK), -EFAULT);
	/* The range goes on in a good chunk; its first piece is let go. */
	assert_int_equal(touch(&cache, CHUNK - 8, 16), -EFAULT);
	assert_int_equal(touch(&cache, CHUNK, 16), 1);
	/* Good pages of the same chunk still work. */
	assert_int_equal(touch(&cache, 3 * MODEL_PAGE - 1, 1), 1);
	assert_int_equal(cache.pinned, 0);
	finish(&cache);
}

static void test_hole_that_becomes_good(void **state)
{
	struct mapcache cache;
	struct mapping before, after;

	(void)state;
	start(&cache, 4);
	guest.bad[3] = true;
	assert_int_equal(map(&cache, &before, 0, 512), 1);
	assert_int_equal(touch(&cache, 3 * MODEL_PAGE, 512), -EFAULT);
	guest.bad[3] = false;
	assert_int_equal(map(&cache, &after, 3 * MODEL_PAGE, 512), 1);
	memset(after.iov[0].base, 1, 512);
	/* What was mapped before lives as long as its request. */
	memset(before.iov[0].base, 2, 512);
	assert_int_equal(guest_byte(3 * MODEL_PAGE), 1);
	assert_int_equal(guest_byte(0), 2);
	unmap(&cache, &before);
	unmap(&cache, &after);
	assert_int_equal(mapped_pages(), MAPCACHE_CHUNK_PAGES);
	finish(&cache);
}

/* Addresses that are nobody's, and arithmetic that wraps. */
static void test_outside_the_guest(void **state)
{
	static const uint64_t addresses[] = {
		(uint64_t)GUEST_CHUNKS * CHUNK,
		UINT64_C(1) << 40,
		UINT64_C(1) << 63,
		UINT64_MAX - 511,
		UINT64_MAX - 4095,
		UINT64_MAX,
		UINT64_MAX - CHUNK,
	};
	struct mapcache cache;

	(void)state;
	start(&cache, 2);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		assert_int_equal(touch(&cache, addresses[i], 512), -EFAULT);
		assert_int_equal(touch(&cache, addresses[i], UINT32_MAX),
				 -EFAULT);
	}
	assert_int_equal(touch(&cache, (uint64_t)GUEST_CHUNKS * CHUNK - 1, 2),
			 -EFAULT);
	assert_int_equal(touch(&cache, (uint64_t)GUEST_CHUNKS * CHUNK - 1, 1),
			 1);
	finish(&cache);
}

/* When all chunks are taken, the one unused longest makes room. */
static void test_eviction(void **state)
{
	struct mapcache cache;
	unsigned int calls;

	(void)state;
	start(&cache, 3);
	for (uint64_t i = 0; i < 3; i++)
		touch(&cache, i * CHUNK, 1);
	touch(&cache, 0, 1);
	assert_int_equal(guest.calls, 3);
	touch(&cache, 3 * CHUNK, 1);
	calls = guest.calls;
	assert_int_equal(calls, 4);
	touch(&cache, 0, 1);
	touch(&cache, 2 * CHUNK, 1);
	touch(&cache, 3 * CHUNK, 1);
	assert_int_equal(guest.calls, calls);
	touch(&cache, CHUNK, 1);
	assert_int_equal(guest.calls, calls + 1);
	assert_int_equal(cache.pages, 3 * MAPCACHE_CHUNK_PAGES);
	assert_int_equal(mapped_pages(), 3 * MAPCACHE_CHUNK_PAGES);
	finish(&cache);
}

/* -EAGAIN where others hold the room, -E2BIG where there never will be any. */
static void test_no_room(void **state)
{
	struct mapcache cache;
	struct mapping one, two;

	(void)state;
	start(&cache, 2);
	assert_int_equal(map(&cache, &one, 0, 1), 1);
	assert_int_equal(map(&cache, &two, CHUNK, 1), 1);
	assert_int_equal(touch(&cache, 2 * CHUNK, 1), -EAGAIN);
	assert_int_equal(touch(&cache, CHUNK - 1, CHUNK + 2), -EAGAIN);
	unmap(&cache, &two);
	assert_int_equal(touch(&cache, 2 * CHUNK, 1), 1);
	assert_int_equal(touch(&cache, 2 * CHUNK - 1, CHUNK + 2), -EAGAIN);
	unmap(&cache, &one);
	assert_int_equal(touch(&cache, 2 * CHUNK - 1, CHUNK + 2), -E2BIG);
	assert_int_equal(touch(&cache, 2 * CHUNK - 1, 2), 2);
	assert_int_equal(cache.pinned, 0);
	finish(&cache);
}

static void test_invalidate(void **state)
{
	struct mapcache cache;
	struct mapping m;

	(void)state;
	start(&cache, 3);
	touch(&cache, 0, 1);
	touch(&cache, CHUNK, 1);
	mapcache_invalidate(&cache);
	assert_int_equal(mapped_pages(), 0);
	assert_int_equal(cache.pages, 0);
	/* A page that the guest gave away is not found any more. */
	guest.bad[1] = true;
	assert_int_equal(touch(&cache, MODEL_PAGE, 1), -EFAULT);
	assert_int_equal(touch(&cache, 0, 1), 1);
	/* In use: it lives on, unseen, until its request is done. */
	guest.bad[1] = false;
	mapcache_invalidate(&cache);
	assert_int_equal(map(&cache, &m, 0, 512), 1);
	for (int i = 0; i < 3; i++)
		mapcache_invalidate(&cache);
	memset(m.iov[0].base, 9, 512);
	assert_int_equal(mapped_pages(), MAPCACHE_CHUNK_PAGES);
	assert_int_equal(touch(&cache, 0, 1), 1);
	assert_int_equal(mapped_pages(), 2 * MAPCACHE_CHUNK_PAGES);
	unmap(&cache, &m);
	assert_int_equal(mapped_pages(), MAPCACHE_CHUNK_PAGES);
	assert_int_equal(guest_byte(511), 9);
	finish(&cache);
}

/* A mapping that fails as a whole: its address space is kept or given up. */
static void test_map_call_fails(void **state)
{
	struct mapcache cache;

	(void)state;
	start(&cache, 2);
	guest.fail_at = 1;
	assert_int_equal(touch(&cache, 0, 1), -EFAULT);
	assert_int_equal(touch(&cache, 0, 1), 1);
	finish(&cache);

	start(&cache, 2);
	guest.fail_at = 1;
	guest.steal = true;
	assert_int_equal(touch(&cache, 0, 1), -EFAULT);
	/* The chunk that was lost is used no more; the other one is. */
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(touch(&cache, i * CHUNK, 1), 1);
	assert_int_equal(mapped_pages(), MAPCACHE_CHUNK_PAGES);
	assert_int_equal(touch(&cache, CHUNK - 1, 2), -E2BIG);
	finish(&cache);
	/* And its new owner still has it. */
	assert_int_equal(*(volatile uint8_t *)guest.stolen, 0);
	munmap(guest.stolen, MODEL_PAGE);
}

/* Failures that leave the address space alone lose nothing, however many. */
static void test_failed_but_reserved(void **state)
{
	struct mapcache cache;

	(void)state;
	start(&cache, 2);
	guest.keep = true;
	guest.fail_at = 1;
	guest.fail_calls = 9;
	no_files = true;
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(touch(&cache, i % 3 * CHUNK, 1), -EFAULT);
	no_files = false;
	/* Both chunks are there: one request can have two. */
	assert_int_equal(touch(&cache, CHUNK - 1, 2), 2);
	assert_int_equal(mapped_pages(), 2 * MAPCACHE_CHUNK_PAGES);
	finish(&cache);
}

/* What the host lacks for a moment is nothing that the guest is told of. */
static void test_lacking_for_a_moment(void **state)
{
	static const int errors[] = { ENOMEM, EAGAIN, EINTR };
	struct mapcache cache;
	struct guest_memory *mem = &cache.memory;
	uint8_t *p;

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		start(&cache, 2);
		guest.keep = i % 2;
		guest.error = errors[i / 2];
		guest.fail_at = 1;
		guest.fail_calls = 2;
		assert_int_equal(touch(&cache, CHUNK - 1, 2), 2);
		guest.fail_at = guest.calls + 1;
		p = mem->ops->map_ring(mem, 0, 16);
		assert_non_null(p);
		mem->ops->unmap_ring(mem, p, 16);
		assert_int_equal(cache.errors.lines, 0);
		finish(&cache);
	}
}

/* For good: it fails, is told, and costs only so many calls. */
static void test_lacking_for_good(void **state)
{
	struct mapcache cache;
	struct guest_memory *mem = &cache.memory;

	(void)state;
	start(&cache, 2);
	guest.error = ENOMEM;
	guest.fail_at = 1;
	guest.fail_calls = 1000;
	assert_int_equal(touch(&cache, 0, 1), -EFAULT);
	assert_in_range(guest.calls, 2, 20);
	assert_null(mem->ops->map_ring(mem, 0, 16));
	assert_in_range(guest.calls, 4, 40);
	assert_int_equal(cache.errors.lines, 2);
	guest.fail_at = 0;
	assert_int_equal(touch(&cache, CHUNK - 1, 2), 2);
	finish(&cache);
}

static void test_rings(void **state)
{
	struct mapcache cache;
	struct guest_memory *mem = &cache.memory;
	uint8_t *p;

	(void)state;
	start(&cache, 2);
	for (uint64_t addr = 0; addr < 3 * MODEL_PAGE; addr += 496) {
		p = mem->ops->map_ring(mem, addr, 8200);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % MODEL_PAGE, addr % MODEL_PAGE);
		p[0] = 0xa5;
		p[8199] = 0x5a;
		assert_int_equal(guest_byte(addr), 0xa5);
		assert_int_equal(guest_byte(addr + 8199), 0x5a);
		mapcache_invalidate(&cache); /* rings stay */
		p[1] = 1;
		mem->ops->unmap_ring(mem, p, 8200);
		assert_int_equal(mapped_pages(), 0);
		assert_int_equal(cache.pages, 0);
	}
	p = mem->ops->map_ring(mem, 4080, 65536 - 4080);
	assert_non_null(p);
	mem->ops->unmap_ring(mem, p, 65536 - 4080);
	finish(&cache);
}

static void test_rings_refused(void **state)
{
	struct mapcache cache;
	struct guest_memory *mem = &cache.memory;

	(void)state;
	start(&cache, 2);
	guest.bad[2] = true;
	assert_null(mem->ops->map_ring(mem, 0, 3 * MODEL_PAGE));
	assert_null(mem->ops->map_ring(mem, 2 * MODEL_PAGE, 16));
	assert_null(mem->ops->map_ring(mem, 3 * MODEL_PAGE - 8, 16));
	assert_null(mem->ops->map_ring(mem, UINT64_MAX - 7, 16));
	assert_null(mem->ops->map_ring(mem, UINT64_MAX - 15, 16));
	assert_null(mem->ops->map_ring(mem, 4096, 17 * MODEL_PAGE));
	assert_null(mem->ops->map_ring(mem, 4095, 16 * MODEL_PAGE));
	assert_null(
		mem->ops->map_ring(mem, (uint64_t)GUEST_CHUNKS * CHUNK, 16));
	guest.calls = 0;
	guest.fail_at = 1;
	assert_null(mem->ops->map_ring(mem, 0, 16));
	assert_int_equal(mapped_pages(), 0);
	assert_int_equal(cache.pages, 0);
	finish(&cache);
}

static void test_init_and_finish(void **state)
{
	struct mapcache cache;

	(void)state;
	memset(&cache, 0, sizeof(cache));
	mapcache_finish(&cache);
	/* More address space than a process has. */
	assert_int_equal(mapcache_init(&cache, handle, 7, UINT32_MAX), -ENOMEM);
	mapcache_finish(&cache);
	start(&cache, MAPCACHE_CHUNKS_DEFAULT);
	finish(&cache);
}

/* ---- random use ---------------------------------------------------------- */

enum { HELD = 6 };

/* Write a mark through a mapping and find it in the guest. */
static void check_mapping(const struct mapping *m, uint64_t addr, uint8_t mark)
{
	for (int i = 0; i < m->n; i++) {
		uint8_t *p = m->iov[i].base;

		p[0] = mark;
		assert_int_equal(guest_byte(addr), mark);
		p[m->iov[i].len - 1] = mark;
		addr += m->iov[i].len;
		assert_int_equal(guest_byte(addr - 1), mark);
	}
}

static bool range_is_good(uint64_t addr, uint32_t len)
{
	for (uint64_t page = addr / MODEL_PAGE;
	     page <= (addr + len - 1) / MODEL_PAGE; page++)
		if (!is_good(page))
			return false;
	return true;
}

static void test_random_use(void **state)
{
	struct mapcache cache;
	struct mapping held[HELD] = { 0 };
	uint64_t rnd = 12345;

	(void)state;
	start(&cache, 8);
	for (unsigned int step = 0; step < 20000; step++) {
		struct mapping *m = &held[model_random_below(&rnd, HELD)];
		uint64_t addr = model_random_below(&rnd,
						   GUEST_PAGES * MODEL_PAGE);
		uint32_t len = 1 + model_random_below(&rnd, 8192);
		bool good = range_is_good(addr, len);
		uint32_t page = model_random_below(&rnd, GUEST_PAGES);

		if (step % 500 == 0) {
			guest.bad[page] = !guest.bad[page];
			mapcache_invalidate(&cache);
			continue;
		}
		if (m->n > 0) {
			unmap(&cache, m);
			m->n = 0;
			continue;
		}
		map(&cache, m, addr, len);
		if (m->n > 0) {
			assert_true(good);
			check_mapping(m, addr, (uint8_t)step);
		} else {
			assert_true(good ? m->n == -EAGAIN :
					   m->n == -EFAULT || m->n == -EAGAIN);
			m->n = 0;
		}
	}
	for (int i = 0; i < HELD; i++)
		if (held[i].n > 0)
			unmap(&cache, &held[i]);
	finish(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hit_costs_nothing),
		cmocka_unit_test(test_crossing_chunks),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_hole_that_becomes_good),
		cmocka_unit_test(test_outside_the_guest),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_invalidate),
		cmocka_unit_test(test_map_call_fails),
		cmocka_unit_test(test_failed_but_reserved),
		cmocka_unit_test(test_lacking_for_a_moment),
		cmocka_unit_test(test_lacking_for_good),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_rings_refused),
		cmocka_unit_test(test_init_and_finish),
		cmocka_unit_test(test_random_use),
	};

	guest.fd = memfd_create("fake-guest", MFD_CLOEXEC);
	if (guest.fd < 0 ||
	    ftruncate(guest.fd, (off_t)GUEST_PAGES * MODEL_PAGE))
		return 1;
	return cmocka_run_group_tests_name("xen_mapcache", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
