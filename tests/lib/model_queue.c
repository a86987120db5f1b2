/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_queue.h"

struct virtq_rings model_rings(const struct model_ring *ring)
{
	return (struct virtq_rings){ ring->desc, ring->avail, ring->used };
}

void model_queue_start(struct model_queue *m, uint64_t features, uint16_t base)
{
	struct virtq_rings rings = model_rings(&m->ring);

	assert_int_equal(virtqueue_start(&m->q, &rings, m->ring.size, features,
					 model_ring_base(&m->ring, base),
					 m->inflight),
			 0);
}

void model_queue_init(struct model_queue *m, uint16_t size_max, uint16_t size,
		      uint64_t features, uint16_t base)
{
	memset(m, 0, sizeof(*m));
	model_memory_init(&m->mem, MODEL_QUEUE_MEMORY);
	model_ring_lay(&m->ring, &m->mem, MODEL_BASE, size,
		       features & MODEL_PACKED);
	model_ring_reset(&m->ring, base);
	/* Of exactly the size asked for, so that ASan sees what is beyond. */
	m->scratch = malloc(virtqueue_scratch_bytes(size_max));
	m->inflight =
		calloc(1, virtq_inflight_bytes(size, features & MODEL_PACKED));
	assert_non_null(m->scratch);
	assert_non_null(m->inflight);
	virtqueue_init(&m->q, size_max, m->scratch, &m->mem.memory);
	model_queue_start(m, features, base);
}

void model_queue_finish(struct model_queue *m)
{
	m->q.in_flight = 0;
	virtqueue_stop(&m->q);
	free(m->scratch);
	free(m->inflight);
	model_memory_finish(&m->mem);
}

uint16_t model_offer_pair(struct model_ring *ring)
{
	const struct model_buf bufs[] = {
		{ MODEL_DATA, 16, false },
		{ MODEL_DATA + 64, 1, true },
	};

	return model_offer(ring, bufs, 2);
}

void model_pop(struct model_queue *m, uint16_t head)
{
	struct virtq_chain chain;

	assert_int_equal(virtqueue_pop(&m->q, &chain), 1);
	assert_int_equal(chain.head, head);
}

unsigned int model_inflight(const struct model_queue *m)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < m->ring.size; i++)
		n += m->ring.packed ? m->inflight_packed->desc[i].inflight :
				      m->inflight->desc[i].inflight;
	return n;
}
