/* SPDX-License-Identifier: MIT */
/*
 * A bare virtqueue for tests, with its driver and nothing else: the ring, the
 * scratch memory and the in-flight area all lie in the model memory.
 */
#ifndef MODEL_QUEUE_H
#define MODEL_QUEUE_H

#include "lib/model_driver.h"

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

struct virtq_rings model_rings(const struct model_ring *ring);

void model_queue_start(struct model_queue *m, uint64_t features, uint16_t base);

/* A queue of `size` of `size_max` entries, started at ring position `base`. */
void model_queue_init(struct model_queue *m, uint16_t size_max, uint16_t size,
		      uint64_t features, uint16_t base);

void model_queue_finish(struct model_queue *m);

/* A chain of one readable and one writable buffer. */
uint16_t model_offer_pair(struct model_ring *ring);

/* Pop one chain, which has to be the one of `head`. */
void model_pop(struct model_queue *m, uint16_t head);

/* How many chains the in-flight area tells of. */
unsigned int model_inflight(const struct model_queue *m);

#endif
