/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_hostile.h"

struct hostile hostile;

int hostile_teardown(void **state)
{
	(void)state;
	if (hostile.name)
		print_error("case: %s (ring of %u, pieces of %llu)\n",
			    hostile.name, hostile.m.setup.ring_size,
			    (unsigned long long)hostile.m.mem.piece);
	hostile.name = NULL;
	return 0;
}

void hostile_start(struct model_setup setup)
{
	setup.nqueues = 2;
	setup.queue_size = 256;
	model_blk_start(&hostile.m, setup);
	model_blk_start(&hostile.neighbour, (struct model_setup){ 0 });
	assert_true(hostile.m.heap <= HDR);
}

void hostile_finish(void)
{
	model_blk_finish(&hostile.m);
	model_blk_finish(&hostile.neighbour);
}

void hostile_good(struct model_blk *m, unsigned int queue)
{
	struct model_ring *ring = &m->ring[queue];
	const uint64_t data = OTHER + 512;
	const struct model_buf bufs[] = {
		{ OTHER, 16, false },
		{ data, 512, true },
		{ OTHER + 64, 1, true },
	};
	unsigned int direct = ring->size < 3 ? 0 : 3;
	struct vring_used_elem elem;

	model_header(m, OTHER, IN, 5);
	*model_byte(m, OTHER + 64) = 0xee;
	model_offer_mixed(ring, bufs, direct, 3, OTHER + 128);
	assert_int_equal(model_serve(m, queue), 1);
	assert_true(model_used(ring, &elem));
	assert_int_equal(elem.len, 513);
	assert_int_equal(*model_byte(m, OTHER + 64), OK);
	assert_memory_equal(model_at(&m->mem, data, 512), m->store + 5 * 512,
			    512);
}

/* What holds after every case, whatever came of it. */
static void hostile_check_idle(struct model_blk *m)
{
	assert_null(m->mem.maps);
	assert_int_equal(m->mem.live, 0);
	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		assert_int_equal(m->blk.queue[i].vq.in_flight, 0);
}

void hostile_begin(const char *name)
{
	assert_non_null(name);
	hostile.name = name;
	hostile.played++;
}

void hostile_end(bool reset)
{
	struct model_blk *m = &hostile.m;

	hostile_check_idle(m);
	hostile_good(&hostile.neighbour, 0);
	if (reset) {
		assert_true(model_get(&m->blk.dev, VIRTIO_MMIO_STATUS) &
			    VIRTIO_STATUS_NEEDS_RESET);
		assert_false(virtio_device_live(&m->blk.dev));
		model_blk_restart(m);
		hostile_good(m, 0);
	} else {
		assert_true(virtio_device_live(&m->blk.dev));
	}
	hostile_good(m, 1);
	hostile_check_idle(m);
	hostile.name = NULL;
}

void hostile_serve(uint16_t head, const struct model_chain *chain, int answer,
		   uint32_t used)
{
	struct model_blk *m = &hostile.m;
	struct vring_used_elem elem;

	model_shadow(m);
	if (answer != RESET)
		model_expect(m, 0, head, chain);
	model_serve(m, 0);
	model_compare(m);
	if (answer != RESET) {
		assert_true(model_used(&m->ring[0], &elem));
		assert_int_equal(elem.id, head);
		assert_int_equal(elem.len, used);
	}
	assert_false(model_used(&m->ring[0], &elem));
	hostile_end(answer == RESET);
}

uint8_t *hostile_status(const struct model_chain *chain)
{
	const struct model_buf *last = NULL;

	for (unsigned int i = 0; i < chain->n; i++)
		if (chain->bufs[i].write && chain->bufs[i].len)
			last = &chain->bufs[i];
	if (!last)
		return NULL;
	return model_at(&hostile.m.mem, last->addr + last->len - 1, 1);
}
