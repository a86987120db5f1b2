/* SPDX-License-Identifier: MIT */
/*
 * A table of hostile split rings: descriptors, indirect tables and available
 * rings that no driver may write, and odd ones that it may. Each row is played
 * on rings of 1, 2 and 256 entries where it fits; descriptors also as an
 * indirect table, tables also nested and where they were not negotiated.
 */
#include "lib/model_hostile.h"

#define N VRING_DESC_NEXT
#define W VRING_DESC_WRITE
#define I VRING_DESC_INDIRECT

enum {
	/* Values of `next` that depend on the list; others are its entries. */
	SIZE = 0xfff0, /* as many as the list has */
	SIZE_1,        /* one more */
	LIST_MAX = 8,
};

/* The second table, behind the one that stage() may need itself. */
#define T2 (TABLE + MODEL_PAGE)
/* An address that stands for that of the chain's first descriptor. */
#define ITSELF UINT64_C(0x5a5a5a5a00000000)

struct list {
	struct vring_desc d[LIST_MAX];
	unsigned int n;
};

struct ring_case {
	const char *name;
	int answer;
	struct list list;  /* in the ring, or in a table */
	struct list table; /* at T2 */
};

#define LIST(...)                                                           \
	{                                                                   \
		{ __VA_ARGS__ },                                            \
			COUNT(((const struct vring_desc[]){ __VA_ARGS__ })) \
	}
#define D(addr, len, flags, next)      \
	{                              \
		addr, len, flags, next \
	}
/* The request that every row that is answered with OK comes to. */
#define HN(next) D(HDR, 16, N, next)
#define DN(next) D(DATA, 512, N | W, next)
#define S0 D(STATUS, 1, W, 0)

static const struct model_buf good_bufs[] = {
	{ HDR, 16, false },
	{ DATA, 512, true },
	{ STATUS, 1, true },
};

static const struct model_chain good = { good_bufs, 3 };

#define RING(what, answer, ...)                  \
	{                                        \
		what, answer, LIST(__VA_ARGS__), \
		{                                \
			.n = 0                   \
		}                                \
	}

static const struct ring_case descriptors[] = {
	RING("in order", OK, HN(1), DN(2), S0),
	RING("backwards", OK, HN(2), S0, DN(1)),
	RING("loop of 1", RESET, D(HDR, 16, N, 0)),
	RING("loop of 1, writable", RESET, D(DATA, 512, N | W, 0)),
	RING("loop of 1, empty", RESET, D(HDR, 0, N, 0)),
	RING("loop of 1, empty and writable", RESET, D(0, 0, N | W, 0)),
	RING("loop of 1, 4 GiB in time", RESET, D(HDR, 0x80000000, N, 0)),
	RING("loop of 2", RESET, HN(1), D(DATA, 1, N, 0)),
	RING("loop of 2, writable", RESET, D(DATA, 1, N | W, 1),
	     D(DATA, 1, N | W, 0)),
	RING("loop of 2, empty", RESET, D(0, 0, N, 1), D(0, 0, N, 0)),
	RING("loop of 2 to a readable", RESET, HN(1), DN(0)),
	RING("loop of 3", RESET, HN(1), D(DATA, 1, N, 2), D(DATA, 1, N, 0)),
	RING("loop of 4", RESET, HN(1), D(DATA, 1, N, 2), D(DATA, 1, N, 3),
	     D(DATA, 1, N, 0)),
	RING("loop of 5", RESET, HN(1), D(DATA, 1, N, 2), D(DATA, 1, N, 3),
	     D(DATA, 1, N, 4), D(DATA, 1, N, 0)),
	RING("loop of 8", RESET, HN(1), D(0, 0, N, 2), D(0, 0, N, 3),
	     D(0, 0, N, 4), D(0, 0, N, 5), D(0, 0, N, 6), D(0, 0, N, 7),
	     D(0, 0, N, 0)),
	RING("the status loops", RESET, HN(1), DN(2), D(STATUS, 1, N | W, 2)),
	RING("the data loops", RESET, HN(1), DN(1)),
	RING("from the status to the data", RESET, HN(1), DN(2),
	     D(STATUS, 1, N | W, 1)),
	RING("from the status to the header", RESET, HN(1), DN(2),
	     D(STATUS, 1, N | W, 0)),
	RING("tail and loop of 2", RESET, HN(1), DN(2), D(DATA, 1, N | W, 3),
	     D(DATA, 1, N | W, 2)),
	RING("next is the size", RESET, HN(SIZE)),
	RING("next is the size and 1", RESET, HN(SIZE_1)),
	RING("next is 0x7fff", RESET, HN(0x7fff)),
	RING("next is 0x8000", RESET, HN(0x8000)),
	RING("next is 0xfffe", RESET, HN(0xfffe)),
	RING("next is 0xffff", RESET, HN(0xffff)),
	RING("second next is the size", RESET, HN(1), DN(SIZE)),
	RING("second next is the size and 1", RESET, HN(1), DN(SIZE_1)),
	RING("second next is 0xffff", RESET, HN(1), DN(0xffff)),
	RING("third next is the size", RESET, HN(1), DN(2),
	     D(STATUS, 1, N | W, SIZE)),
	RING("third next is 0xffff", RESET, HN(1), DN(2),
	     D(STATUS, 1, N | W, 0xffff)),
	RING("an empty one's next is the size", RESET, HN(1), D(0, 0, N, SIZE)),
	RING("next without its flag: size", OK, HN(1), DN(2),
	     D(STATUS, 1, W, SIZE)),
	RING("next without its flag: 0xffff", OK, HN(1), DN(2),
	     D(STATUS, 1, W, 0xffff)),
	RING("next without its flag: itself", OK, HN(1), DN(2),
	     D(STATUS, 1, W, 2)),
	RING("flag 8", OK, D(HDR, 16, N | 8, 1), DN(2), S0),
	RING("flag 8 at the end", OK, HN(1), DN(2), D(STATUS, 1, W | 8, 0)),
	RING("flag 0x80: packed avail", OK, D(HDR, 16, N | 0x80, 1), DN(2), S0),
	RING("flag 0x8000: packed used", OK, D(HDR, 16, N | 0x8000, 1), DN(2),
	     S0),
	RING("all flags unknown", OK, D(HDR, 16, N | 0xfff8, 1),
	     D(DATA, 512, N | W | 0xfff8, 2), D(STATUS, 1, W | 0xfff8, 0)),
	RING("readable second of 2", RESET, D(DATA, 512, N | W, 1),
	     D(HDR, 16, 0, 0)),
	RING("readable last of 4", RESET, HN(1), DN(2), D(STATUS, 1, N | W, 3),
	     D(HDR, 1, 0, 0)),
	RING("4 GiB of 2", RESET, D(HDR, 0xffffffff, N, 1), D(HDR, 1, 0, 0)),
	RING("4 GiB of 2, writable", RESET, D(HDR, 0x80000000, N, 1),
	     D(HDR, 0x80000000, W, 0)),
};

/* A pointer to T2, and what is there: the good request or something else. */
#define TO(len, flags, next) D(T2, len, I | (flags), next)
#define GOOD_TABLE LIST(HN(1), DN(2), S0)
#define POINTER(what, answer, ...)                          \
	{                                                   \
		what, answer, LIST(__VA_ARGS__), GOOD_TABLE \
	}
#define TABLES(what, answer, len, ...)                               \
	{                                                            \
		what, answer, LIST(TO(len, 0, 0)), LIST(__VA_ARGS__) \
	}

static const struct ring_case tables[] = {
	POINTER("table", OK, TO(48, 0, 0)),
	POINTER("table of 0", RESET, TO(0, 0, 0)),
	POINTER("table of 1", RESET, TO(1, 0, 0)),
	POINTER("table of 8", RESET, TO(8, 0, 0)),
	POINTER("table of 15", RESET, TO(15, 0, 0)),
	POINTER("table of 17", RESET, TO(17, 0, 0)),
	POINTER("table of 31", RESET, TO(31, 0, 0)),
	POINTER("table of 47", RESET, TO(47, 0, 0)),
	POINTER("table of 49", RESET, TO(49, 0, 0)),
	POINTER("table of 1 entry for 3", RESET, TO(16, 0, 0)),
	POINTER("table of 2 entries for 3", RESET, TO(32, 0, 0)),
	POINTER("table of 4 entries for 3", OK, TO(64, 0, 0)),
	POINTER("table of 256 entries", OK, TO(4096, 0, 0)),
	POINTER("table of 257 entries", RESET, TO(4112, 0, 0)),
	POINTER("table of 1024 entries", RESET, TO(16384, 0, 0)),
	POINTER("table of 4096 entries", RESET, TO(65536, 0, 0)),
	POINTER("table of 65536 entries", RESET, TO(0x100000, 0, 0)),
	POINTER("table of 65539 entries", RESET, TO(0x100030, 0, 0)),
	POINTER("table of 2^27 entries", RESET, TO(0x80000000, 0, 0)),
	POINTER("table of nearly 4 GiB", RESET, TO(0xfffffff0, 0, 0)),
	POINTER("table of 0xffffffff", RESET, TO(0xffffffff, 0, 0)),
	POINTER("table, writable", OK, TO(48, W, 0)),
	POINTER("table, next", RESET, TO(48, N, 0)),
	POINTER("table, next and writable", RESET, TO(48, N | W, 0)),
	POINTER("table, next to more", RESET, TO(48, N, 1), S0),
	POINTER("table, next of no flag", OK, TO(48, 0, 0xffff)),
	POINTER("table, unknown flags", OK, TO(48, 0xfff8, 0)),
	POINTER("table at 0", RESET, D(0, 48, I, 0)),
	POINTER("table over the beginning", RESET,
		D(MODEL_BASE - 16, 48, I, 0)),
	POINTER("table over the end", RESET, D(END - 16, 48, I, 0)),
	POINTER("table over the end by a byte", RESET, D(END - 47, 48, I, 0)),
	POINTER("table at the end", RESET, D(END, 48, I, 0)),
	POINTER("table at the registers", RESET, D(0x02000000, 48, I, 0)),
	POINTER("table at 2^32", RESET, D(UINT64_C(1) << 32, 48, I, 0)),
	POINTER("table with bit 63", RESET,
		D(T2 | UINT64_C(1) << 63, 48, I, 0)),
	POINTER("table over the end of addresses", RESET,
		D(UINT64_MAX - 15, 48, I, 0)),
	POINTER("table at the last address", RESET, D(UINT64_MAX, 16, I, 0)),
	POINTER("table that is its own pointer", RESET, D(ITSELF, 16, I, 0)),
	POINTER("two tables", RESET, TO(48, N, 1), TO(48, 0, 0)),
	POINTER("table after a readable", RESET, D(DATA, 512, N | W, 1),
		TO(48, 0, 0)),
	POINTER("table after an empty one", OK, D(0, 0, N, 1), TO(48, 0, 0)),
	POINTER("table after 4 GiB", RESET, D(0, 0xffffffff, N, 1),
		TO(48, 0, 0)),
	POINTER("table behind a loop", RESET, D(HDR, 1, N, 0), TO(48, 0, 0)),
	TABLES("loop of 1 in a table", RESET, 16, D(HDR, 16, N, 0)),
	TABLES("loop of 1, longer table", RESET, 4096, D(HDR, 16, N, 0)),
	TABLES("loop of 2 in a table", RESET, 32, HN(1), D(0, 0, N, 0)),
	TABLES("loop of 3 in a table", RESET, 48, HN(1), DN(2),
	       D(STATUS, 1, N | W, 1)),
	TABLES("empty loop in a table", RESET, 4096, D(0, 0, N, 1),
	       D(0, 0, N, 0)),
	TABLES("next of a table is its size", RESET, 48, HN(1), DN(SIZE)),
	TABLES("next of a table is 255", RESET, 48, HN(1), DN(255)),
	TABLES("next of a table is 0xffff", RESET, 48, HN(1), DN(0xffff)),
	TABLES("nested", RESET, 16, D(TABLE, 48, I, 0)),
	TABLES("nested in itself", RESET, 16, D(T2, 16, I, 0)),
	TABLES("nested second", RESET, 32, HN(1), D(T2, 32, I, 0)),
	TABLES("nested last", RESET, 48, HN(1), DN(2), D(T2, 48, I, 0)),
	TABLES("nested, next", RESET, 48, HN(1), D(T2, 48, I | N, 2), S0),
	TABLES("nested of 0", RESET, 32, HN(1), D(T2, 0, I, 0)),
	TABLES("nested but not reached", OK, 64, HN(1), DN(2), S0,
	       D(T2, 64, I, 0)),
	TABLES("readable after writable in a table", RESET, 32, DN(1),
	       D(HDR, 16, 0, 0)),
	TABLES("4 GiB in a table", RESET, 32, D(HDR, 0xffffffff, N, 1),
	       D(HDR, 1, 0, 0)),
	TABLES("table begins elsewhere", OK, 64, HN(3), S0, D(0, 0, 0, 0),
	       DN(1)),
	{ "header, and a table of the rest", OK, LIST(HN(1), TO(32, 0, 0)),
	  LIST(DN(1), S0) },
	{ "header and data, and a table of the status", OK,
	  LIST(HN(1), DN(2), TO(16, 0, 0)), LIST(S0) },
	{ "data, and a table of the header", RESET, LIST(DN(1), TO(32, 0, 0)),
	  LIST(HN(1), S0) },
};

/* ---- the play of descriptors --------------------------------------------- */

static struct vring_desc resolve(struct vring_desc d, const struct list *list,
				 unsigned int size, const uint16_t *at)
{
	if (d.addr == ITSELF && at)
		d.addr = hostile.m.ring[0].desc_at + 16 * (uint64_t)at[0];
	if (d.next < list->n && at)
		d.next = at[d.next];
	else if (d.next == SIZE || d.next == SIZE_1)
		d.next = (uint16_t)(size + d.next - SIZE);
	return d;
}

/* Scattered over the free descriptors; the driver's notes go along. */
static uint16_t place_direct(struct model_ring *ring, const struct list *list)
{
	uint16_t at[LIST_MAX];

	for (unsigned int i = 0; i < list->n; i++)
		at[i] = model_take_desc(ring);
	for (unsigned int i = 0; i < list->n; i++) {
		ring->desc[at[i]] = resolve(list->d[i], list, ring->size, at);
		ring->next[at[i]] = at[(i + 1) % list->n];
	}
	ring->length[at[0]] = (uint16_t)list->n;
	model_avail(ring, at[0]);
	return at[0];
}

static void place_table(uint64_t addr, const struct list *list,
			unsigned int size)
{
	struct vring_desc *table = model_at(&hostile.m.mem, addr, MODEL_PAGE);

	assert_non_null(table);
	for (unsigned int i = 0; i < list->n; i++)
		table[i] = resolve(list->d[i], list, size, NULL);
}

static uint16_t place_indirect(struct model_ring *ring, const struct list *list)
{
	const struct list pointer = LIST(D(TABLE, list->n * 16, I, 0));

	place_table(TABLE, list, list->n);
	return place_direct(ring, &pointer);
}

static void play(const struct ring_case *row, bool indirect, int answer)
{
	struct model_blk *m = &hostile.m;
	struct model_ring *ring = &m->ring[0];
	uint16_t head;

	if (!indirect && row->list.n > ring->size)
		return;
	hostile_begin(row->name);
	memset(model_at(&m->mem, HDR, END - HDR), 0, END - HDR);
	model_header(m, HDR, IN, 7);
	*model_byte(m, STATUS) = 0xee;
	place_table(T2, &row->table, row->list.d[row->list.n - 1].len / 16);
	head = indirect ? place_indirect(ring, &row->list) :
			  place_direct(ring, &row->list);
	hostile_serve(head, &good, answer, 513);
	if (answer == OK)
		assert_int_equal(*model_byte(m, STATUS), OK);
}

static void on_all_rings(uint64_t refused, void (*play_table)(void))
{
	for (size_t i = 0; i < COUNT(hostile_sizes); i++) {
		hostile_start((struct model_setup){
			.ring_size = hostile_sizes[i],
			.refused = refused,
		});
		play_table();
		hostile_finish();
	}
}

static void play_direct(void)
{
	for (size_t i = 0; i < COUNT(descriptors); i++)
		play(&descriptors[i], false, descriptors[i].answer);
	for (size_t i = 0; i < COUNT(tables); i++)
		play(&tables[i], false, tables[i].answer);
}

static void test_direct(void **state)
{
	(void)state;
	on_all_rings(0, play_direct);
	on_all_rings(VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX), play_direct);
	print_message("# %zu cases\n", COUNT(descriptors) + COUNT(tables));
	assert_true(COUNT(descriptors) + COUNT(tables) >= 100);
}

/* The descriptors as a table; so the tables' rows are nested ones. */
static void play_indirect(void)
{
	for (size_t i = 0; i < COUNT(descriptors); i++)
		play(&descriptors[i], true, descriptors[i].answer);
	for (size_t i = 0; i < COUNT(tables); i++)
		play(&tables[i], true, RESET);
}

static void test_indirect(void **state)
{
	(void)state;
	on_all_rings(0, play_indirect);
}

static void play_refused(void)
{
	for (size_t i = 0; i < COUNT(tables); i++)
		play(&tables[i], false, RESET);
	hostile_begin("direct where tables were not negotiated");
	hostile_serve(place_direct(&hostile.m.ring[0],
				   &(struct list)LIST(D(0, 0, 0, 0))),
		      &(struct model_chain){ .n = 0 }, NONE, 0);
}

/* Without tables a ring of less than 3 has no whole request. */
static void test_not_negotiated(void **state)
{
	(void)state;
	hostile_start((struct model_setup){
		.ring_size = 256,
		.refused = VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC),
	});
	play_refused();
	hostile_finish();
}

/* Loops of every length that a ring and a table can have. */
static void loop(unsigned int n, bool indirect)
{
	struct model_blk *m = &hostile.m;
	struct model_ring *ring = &m->ring[0];
	struct vring_desc *list = indirect ?
					  model_at(&m->mem, TABLE, MODEL_PAGE) :
					  ring->desc;

	hostile_begin("loop of any length");
	for (unsigned int i = 0; i < n; i++)
		list[i] = (struct vring_desc)D(DATA, 1, N | W,
					       (uint16_t)((i + 1) % n));
	if (indirect)
		place_direct(ring, &(struct list)LIST(D(TABLE, n * 16, I, 0)));
	else
		model_avail(ring, 0);
	hostile_serve(0, NULL, RESET, 0);
}

static void test_loops(void **state)
{
	(void)state;
	hostile_start((struct model_setup){ .ring_size = 256 });
	for (unsigned int n = 1; n <= 256; n++) {
		loop(n, false);
		loop(n, true);
	}
	hostile_finish();
}

/* ---- the available ring -------------------------------------------------- */

struct avail_case {
	const char *name;
	void (*spoil)(struct model_ring *ring, uint32_t value);
	uint32_t value;        /* SIZE and above: of the ring */
	unsigned int answered; /* requests before the ring was found broken */
	int answer;
};

/* A good request in one descriptor of the ring. */
static uint16_t offer_good(struct model_ring *ring)
{
	model_header(&hostile.m, HDR, IN, 7);
	return model_offer_mixed(ring, good_bufs, 0, 3, TABLE);
}

static void bad_head(struct model_ring *ring, uint32_t value)
{
	model_avail(ring, (uint16_t)value);
}

static void good_then_bad_head(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	model_avail(ring, (uint16_t)value);
}

static void jump(struct model_ring *ring, uint32_t value)
{
	ring->avail->idx = (uint16_t)(ring->avail_next + value);
}

static void good_and_jump(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	jump(ring, value);
}

static void same_head_twice(struct model_ring *ring, uint32_t value)
{
	uint16_t head = offer_good(ring);

	(void)value;
	model_avail(ring, head);
}

static void used_index(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	ring->used->idx = (uint16_t)(ring->used->idx + value);
}

static void used_flags(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	ring->used->flags = (uint16_t)value;
}

static void used_elements(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	for (unsigned int i = 0; i < ring->size; i++)
		ring->used->ring[i] = (struct vring_used_elem){ value, value };
}

static void avail_flags(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	ring->avail->flags = (uint16_t)value;
}

static void event_index(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	*model_used_event(ring) = (uint16_t)value;
}

static void avail_event(struct model_ring *ring, uint32_t value)
{
	offer_good(ring);
	*model_avail_event(ring) = (uint16_t)value;
}

static const struct avail_case avails[] = {
	{ "head is the size", bad_head, SIZE, 0, RESET },
	{ "head is the size and 1", bad_head, SIZE_1, 0, RESET },
	{ "head is 0x7fff", bad_head, 0x7fff, 0, RESET },
	{ "head is 0x8000", bad_head, 0x8000, 0, RESET },
	{ "head is 0xfffe", bad_head, 0xfffe, 0, RESET },
	{ "head is 0xffff", bad_head, 0xffff, 0, RESET },
	{ "good, then the size", good_then_bad_head, SIZE, 1, RESET },
	{ "good, then 0x8000", good_then_bad_head, 0x8000, 1, RESET },
	{ "good, then 0xffff", good_then_bad_head, 0xffff, 1, RESET },
	{ "the same head twice", same_head_twice, 0, 1, RESET },
	{ "index ahead by the size and 1", jump, SIZE_1, 0, RESET },
	{ "index ahead by 1000", jump, 1000, 0, RESET },
	{ "index ahead by 0x7fff", jump, 0x7fff, 0, RESET },
	{ "index ahead by 0x8000", jump, 0x8000, 0, RESET },
	{ "index ahead by 0xff00", jump, 0xfeff, 0, RESET },
	{ "index back by 2", jump, 0xfffe, 0, RESET },
	{ "index back by 1", jump, 0xffff, 0, RESET },
	{ "good, index ahead by the size", good_and_jump, SIZE, 0, RESET },
	{ "good, index ahead by the size and 1", good_and_jump, SIZE_1, 0,
	  RESET },
	{ "good, index ahead by 0x7fff", good_and_jump, 0x7fff, 0, RESET },
	{ "good, index ahead by 0x8000", good_and_jump, 0x8000, 0, RESET },
	{ "good, index back by 2", good_and_jump, 0xfffd, 0, RESET },
	{ "used index written by the driver", used_index, 1, 1, OK },
	{ "used index ahead by 0x8000", used_index, 0x8000, 1, OK },
	{ "used index back by 1", used_index, 0xffff, 1, OK },
	{ "used flags 0xffff", used_flags, 0xffff, 1, OK },
	{ "used elements 0", used_elements, 0, 1, OK },
	{ "used elements 0xffffffff", used_elements, 0xffffffff, 1, OK },
	{ "avail flags 0xffff", avail_flags, 0xffff, 1, OK },
	{ "avail flags 0xfffe", avail_flags, 0xfffe, 1, OK },
	{ "used event 0xffff", event_index, 0xffff, 1, OK },
	{ "used event 0x8000", event_index, 0x8000, 1, OK },
	{ "used event of the size", event_index, SIZE, 1, OK },
	{ "avail event 0xffff", avail_event, 0xffff, 1, OK },
	{ "avail event 0x8000", avail_event, 0x8000, 1, OK },
};

static uint32_t avail_value(const struct avail_case *row, uint16_t size)
{
	if (row->value == SIZE || row->value == SIZE_1)
		return size + row->value - SIZE;
	return row->value;
}

/*
 * Here the device's idea of the used index is what counts, not what the driver
 * wrote there: so this looks at the ring and not at the driver's notes.
 */
static void play_avail(const struct avail_case *row)
{
	struct model_blk *m = &hostile.m;
	struct model_ring *ring = &m->ring[0];
	const struct virtio_blk_queue *bq = &m->blk.queue[0];
	uint64_t before = bq->requests;
	uint16_t used = ring->used_seen;
	/* A ring of 1 has no room for a second head: its index is too far. */
	bool too_far = ring->size == 1 && row->answer == RESET;

	hostile_begin(row->name);
	memset(model_at(&m->mem, HDR, END - HDR), 0, END - HDR);
	row->spoil(ring, avail_value(row, ring->size));
	model_serve(m, 0);
	assert_int_equal(bq->requests - before, too_far ? 0 : row->answered);
	if (bq->requests != before) {
		assert_int_equal(ring->used->idx, (uint16_t)(used + 1));
		assert_int_equal(ring->used->ring[used % ring->size].len, 513);
		assert_int_equal(*model_byte(m, STATUS), OK);
	}
	if (row->answer == RESET) {
		hostile_end(true);
		return;
	}
	assert_true(virtio_device_live(&m->blk.dev));
	model_blk_restart(m);
	hostile_end(false);
}

static void play_avails(void)
{
	for (size_t i = 0; i < COUNT(avails); i++)
		play_avail(&avails[i]);
}

static void test_available_rings(void **state)
{
	(void)state;
	on_all_rings(0, play_avails);
	on_all_rings(VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX), play_avails);
	print_message("# %zu cases\n", COUNT(avails));
}

/* ---- data that lands in the ring ----------------------------------------- */

enum part { DESC, AVAIL, USED };

struct aimed_case {
	const char *name;
	enum part part;
	uint32_t at;   /* bytes from the part's beginning */
	uint32_t data; /* bytes of disk written there, or the status */
};

static const struct aimed_case aims[] = {
	{ "data over the descriptors", DESC, 0, 512 },
	{ "data over two descriptors", DESC, 8, 512 },
	{ "data over the available ring", AVAIL, 0, 512 },
	{ "data over the available entries", AVAIL, 4, 512 },
	{ "data over the used ring", USED, 0, 512 },
	{ "data over the used elements", USED, 4, 512 },
	{ "data over everything", DESC, 0, 8192 },
	{ "status over a descriptor's address", DESC, 0, 0 },
	{ "status over a descriptor's flags", DESC, 12, 0 },
	{ "status over a descriptor's next", DESC, 14, 0 },
	{ "status over the available flags", AVAIL, 0, 0 },
	{ "status over the available index", AVAIL, 2, 0 },
	{ "status over the available index, high", AVAIL, 3, 0 },
	{ "status over the available entry", AVAIL, 4, 0 },
	{ "status over the used flags", USED, 0, 0 },
	{ "status over the used index", USED, 2, 0 },
	{ "status over the used element", USED, 4, 0 },
	{ "status over the used length", USED, 8, 0 },
};

/*
 * The driver aims the device at its own ring. What becomes of that ring is the
 * driver's affair, but the chain is answered, and no one else is harmed.
 */
static void play_aimed(const struct aimed_case *row)
{
	struct model_blk *m = &hostile.m;
	struct model_ring *ring = &m->ring[0];
	const uint64_t parts[] = { ring->desc_at, ring->avail_at,
				   ring->used_at };
	const uint64_t to = parts[row->part] + row->at;
	const struct model_buf bufs[] = {
		{ HDR, 16, false },
		{ row->data ? to : DATA, row->data ? row->data : 512, true },
		{ row->data ? STATUS : to, 1, true },
	};
	uint64_t before = m->blk.queue[0].requests;

	hostile_begin(row->name);
	model_header(m, HDR, IN, 7);
	model_offer_mixed(ring, bufs, 0, 3, TABLE);
	model_serve(m, 0);
	assert_true(m->blk.queue[0].requests > before);
	/* At most the rest of what the overwritten index promises. */
	assert_true(m->blk.queue[0].requests - before <= 1u + ring->size);
	model_blk_restart(m);
	hostile_end(false);
}

static void play_aims(void)
{
	for (size_t i = 0; i < COUNT(aims); i++)
		play_aimed(&aims[i]);
}

static void test_data_in_the_ring(void **state)
{
	(void)state;
	on_all_rings(0, play_aims);
	print_message("# %zu cases\n", COUNT(aims));
}

#define TEST(f) cmocka_unit_test_teardown(f, hostile_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_direct),          TEST(test_indirect),
		TEST(test_not_negotiated),  TEST(test_loops),
		TEST(test_available_rings), TEST(test_data_in_the_ring),
	};

	return cmocka_run_group_tests_name("hostile_rings", tests, NULL, NULL);
}
