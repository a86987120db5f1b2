/* SPDX-License-Identifier: MIT */
/*
 * All chains of a small model, held against the reference parser and, as block
 * requests, against the reference model of those.
 *
 * The ring has four entries, and so has what an indirect table uses of its own.
 * Each entry is any length of `lens`, any of NEXT, WRITE and INDIRECT, and next
 * is any entry or the first that does not exist. What the walk cannot reach,
 * and which of the entries that were not visited yet comes next, makes no other
 * chain: so those are left out, and each chain that is counted is another one.
 *
 * By itself that is 17 million chains, every 24th of the shorter ones also as a
 * request. EXHAUSTIVE=1 in the environment makes it 26 million, and 12 million
 * requests, all of the shorter ones with five types each: some minutes.
 */
#include "lib/model_chain.h"
#include "lib/model_queue.h"
#include "lib/model_request.h"

enum {
	ENTRIES = 4,        /* of the ring, and used of a table */
	TABLE_ENTRIES = 32, /* of the longest table: 512 bytes */
	STRIDE = 24,
};

#define NEXT VRING_DESC_NEXT
#define WRITE VRING_DESC_WRITE
#define INDIRECT VRING_DESC_INDIRECT

static const uint32_t lens[] = { 0, 1, 15, 16, 511, 512, 4096, 0x80000000 };

#define NLENS (sizeof(lens) / sizeof(lens[0]))

/* The enumeration: a chain in the making, and what to do with each. */
struct tree {
	void (*leaf)(struct tree *tree);
	struct vring_desc *ring;
	struct vring_desc *table;
	uint64_t table_at;
	uint64_t at[2]; /* where the next readable, writable one is */
	unsigned int table_depth[ENTRIES]; /* entries, by those before it */
	unsigned int depth;                /* of the table at work */
	unsigned long chains;
};

static void grow(struct tree *t, struct vring_desc *list, unsigned int i);

/* A pointer to a table: with each content where the table can be walked. */
static void grow_table(struct tree *t, struct vring_desc *d,
		       unsigned int before)
{
	d->addr = t->table_at;
	t->depth = d->len == 16 ? 1 : t->table_depth[before];
	if (d->len == 16 || d->len == 16 * TABLE_ENTRIES)
		grow(t, t->table, 0);
	else
		t->leaf(t);
}

/* The descriptor has NEXT: to each entry that makes another chain. */
static void grow_next(struct tree *t, struct vring_desc *list, unsigned int i)
{
	struct vring_desc *d = &list[i];
	unsigned int depth = list == t->ring ? ENTRIES : t->depth;

	/* Back to any that was visited, or out of what is used of the list. */
	for (d->next = 0; d->next <= i; d->next++)
		t->leaf(t);
	d->next = ENTRIES;
	t->leaf(t);
	d->next = (uint16_t)(i + 1);
	if (d->next < depth)
		grow(t, list, d->next);
}

/* Entry `i` of the list is reached for the first time: what can it be? */
static void grow(struct tree *t, struct vring_desc *list, unsigned int i)
{
	struct vring_desc *d = &list[i];

	for (unsigned int c = 0; c < NLENS * 8; c++) {
		bool table;
		uint64_t *at;

		d->len = lens[c / 8];
		d->flags = (uint16_t)(c % 8);
		d->next = 0;
		table = d->flags & INDIRECT;
		at = &t->at[!!(d->flags & WRITE)];
		d->addr = *at;
		if (table && list == t->ring && !(d->flags & NEXT)) {
			grow_table(t, d, i);
		} else if (table && list == t->table && d->len) {
			continue; /* whatever a nested one's length is */
		} else if (table || !(d->flags & NEXT)) {
			t->leaf(t);
		} else {
			*at += d->len;
			grow_next(t, list, i);
			*at -= d->len;
		}
	}
	memset(d, 0, sizeof(*d));
}

/* Whether all is asked for. */
static bool exhaustive(void)
{
	const char *all = getenv("EXHAUSTIVE");

	return all && *all == '1';
}

/* ---- chains -------------------------------------------------------------- */

static struct model_verdict verdict;

struct chain_tree {
	struct tree tree; /* first */
	struct model_queue m;
	struct model_rules rules;
};

static void check_ranges(const struct virtq_chain *chain)
{
	bool same = chain->n == verdict.n &&
		    chain->readable == verdict.readable &&
		    chain->readable_bytes == verdict.bytes[0] &&
		    chain->writable_bytes == verdict.bytes[1];

	for (unsigned int i = 0; same && i < chain->n; i++)
		same = chain->ranges[i].addr == verdict.ranges[i].addr &&
		       chain->ranges[i].len == verdict.ranges[i].len;
	assert_true(same);
}

static void check_chain(struct tree *t)
{
	struct chain_tree *c = (struct chain_tree *)t;
	struct virtqueue *q = &c->m.q;
	struct virtq_chain chain;
	int r;

	t->chains++;
	model_judge_chain(&c->rules, &verdict, &c->m.ring, 0);
	model_avail(&c->m.ring, 0);
	r = virtqueue_pop(q, &chain);
	if (r != verdict.result)
		fail_msg("chain %lu: %d, should be %d", t->chains, r,
			 verdict.result);
	if (r == 1) {
		check_ranges(&chain);
		virtqueue_push(q, 0, 0);
		virtqueue_publish(q);
		return;
	}
	/* As if it had not been offered. */
	c->m.ring.avail_next--;
	c->m.ring.avail->idx = c->m.ring.avail_next;
	q->broken = false;
}

static void test_all_chains(void **state)
{
	static struct chain_tree c;

	(void)state;
	model_queue_init(&c.m, TABLE_ENTRIES, ENTRIES, MODEL_BOTH, 0);
	c.rules = (struct model_rules){ &c.m.mem, true, TABLE_ENTRIES };
	c.tree = (struct tree){
		.leaf = check_chain,
		.ring = c.m.ring.desc,
		.table = model_at(&c.m.mem, MODEL_TABLES, 512),
		.table_at = MODEL_TABLES,
		.at = { MODEL_DATA, MODEL_DATA + 0x1000000 },
		/* The more stands before a table, the shorter it may be. */
		.table_depth = { ENTRIES, ENTRIES, 2, 1 },
	};
	if (exhaustive())
		c.tree.table_depth[3] = 2;
	grow(&c.tree, c.tree.ring, 0);
	print_message("# %lu chains\n", c.tree.chains);
	assert_true(c.tree.chains >= 5000000);
	model_queue_finish(&c.m);
}

/* ---- requests ------------------------------------------------------------ */

enum { PAGES = 12, SECTORS = 20 };

static const uint32_t types[] = {
	VIRTIO_BLK_T_IN,
	VIRTIO_BLK_T_OUT,
	VIRTIO_BLK_T_FLUSH,
	VIRTIO_BLK_T_GET_ID,
	99,
};

struct request_tree {
	struct tree tree; /* first */
	struct model_blk m;
	struct model_rules rules;
	uint64_t header; /* where readable ones begin */
	unsigned int stride;
	unsigned long tried, answered;
};

static struct model_chain verdict_chain(void)
{
	static struct model_buf bufs[2 * TABLE_ENTRIES];

	for (unsigned int i = 0; i < verdict.n; i++)
		bufs[i] = (struct model_buf){ verdict.ranges[i].addr,
					      verdict.ranges[i].len,
					      i >= verdict.readable };
	return (struct model_chain){ bufs, verdict.n };
}

static void try_request(struct request_tree *r, uint32_t type)
{
	struct model_blk *m = &r->m;
	struct model_ring *ring = &m->ring[0];
	struct vring_desc kept[ENTRIES];
	struct model_chain chain;

	r->tried++;
	model_header(m, r->header, type, r->tried % SECTORS);
	model_avail(ring, 0);
	model_judge_chain(&r->rules, &verdict, ring, 0);
	model_shadow(m);
	if (verdict.result == 1) {
		chain = verdict_chain();
		model_expect(m, 0, 0, &chain);
		r->answered++;
	}
	model_serve(m, 0);
	model_compare(m);
	assert_null(m->mem.maps);
	assert_int_equal(virtio_device_live(&m->blk.dev), verdict.result == 1);
	if (verdict.result == 1)
		return;
	memcpy(kept, ring->desc, sizeof(kept));
	model_blk_restart(m);
	memcpy(ring->desc, kept, sizeof(kept));
}

static void check_request(struct tree *t)
{
	struct request_tree *r = (struct request_tree *)t;

	if (t->chains++ % r->stride)
		return;
	if (r->stride > 1) {
		try_request(r, types[t->chains / r->stride % 5]);
		return;
	}
	for (size_t i = 0; i < 5; i++)
		try_request(r, types[i]);
}

static void test_all_requests(void **state)
{
	static struct request_tree r;

	(void)state;
	r.stride = exhaustive() ? 1 : STRIDE;
	model_blk_start(&r.m, (struct model_setup){
				      .queue_size = TABLE_ENTRIES,
				      .ring_size = ENTRIES,
				      .pages = PAGES,
				      .sectors = SECTORS,
			      });
	r.rules = (struct model_rules){ &r.m.mem, true, TABLE_ENTRIES };
	r.header = r.m.heap + 1024;
	r.tree = (struct tree){
		.leaf = check_request,
		.ring = r.m.ring[0].desc,
		.table = model_at(&r.m.mem, r.m.heap, 512),
		.table_at = r.m.heap,
		.at = { r.header, r.m.heap + 5 * MODEL_PAGE },
		.table_depth = { ENTRIES, 2, 1, 1 },
	};
	grow(&r.tree, r.tree.ring, 0);
	print_message("# %lu chains, %lu tried as requests, %lu answered\n",
		      r.tree.chains, r.tried, r.answered);
	assert_true(r.answered > 1000);
	model_blk_finish(&r.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_chains),
		cmocka_unit_test(test_all_requests),
	};

	return cmocka_run_group_tests_name("exhaustive_chains", tests, NULL,
					   NULL);
}
