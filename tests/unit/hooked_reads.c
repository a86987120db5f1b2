/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that is another one at the second look, for certain and not by
 * chance: the core is built with its accesses to guest memory hooked (see
 * tests/hooked), and each byte that it has read is turned over at once. So
 * whatever is read twice is wrong the second time, and each request must still
 * do exactly what its descriptors, its table and its header said at first. That
 * no byte of them is read a second time is counted as well.
 *
 * What the core holds for guest memory is a range of forbidden pages: an access
 * that does not go by the verbs of shared.h is a fault.
 */
#include "lib/model_request.h"

void hooked_copy(void *to, const void *from, size_t len);
uint64_t hooked_load(const void *p, size_t len);
void hooked_store(void *p, uint64_t value, size_t len);
void hooked_put(void *to, const void *from, size_t len);

enum { PAGES = 20, RING = 16, BYTES = PAGES * MODEL_PAGE, BUFS = 14 };

static struct {
	struct model_blk m;
	uint8_t reads[BYTES]; /* of each byte, since the last request */
	unsigned long total;  /* bytes read so far */
	bool changing;
	uint16_t index_after; /* what avail.idx is after a look, or 0 */
	unsigned int looks;   /* at avail.idx */
} hooked;

static bool is_guest(const void *p)
{
	const uint8_t *at = p;

	return hooked.m.mem.device && at >= hooked.m.mem.device &&
	       at < hooked.m.mem.device + BYTES;
}

static uint64_t offset_of(const void *p, size_t len)
{
	uint64_t offset = (uint64_t)((const uint8_t *)p - hooked.m.mem.device);

	assert_true(len <= BYTES - offset);
	return offset;
}

/*
 * What a driver changes while the device runs, and a device reads again and
 * again: the index, or in a packed ring the flags that say whether a descriptor
 * is available, and the wish for notifications.
 */
static bool is_live(uint64_t offset, size_t len)
{
	const struct model_ring *ring = &hooked.m.ring[0];
	uint64_t avail = ring->avail_at - MODEL_BASE;

	if (ring->packed)
		return (len == 2 && offset < vring_desc_bytes(ring->size)) ||
		       (offset >= avail && offset < avail + 4);
	return (offset >= avail && offset < avail + 4) ||
	       offset == avail + 4 + 2 * (uint64_t)ring->size;
}

/* What only the device writes. */
static bool is_device(uint64_t offset)
{
	const struct model_ring *ring = &hooked.m.ring[0];
	uint64_t used = ring->used_at - MODEL_BASE;

	return offset >= used && offset < used + model_ring_bytes(ring).device;
}

/* A byte of guest memory is another one from now on. */
static void turn_over(uint64_t offset)
{
	struct model_blk *m = &hooked.m;
	const struct model_ring *ring = &m->ring[0];
	uint64_t used = 16 * (uint64_t)(ring->used_seen % ring->size) + 8;
	uint8_t bits = 0xff;

	/* Whether it is available in the next round is not for us to say. */
	if (ring->packed && offset < vring_desc_bytes(ring->size) &&
	    offset % 16 >= 14)
		bits = 0x7f;
	m->mem.bytes[offset] ^= bits;
	/* The used element comes over its descriptor, and is there already. */
	if (!ring->packed || offset < used || offset >= used + 8)
		m->shadow[offset] ^= bits;
}

/* [offset, + len) has been read. */
static void change(uint64_t offset, size_t len)
{
	struct model_blk *m = &hooked.m;

	hooked.total += len;
	assert_false(is_device(offset));
	if (is_live(offset, len)) {
		if (m->mem.base + offset != m->ring[0].avail_at + 2)
			return;
		hooked.looks++;
		if (hooked.index_after)
			m->ring[0].avail->idx = hooked.index_after;
		return;
	}
	for (size_t i = offset; i < offset + len; i++) {
		hooked.reads[i]++;
		if (hooked.changing)
			turn_over(i);
	}
}

void hooked_copy(void *to, const void *from, size_t len)
{
	if (!is_guest(from)) {
		memcpy(to, from, len);
		return;
	}
	memcpy(to, hooked.m.mem.bytes + offset_of(from, len), len);
	change(offset_of(from, len), len);
}

uint64_t hooked_load(const void *p, size_t len)
{
	uint64_t value = 0;

	hooked_copy(&value, p, len);
	return value;
}

void hooked_put(void *to, const void *from, size_t len)
{
	if (is_guest(to))
		to = hooked.m.mem.bytes + offset_of(to, len);
	memcpy(to, from, len);
}

void hooked_store(void *p, uint64_t value, size_t len)
{
	hooked_put(p, &value, len);
}

/* A device that has nothing but the hooks to reach guest memory with. */
static void hooked_start(struct model_setup setup)
{
	struct model_blk *m = &hooked.m;
	void *view = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	assert_ptr_not_equal(view, MAP_FAILED);
	memset(&hooked, 0, sizeof(hooked));
	setup.pages = PAGES;
	setup.discard = true;
	setup.secure_erase = true;
	setup.queue_size = RING;
	model_blk_init(m, setup);
	assert_int_equal(m->ring[0].desc_at, MODEL_BASE);
	m->mem.device = view;
	if (setup.windows)
		model_memory_windows(&m->mem);
	model_blk_drive(m);
	hooked.changing = true;
}

static void hooked_finish(void)
{
	munmap(hooked.m.mem.device, BYTES);
	model_blk_finish(&hooked.m);
	hooked.m.mem.device = NULL;
}

/* ---- requests ------------------------------------------------------------ */

struct frame {
	struct model_buf bufs[BUFS];
	unsigned int n;
	uint64_t at[2];
};

/* Segments of a discard and its kin, most of them good. */
static uint32_t add_segments(uint64_t at, uint64_t *rnd)
{
	uint32_t n = model_random_below(rnd, 34);
	struct virtio_blk_segment *s = model_at(&hooked.m.mem, at,
						34 * sizeof(*s));

	for (uint32_t i = 0; i < n; i++)
		s[i] = (struct virtio_blk_segment){
			.sector = model_random_below(rnd, 64),
			.num_sectors = !!model_random_below(rnd, 30),
		};
	return n * (uint32_t)sizeof(*s);
}

/* `bytes` in up to `parts` descriptors of random lengths. */
static void add(struct frame *f, bool write, uint32_t bytes, unsigned int parts,
		uint64_t *rnd)
{
	while (parts--) {
		uint32_t len = parts ? model_random_below(rnd, bytes + 1) :
				       bytes;

		f->bufs[f->n++] = (struct model_buf){ f->at[write], len,
						      write };
		f->at[write] += len;
		bytes -= len;
	}
}

static struct model_chain random_chain(struct frame *f, uint64_t *rnd)
{
	static const uint32_t types[] = { 0, 0, 1, 1, 4, 8, 11, 13, 14, 99 };
	static const uint32_t lens[] = { 0, 1, 20, 512, 512, 1024, 4096 };
	struct model_blk *m = &hooked.m;
	uint32_t type = types[model_random_below(rnd, 10)];
	uint32_t bytes = lens[model_random_below(rnd, 7)];
	uint32_t header = model_random_below(rnd, 20) ? 16 : 12;
	uint32_t out = type == 1 ? bytes : 0;

	f->n = 0;
	f->at[0] = m->heap + 40;
	f->at[1] = m->heap + 3 * MODEL_PAGE + 72;
	model_header(m, f->at[0], type, model_random_below(rnd, 66));
	if (type >= 11 && type <= 14)
		out = add_segments(f->at[0] + 16, rnd);
	add(f, false, header + out, 1 + model_random_below(rnd, 5), rnd);
	add(f, true, 1 + (out ? 0 : bytes), 1 + model_random_below(rnd, 5),
	    rnd);
	return (struct model_chain){ f->bufs, f->n };
}

/*
 * Each field of each request was read once at most. (The data of a write is
 * read by the engine, which is none of the core's.)
 */
static void check_reads(void)
{
	for (unsigned int i = 0; i < BYTES; i++)
		if (hooked.reads[i] > 1)
			fail_msg("byte %#x of guest memory was read %u times",
				 i, hooked.reads[i]);
	memset(hooked.reads, 0, sizeof(hooked.reads));
}

static void second_looks(struct model_setup setup, uint64_t piece)
{
	enum { ROUNDS = 5000 };
	uint64_t rnd = 7 + piece;
	struct frame f;

	hooked_start(setup);
	hooked.m.mem.piece = piece;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct model_chain chain = random_chain(&f, &rnd);

		unsigned int direct = model_random_below(&rnd, chain.n + 1);

		/* Section 2.8.7: direct or a table, not both. */
		if (setup.packed && direct < chain.n)
			direct = 0;
		model_try(&hooked.m, &chain, direct);
		check_reads();
	}
	print_message("# %u requests, %lu bytes read\n", ROUNDS, hooked.total);
	assert_true(hooked.total > ROUNDS * 16ul);
	hooked_finish();
}

static void test_second_look_is_another(void **state)
{
	(void)state;
	second_looks((struct model_setup){ 0 }, 0);
	second_looks((struct model_setup){ .pinnable = true }, 100);
	second_looks((struct model_setup){ .windows = true }, 0);
	second_looks((struct model_setup){ .packed = true }, 0);
	second_looks((struct model_setup){ .packed = true }, 100);
	second_looks((struct model_setup){ .refused = VIRTIO_FEATURE(
						   VIRTIO_F_EVENT_IDX) },
		     0);
}

/* An index that jumps once it was looked at counts at the next look. */
static void test_index_that_changes(void **state)
{
	struct model_blk *m = &hooked.m;
	uint64_t rnd = 3;
	struct frame f;

	(void)state;
	for (unsigned int n = 1; n <= 5; n++) {
		hooked_start((struct model_setup){ 0 });
		for (unsigned int i = 0; i < n; i++) {
			const struct model_buf bufs[] = {
				{ m->heap + 64 * i, 16, false },
				{ m->heap + 64 * i + 32, 1, true },
			};

			model_header(m, m->heap + 64 * i, VIRTIO_BLK_T_FLUSH,
				     0);
			model_offer(&m->ring[0], bufs, 2);
		}
		hooked.index_after = 0x4000;
		model_serve(m, 0);
		/* What the first look promised, and no more. */
		assert_int_equal(m->blk.queue[0].requests, n);
		assert_int_equal(m->ring[0].used->idx, n);
		assert_int_equal(hooked.looks, 2);
		assert_false(virtio_device_live(&m->blk.dev));
		check_reads();
		hooked.index_after = 0;
		model_blk_restart(m);
		memset(hooked.reads, 0, sizeof(hooked.reads));
		model_try(m,
			  &(struct model_chain){ f.bufs,
						 random_chain(&f, &rnd).n },
			  0);
		hooked_finish();
	}
}

/* The net holds: something that is read twice is seen. */
static void test_hook_sees_a_second_read(void **state)
{
	uint32_t first, second;
	uint8_t *at;

	(void)state;
	hooked_start((struct model_setup){ 0 });
	at = model_device(&hooked.m.mem, model_byte(&hooked.m, hooked.m.heap));
	first = (uint32_t)hooked_load(at, 4);
	second = (uint32_t)hooked_load(at, 4);
	assert_int_equal(first, ~second);
	assert_int_equal(hooked.reads[hooked.m.heap - MODEL_BASE], 2);
	hooked_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_look_is_another),
		cmocka_unit_test(test_index_that_changes),
		cmocka_unit_test(test_hook_sees_a_second_read),
	};

	return cmocka_run_group_tests_name("hooked_reads", tests, NULL, NULL);
}
