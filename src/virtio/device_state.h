/* SPDX-License-Identifier: MIT */
/*
 * Making the area of virtio/state.h, and checking one that somebody else has
 * made.
 */
#ifndef VIRTIO_DEVICE_STATE_H
#define VIRTIO_DEVICE_STATE_H

#include <stddef.h>

#include "virtio/device.h"

/* What a state is made for, and has to be to be adopted. */
struct virtio_state_shape {
	uint32_t device_id;
	uint32_t layout;  /* enum virtio_state_layout bits */
	uint64_t offer;   /* features, but the transport's */
	uint16_t nqueues; /* 1 .. VIRTIO_QUEUES_MAX */
	uint16_t queue_size_max;
};

/* Bytes of the whole area, and of a queue's in-flight part. */
size_t virtio_state_bytes(const struct virtio_state_shape *shape);
size_t virtio_state_inflight_bytes(const struct virtio_state_shape *shape);

/*
 * Begin a state: the header, and all else zeroed but for the in-flight parts,
 * which a queue that starts makes new. It is not one before it is completed.
 */
void virtio_state_begin(struct virtio_state *state,
			const struct virtio_state_shape *shape);
void virtio_state_complete(struct virtio_state *state);

/*
 * What a state was made for, by its header: of `shape`, whose device_id is what
 * it has to be, all but the offer is stored. As virtio_state_check(), which is
 * still to be called.
 */
int virtio_state_shape_of(const struct virtio_state *state, size_t bytes,
			  struct virtio_state_shape *shape, const char **why);

/*
 * Whether an area of `bytes` is a state of this shape of which every field but
 * those of the device type is possible. 0; -EINVAL for one that nobody can have
 * left who works as this does, or -EOPNOTSUPP for one that this device cannot
 * go on with, and a sentence in `why`. Changes nothing.
 */
int virtio_state_check(const struct virtio_state *state, size_t bytes,
		       const struct virtio_state_shape *shape,
		       const char **why);

/* Whether memory is zeroed, as what is reserved has to be. */
bool virtio_state_is_zero(const void *memory, size_t bytes);

#endif
