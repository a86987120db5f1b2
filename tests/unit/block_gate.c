/* SPDX-License-Identifier: MIT */
/*
 * The gate of parts of blocks, against its rule looked at from outside: who is
 * in the list may begin when nobody who came before him, and is in it yet,
 * collides with him; and is told so at once, and once.
 */
#include "lib/block_harness.h"

#include "block/gate.h"

enum { BLOCKS = 12, MANY = 2000 };

struct change {
	struct block_gate_entry entry;
	struct block_request token;
	unsigned int came; /* 0: it is not in the list */
	bool inside;
};

static struct block_image image;
static struct block_outbox outbox;
static unsigned int told;

static int setup(void **state)
{
	(void)state;
	memset(&image, 0, sizeof(image));
	assert_int_equal(block_gate_open(&image), 0);
	assert_int_equal(block_outbox_init(&outbox), 0);
	told = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	block_outbox_finish(&outbox);
	block_gate_close(&image);
	return 0;
}

static void enter(struct change *c, uint64_t begin, uint64_t end, bool alone,
		  unsigned int came)
{
	memset(c, 0, sizeof(*c));
	c->entry = (struct block_gate_entry){
		.begin = begin * 4096,
		.end = end * 4096,
		.alone = alone,
		.outbox = &outbox,
		.token = &c->token,
	};
	c->came = came;
	c->inside = block_gate_enter(image.gate, &c->entry);
}

static void leave(struct change *c)
{
	block_gate_leave(image.gate, &c->entry);
	c->came = 0;
	c->inside = false;
}

/* Take in who was told that it may begin; in the order in which they came. */
static void listen(void)
{
	struct block_request_list list = { .head = NULL };
	unsigned int last = 0;

	block_outbox_listen(&outbox);
	block_outbox_take(&outbox, &list, UINT32_MAX);
	block_outbox_settle(&outbox);
	for (struct block_request *r = list.head; r; r = r->next) {
		struct change *c =
			(struct change *)((char *)r -
					  offsetof(struct change, token));

		assert_false(c->inside);
		assert_true(c->came > last);
		last = c->came;
		c->inside = true;
		told++;
	}
}

static bool may_begin(const struct change *all, size_t n,
		      const struct change *c)
{
	for (size_t i = 0; i < n; i++) {
		const struct change *e = &all[i];

		if (e->came && e->came < c->came &&
		    (e->entry.alone || c->entry.alone) &&
		    e->entry.begin < c->entry.end &&
		    c->entry.begin < e->entry.end)
			return false;
	}
	return true;
}

static void check(const struct change *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].came)
			assert_int_equal(all[i].inside,
					 may_begin(all, n, &all[i]));
}

/* Whoever is inside leaves in any order; nobody is forgotten. */
static void test_any_order(void **state)
{
	struct change all[16] = { 0 };
	unsigned int came = 0;

	(void)state;
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		struct change *c = &all[random() % 16];

		if (c->inside) {
			leave(c);
		} else if (!c->came) {
			uint64_t begin = (uint64_t)random() % BLOCKS;

			enter(c, begin, begin + 1 + (uint64_t)random() % 4,
			      random() % 3 == 0, ++came);
		}
		listen();
		check(all, 16);
	}
	for (int left = 1; left;) {
		left = 0;
		for (int i = 0; i < 16; i++) {
			if (all[i].inside)
				leave(&all[i]);
			listen();
			left |= all[i].came != 0;
		}
		check(all, 16);
	}
	assert_in_range(told, 1000, came);
}

/* One that waits for all is not overtaken by those who come all the time. */
static void test_no_starvation(void **state)
{
	struct change whole[2], part, late;

	(void)state;
	enter(&whole[0], 0, 2, false, 1);
	enter(&part, 1, 2, true, 2);
	assert_true(whole[0].inside);
	assert_false(part.inside);
	enter(&whole[1], 0, 4, false, 3);
	assert_false(whole[1].inside);
	/* Elsewhere there is nothing to wait for. */
	enter(&late, 5, 6, true, 4);
	assert_true(late.inside);
	leave(&late);
	leave(&whole[0]);
	listen();
	assert_true(part.inside);
	assert_false(whole[1].inside);
	/* Who comes now waits for both. */
	enter(&late, 1, 3, true, 5);
	assert_false(late.inside);
	leave(&part);
	listen();
	assert_true(whole[1].inside);
	assert_false(late.inside);
	leave(&whole[1]);
	listen();
	assert_true(late.inside);
	leave(&late);
}

/* Thousands, of whom each waits for one far ahead, are told one by one. */
static void test_many(void **state)
{
	struct change *all = calloc(2 * MANY, sizeof(*all));
	unsigned int i;

	(void)state;
	assert_non_null(all);
	for (i = 0; i < 2 * MANY; i++) {
		enter(&all[i], i % MANY, i % MANY + 1, true, i + 1);
		assert_int_equal(all[i].inside, i < MANY);
	}
	for (i = 0; i < MANY; i++) {
		leave(&all[i]);
		listen();
		assert_int_equal(told, i + 1);
		assert_true(all[MANY + i].inside);
	}
	for (i = MANY; i < 2 * MANY; i++)
		leave(&all[i]);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_any_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_starvation, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
