/* SPDX-License-Identifier: MIT */
/*
 * The area of a device that outlives its process; see virtio/state.h.
 *
 * Happy path: begun with its header, filled by the device and its type,
 * completed with the magic; later checked by another process and taken.
 *
 * Failure: whoever owned it before may have been broken, or taken over by a
 * guest. So nothing is used of what an owner could not have left by what
 * device.c does: what it has announced to end (`resetting`, `stopping`) is not
 * looked at, for it is forgotten; everything else has to be possible, or the
 * state is refused as a whole.
 */
#include "virtio/device_state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "virtio/mmio.h"
#include "virtio/shared.h"

size_t virtio_state_inflight_bytes(const struct virtio_state_shape *shape)
{
	return virtq_inflight_bytes(shape->queue_size_max,
				    shape->layout & VIRTIO_STATE_PACKED);
}

size_t virtio_state_bytes(const struct virtio_state_shape *shape)
{
	return sizeof(struct virtio_state) +
	       shape->nqueues * virtio_state_inflight_bytes(shape);
}

static struct virtio_state_header
header_of(const struct virtio_state_shape *shape)
{
	return (struct virtio_state_header){
		.version = VIRTIO_STATE_VERSION,
		.header_bytes = sizeof(struct virtio_state_header),
		.device_bytes = sizeof(struct virtio_device_state),
		.queue_bytes = sizeof(struct virtio_queue_state),
		.blk_bytes = sizeof(struct virtio_blk_state),
		.transport_bytes = sizeof(struct virtio_transport_state),
		.inflight_bytes = virtio_state_inflight_bytes(shape),
		.total_bytes = virtio_state_bytes(shape),
		.device_id = shape->device_id,
		.layout = shape->layout,
		.nqueues = shape->nqueues,
		.queue_size_max = shape->queue_size_max,
	};
}

void virtio_state_begin(struct virtio_state *state,
			const struct virtio_state_shape *shape)
{
	assert(shape->nqueues && shape->nqueues <= VIRTIO_QUEUES_MAX);
	/* First: an old one ends with it. */
	shared_store(&state->header.magic, 0);
	shared_order();
	memset(state, 0, sizeof(*state));
	state->header = header_of(shape);
}

void virtio_state_complete(struct virtio_state *state)
{
	shared_store_release(&state->header.magic, VIRTIO_STATE_MAGIC);
}

bool virtio_state_is_zero(const void *memory, size_t bytes)
{
	const uint8_t *at = memory;

	while (bytes && *at == 0) {
		at++;
		bytes--;
	}
	return bytes == 0;
}

/* ---- is it possible? ----------------------------------------------------- */

struct check {
	bool (*ok)(const struct virtio_state *state,
		   const struct virtio_state_shape *shape);
	int error;
	const char *why;
};

static bool version_ok(const struct virtio_state *state,
		       const struct virtio_state_shape *shape)
{
	(void)shape;
	return state->header.version == VIRTIO_STATE_VERSION;
}

static bool parts_ok(const struct virtio_state *state,
		     const struct virtio_state_shape *shape)
{
	const struct virtio_state_header *h = &state->header;
	const struct virtio_state_header ours = header_of(shape);

	return h->header_bytes == ours.header_bytes &&
	       h->device_bytes == ours.device_bytes &&
	       h->queue_bytes == ours.queue_bytes &&
	       h->blk_bytes == ours.blk_bytes &&
	       h->transport_bytes == ours.transport_bytes && h->reserved == 0;
}

static bool device_id_ok(const struct virtio_state *state,
			 const struct virtio_state_shape *shape)
{
	return state->header.device_id == shape->device_id;
}

static bool layout_ok(const struct virtio_state *state,
		      const struct virtio_state_shape *shape)
{
	return state->header.layout == shape->layout;
}

static bool nqueues_ok(const struct virtio_state *state,
		       const struct virtio_state_shape *shape)
{
	return state->header.nqueues == shape->nqueues;
}

static bool queue_size_ok(const struct virtio_state *state,
			  const struct virtio_state_shape *shape)
{
	return state->header.queue_size_max == shape->queue_size_max;
}

static bool total_ok(const struct virtio_state *state,
		     const struct virtio_state_shape *shape)
{
	return state->header.inflight_bytes ==
		       virtio_state_inflight_bytes(shape) &&
	       state->header.total_bytes == virtio_state_bytes(shape);
}

static bool offer_ok(const struct virtio_state *state,
		     const struct virtio_state_shape *shape)
{
	uint64_t offer = shape->offer;

	if (state->transport.kind == VIRTIO_STATE_MMIO)
		offer |= virtio_mmio_features(shape->layout &
					      VIRTIO_STATE_LEGACY);
	return !(state->device.offered & ~offer);
}

static bool flags_ok(const struct virtio_state *state,
		     const struct virtio_state_shape *shape)
{
	const struct virtio_device_state *s = &state->device;
	bool legacy = shape->layout & VIRTIO_STATE_LEGACY;

	return s->removed <= 1 && s->resetting <= 1 &&
	       s->legacy_driver_ok <= legacy && s->given_up <= 1 &&
	       s->reserved == 0;
}

static bool status_ok(const struct virtio_state *state,
		      const struct virtio_state_shape *shape)
{
	const uint32_t up = VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK;
	uint32_t status = state->device.status;

	(void)shape;
	return !(status &
		 ~(uint32_t)(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			     up | VIRTIO_STATUS_NEEDS_RESET |
			     VIRTIO_STATUS_FAILED)) &&
	       (status & up) != VIRTIO_STATUS_DRIVER_OK;
}

static bool features_ok(const struct virtio_state *state,
			const struct virtio_state_shape *shape)
{
	const struct virtio_device_state *s = &state->device;
	uint64_t needed = shape->layout & VIRTIO_STATE_LEGACY ?
				  0 :
				  VIRTIO_FEATURE(VIRTIO_F_VERSION_1);

	if (s->in_force & ~s->offered)
		return false;
	/* Until the bit is set they are not in force. */
	if (!(s->status & VIRTIO_STATUS_FEATURES_OK))
		return true;
	return s->in_force == (s->driver_features & s->offered) &&
	       (s->in_force & needed) == needed;
}

static bool interrupt_ok(const struct virtio_state *state,
			 const struct virtio_state_shape *shape)
{
	(void)shape;
	return !(state->device.interrupt_status &
		 ~(uint32_t)(VIRTIO_MMIO_INT_USED | VIRTIO_MMIO_INT_CONFIG));
}

static bool stopping_ok(const struct virtio_state *state,
			const struct virtio_state_shape *shape)
{
	const struct virtio_device_state *s = &state->device;

	return !(s->stopping & ~((1u << shape->nqueues) - 1)) &&
	       !(s->queue_resets & ~s->stopping);
}

/* A queue that runs was found right when it was started. */
static bool started_ok(const struct virtio_queue_state *qs,
		       const struct virtio_device_state *s,
		       const struct virtio_state_shape *shape)
{
	bool packed = s->in_force & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);

	return qs->ready && (s->status & VIRTIO_STATUS_DRIVER_OK) &&
	       qs->size > 0 && qs->size <= shape->queue_size_max &&
	       (packed || !(qs->size & (qs->size - 1)));
}

static bool queues_ok(const struct virtio_state *state,
		      const struct virtio_state_shape *shape)
{
	const struct virtio_device_state *s = &state->device;

	for (unsigned int i = 0; i < shape->nqueues; i++) {
		const struct virtio_queue_state *qs = &s->queue[i];

		if (s->stopping & (1u << i))
			continue;
		if (qs->ready > 1 || qs->started > 1 ||
		    !virtio_state_is_zero(qs->reserved, sizeof(qs->reserved)))
			return false;
		if (qs->started && !started_ok(qs, s, shape))
			return false;
	}
	return virtio_state_is_zero(&s->queue[shape->nqueues],
				    (VIRTIO_QUEUES_MAX - shape->nqueues) *
					    sizeof(s->queue[0]));
}

static bool transport_ok(const struct virtio_state *state,
			 const struct virtio_state_shape *shape)
{
	const struct virtio_transport_state *t = &state->transport;

	(void)shape;
	if (!virtio_state_is_zero(t->reserved, sizeof(t->reserved)))
		return false;
	/* Who is killed before the kind is there has stored some of the rest */
	if (t->kind == VIRTIO_STATE_NO_TRANSPORT)
		return true;
	return t->kind == VIRTIO_STATE_MMIO && t->irq && t->base &&
	       t->base % sizeof(uint64_t) == 0 &&
	       t->base <= UINT64_MAX - VIRTIO_MMIO_WINDOW_SIZE;
}

/* In this order: what comes first says what the rest means. */
static const struct check origin[] = {
	{ version_ok, -EOPNOTSUPP, "it is of another version of this program" },
	{ parts_ok, -EINVAL,
	  "its parts have lengths that its version has not" },
	{ device_id_ok, -EOPNOTSUPP, "it is of another type of device" },
};

static const struct check header[] = {
	{ layout_ok, -EOPNOTSUPP,
	  "packed virtqueues or the legacy interface were chosen otherwise" },
	{ nqueues_ok, -EOPNOTSUPP, "it has another number of queues" },
	{ queue_size_ok, -EOPNOTSUPP, "its queues have another size" },
	{ total_ok, -EINVAL, "its length is not that of its parts" },
};

static const struct check kept[] = {
	{ flags_ok, -EINVAL, "a flag of the device is neither set nor clear" },
	{ transport_ok, -EINVAL, "its transport is none that there is" },
	{ offer_ok, -EOPNOTSUPP,
	  "the driver was offered a feature that is not to be had now" },
};

/* What a reset forgets. */
static const struct check forgotten[] = {
	{ status_ok, -EINVAL, "its status has bits that do not go together" },
	{ features_ok, -EINVAL, "its driver accepted what it was not offered" },
	{ interrupt_ok, -EINVAL, "its interrupt status has unknown bits" },
	{ stopping_ok, -EINVAL, "a queue is to stop that there is not" },
	{ queues_ok, -EINVAL, "a queue runs that cannot have been started" },
};

static int run(const struct check *checks, size_t n,
	       const struct virtio_state *state,
	       const struct virtio_state_shape *shape, const char **why)
{
	for (size_t i = 0; i < n; i++) {
		if (checks[i].ok(state, shape))
			continue;
		*why = checks[i].why;
		return checks[i].error;
	}
	return 0;
}

#define RUN(checks) \
	run(checks, sizeof(checks) / sizeof((checks)[0]), state, shape, why)

static int check_magic(const struct virtio_state *state, size_t bytes,
		       const char **why)
{
	*why = "it is shorter than the state of such a device";
	if (bytes < sizeof(state->header))
		return -EINVAL;
	*why = "it is no state of a device, or nobody completed it";
	return shared_load_acquire(&state->header.magic) == VIRTIO_STATE_MAGIC ?
		       0 :
		       -EINVAL;
}

static bool is_size(unsigned int n)
{
	return n > 0 && n <= VIRTQUEUE_SIZE_MAX && !(n & (n - 1));
}

int virtio_state_shape_of(const struct virtio_state *state, size_t bytes,
			  struct virtio_state_shape *shape, const char **why)
{
	const struct virtio_state_header *h = &state->header;
	int r = check_magic(state, bytes, why);

	if (r == 0)
		r = RUN(origin);
	if (r)
		return r;
	*why = "its queues or its layout are none that there are";
	if (h->nqueues == 0 || h->nqueues > VIRTIO_QUEUES_MAX ||
	    !is_size(h->queue_size_max) ||
	    (h->layout != 0 && h->layout != VIRTIO_STATE_PACKED &&
	     h->layout != VIRTIO_STATE_LEGACY))
		return -EINVAL;
	shape->layout = h->layout;
	shape->nqueues = h->nqueues;
	shape->queue_size_max = h->queue_size_max;
	return 0;
}

int virtio_state_check(const struct virtio_state *state, size_t bytes,
		       const struct virtio_state_shape *shape, const char **why)
{
	int r = check_magic(state, bytes, why);

	if (r == 0)
		r = RUN(origin);
	if (r == 0)
		r = RUN(header);
	if (r)
		return r;
	if (bytes < state->header.total_bytes) {
		*why = "it is shorter than it says";
		return -EINVAL;
	}
	r = RUN(kept);
	return r || state->device.resetting ? r : RUN(forgotten);
}
