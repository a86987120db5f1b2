/* SPDX-License-Identifier: MIT */
/*
 * A bare virtqueue for tests, with its driver and nothing else: the ring, the
 * scratch memory and the in-flight area all lie in the model memory.
 */
#ifndef MODEL_QUEUE_H
#define MODEL_QUEUE_H

#include "model_driver.h"

#include "virtio/queue.h"

enum {
	MODEL_QUEUE_MEMORY = 64 * MODEL_PAGE,
	/* Guest addresses, from MODEL_BASE. */
	MODEL_TABLES = MODEL_BASE + 32 * MODEL_PAGE,
	MODEL_DATA = MODEL_BASE + 48 * MODEL_PAGE,
	MODEL_END = MODEL_BASE + MODEL_QUEUE_MEMORY,
};

struct model_queue {
	struct model_memory mem;
	struct model_ring ring;
	struct virtqueue q;
	union {
		struct virtq_inflight *inflight;
		struct virtq_inflight_packed *inflight_packed;
	};
	void *scratch;
};

#define MODEL_BOTH                            \
	(VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) | \
	 VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC))
#define MODEL_PACKED VIRTIO_FEATURE(VIRTIO_F_RING_PACKED)

/*
 * A test that is run over a split and over a packed ring: *state points to the
 * features that make it so.
 */
#define model_layout(state) (*(const uint64_t *)*(state))
#define model_test_split(f)                    \
	{                                      \
#f, f, NULL, NULL, &(uint64_t) \
		{                              \
			0                      \
		}                              \
	}
#define model_test_packed(f)                               \
	{                                                  \
#f " (packed)", f, NULL, NULL, &(uint64_t) \
		{                                          \
			MODEL_PACKED                       \
		}                                          \
	}
#define model_test_both(f) model_test_split(f), model_test_packed(f)

static inline struct virtq_rings model_rings(const struct model_ring *ring)
{
	return (struct virtq_rings){ ring->desc, ring->avail, ring->used };
}

static inline void model_queue_start(struct model_queue *m, uint64_t features,
				     uint16_t base)
{
	struct virtq_rings rings = model_rings(&m->ring);

	assert_int_equal(virtqueue_start(&m->q, &rings, m->ring.size, features,
					 model_ring_base(&m->ring, base),
					 m->inflight),
			 0);
}

/* A queue of `size` of `size_max` entries, started at ring position `base`. */
static inline void model_queue_init(struct model_queue *m, uint16_t size_max,
				    uint16_t size, uint64_t features,
				    uint16_t base)
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

static inline void model_queue_finish(struct model_queue *m)
{
	m->q.in_flight = 0;
	virtqueue_stop(&m->q);
	free(m->scratch);
	free(m->inflight);
	model_memory_finish(&m->mem);
}

/* A chain of one readable and one writable buffer. */
static inline uint16_t model_offer_pair(struct model_ring *ring)
{
	const struct model_buf bufs[] = {
		{ MODEL_DATA, 16, false },
		{ MODEL_DATA + 64, 1, true },
	};

	return model_offer(ring, bufs, 2);
}

/* Pop one chain, which has to be the one of `head`. */
static inline void model_pop(struct model_queue *m, uint16_t head)
{
	struct virtq_chain chain;

	assert_int_equal(virtqueue_pop(&m->q, &chain), 1);
	assert_int_equal(chain.head, head);
}

/* How many chains the in-flight area tells of. */
static inline unsigned int model_inflight(const struct model_queue *m)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < m->ring.size; i++)
		n += m->ring.packed ? m->inflight_packed->desc[i].inflight :
				      m->inflight->desc[i].inflight;
	return n;
}

#endif
