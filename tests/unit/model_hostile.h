/* SPDX-License-Identifier: MIT */
/*
 * The stage for tables of hostile input. A case is a row with a name and the
 * outcome it must have; the stage plays it to a device and holds the device to
 * what every case has in common:
 *
 *  - each chain is answered exactly once, or the device asks for a reset;
 *  - all of guest memory is as the reference model says, wherever it is: what
 *    the chain did not grant is untouched (around it are forbidden pages);
 *  - nothing stays mapped or in flight;
 *  - the device's other queue serves, and so does another device;
 *  - after a reset the device serves again.
 */
#ifndef MODEL_HOSTILE_H
#define MODEL_HOSTILE_H

#include "model_request.h"

/* Where things are in guest memory, behind the largest rings. */
#define HDR (MODEL_BASE + UINT64_C(16) * MODEL_PAGE)
#define STATUS (MODEL_BASE + UINT64_C(18) * MODEL_PAGE)
#define DATA (MODEL_BASE + UINT64_C(20) * MODEL_PAGE)
#define END (MODEL_BASE + UINT64_C(48) * MODEL_PAGE)
#define TABLE (END - 2 * MODEL_PAGE)
#define OTHER (END - 4 * MODEL_PAGE) /* of the good request */

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define GET_ID VIRTIO_BLK_T_GET_ID

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The outcomes. */
enum {
	OK = VIRTIO_BLK_S_OK,
	IOERR = VIRTIO_BLK_S_IOERR,
	UNSUPP = VIRTIO_BLK_S_UNSUPP,
	NONE = 0x100, /* a used element of length 0, and no status */
	RESET,        /* NEEDS_RESET, and nothing else */
};

/* The rings that a table is played on. */
static const uint16_t hostile_sizes[] = { 1, 2, 256 };

struct hostile {
	struct model_blk m;
	struct model_blk neighbour;
	const char *name; /* of the case at work; NULL between cases */
	unsigned long played;
};

static struct hostile hostile;

/* A test that ends in the middle of a case says which. */
static inline int hostile_teardown(void **state)
{
	(void)state;
	if (hostile.name)
		print_error("case: %s (ring of %u, pieces of %llu)\n",
			    hostile.name, hostile.m.setup.ring_size,
			    (unsigned long long)hostile.m.mem.piece);
	hostile.name = NULL;
	return 0;
}

static inline void hostile_start(struct model_setup setup)
{
	setup.nqueues = 2;
	setup.queue_size = 256;
	model_blk_start(&hostile.m, setup);
	model_blk_start(&hostile.neighbour, (struct model_setup){ 0 });
	assert_true(hostile.m.heap <= HDR);
}

static inline void hostile_finish(void)
{
	model_blk_finish(&hostile.m);
	model_blk_finish(&hostile.neighbour);
}

/* A read that any queue must serve. */
static inline void hostile_good(struct model_blk *m, unsigned int queue)
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
static inline void hostile_check_idle(struct model_blk *m)
{
	assert_null(m->mem.maps);
	assert_int_equal(m->mem.live, 0);
	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		assert_int_equal(m->blk.queue[i].vq.in_flight, 0);
}

static inline void hostile_begin(const char *name)
{
	assert_non_null(name);
	hostile.name = name;
	hostile.played++;
}

/* The end of a case: others serve, and this device does after a reset. */
static inline void hostile_end(bool reset)
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

/* Serve queue 0: one answer as told, or none and the wish to be reset. */
static inline void hostile_serve(uint16_t head, const struct model_chain *chain,
				 int answer, uint32_t used)
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

/* The chain's last writable byte, where it is memory, before the case. */
static inline uint8_t *hostile_status(const struct model_chain *chain)
{
	const struct model_buf *last = NULL;

	for (unsigned int i = 0; i < chain->n; i++)
		if (chain->bufs[i].write && chain->bufs[i].len)
			last = &chain->bufs[i];
	if (!last)
		return NULL;
	return model_at(&hostile.m.mem, last->addr + last->len - 1, 1);
}

#endif
