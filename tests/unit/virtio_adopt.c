/* SPDX-License-Identifier: MIT */
/*
 * Adopting the state of a device that another process served: what is refused,
 * and how it goes on. That a process may be killed at any time is shown by
 * virtio_adopt_killed.c, and adoption in every state that a hostile driver
 * reaches by hostile_registers.c.
 */
#include "lib/model_adopt.h"

#include <errno.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct virtio_state *area(const struct model_blk *m)
{
	return m->state;
}

/* A read of one sector, offered and popped, but not answered. */
static uint64_t in_flight(struct model_blk *m, unsigned int queue,
			  unsigned int nth)
{
	uint64_t status = model_request(m, queue, m->heap + nth * MODEL_PAGE,
					VIRTIO_BLK_T_IN, nth, 512);

	assert_non_null(virtio_blk_pop(&m->blk.queue[queue]));
	return status;
}

static void serves(struct model_blk *m, unsigned int queue)
{
	uint64_t status = model_request(m, queue, m->heap, VIRTIO_BLK_T_IN, 3,
					512);
	struct vring_used_elem elem;

	assert_int_equal(model_serve(m, queue), 1);
	assert_true(model_used(&m->ring[queue], &elem));
	assert_int_equal(*model_byte(m, status), VIRTIO_BLK_S_OK);
}

/* ---- what is refused ----------------------------------------------------- */

/*
 * Refused with a sentence; nothing was touched. So the device that had the
 * state goes on with it.
 */
static void refused_with(struct model_blk *m,
			 const struct virtio_blk_options *options, size_t bytes,
			 int error)
{
	size_t whole = virtio_blk_state_bytes(&m->options);
	struct virtio_blk other, poison;
	uint8_t *before = malloc(whole);
	const char *why = NULL;

	assert_non_null(before);
	memcpy(before, m->state, whole);
	memset(&poison, MODEL_POISON, sizeof(poison));
	memset(&other, MODEL_POISON, sizeof(other));
	assert_int_equal(virtio_blk_adopt(&other, options, m->memory, m->state,
					  bytes, &m->mem.memory, &why),
			 error);
	assert_non_null(why);
	assert_true(strlen(why) > 20);
	assert_memory_equal(&other, &poison, sizeof(other));
	assert_memory_equal(before, m->state, whole);
	free(before);
}

static void refused(struct model_blk *m, int error)
{
	refused_with(m, &m->options, virtio_blk_state_bytes(&m->options),
		     error);
}

struct field {
	size_t offset;
	unsigned int bytes;
	int error;
};

#define FIELD(part, field, error)                                              \
	{                                                                      \
		offsetof(struct virtio_state, part) +                          \
			offsetof(__typeof__(((struct virtio_state *)0)->part), \
				 field),                                       \
			sizeof(((struct virtio_state *)0)->part.field), error  \
	}

static const struct field header_fields[] = {
	FIELD(header, magic, -EINVAL),
	FIELD(header, version, -EOPNOTSUPP),
	FIELD(header, header_bytes, -EINVAL),
	FIELD(header, device_bytes, -EINVAL),
	FIELD(header, queue_bytes, -EINVAL),
	FIELD(header, blk_bytes, -EINVAL),
	FIELD(header, transport_bytes, -EINVAL),
	FIELD(header, inflight_bytes, -EINVAL),
	FIELD(header, total_bytes, -EINVAL),
	FIELD(header, device_id, -EOPNOTSUPP),
	FIELD(header, layout, -EOPNOTSUPP),
	FIELD(header, nqueues, -EOPNOTSUPP),
	FIELD(header, queue_size_max, -EOPNOTSUPP),
	FIELD(header, reserved, -EINVAL),
};

/* Every bit of every field of the header. */
static void test_header_refused(void **state)
{
	struct model_blk m;
	size_t bytes = 0;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 3 });
	for (size_t i = 0; i < COUNT(header_fields); i++) {
		const struct field *f = &header_fields[i];
		uint8_t *at = (uint8_t *)m.state + f->offset;

		bytes += f->bytes;
		for (unsigned int bit = 0; bit < 8 * f->bytes; bit++) {
			at[bit / 8] ^= (uint8_t)(1u << bit % 8);
			refused(&m, f->error);
			at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	/* None is left out. */
	assert_int_equal(bytes, sizeof(struct virtio_state_header));
	serves(&m, 2);
	model_go_on(&m);
	serves(&m, 2);
	model_blk_finish(&m);
}

/* The area that is there, shorter than what it should hold. */
static void test_length_refused(void **state)
{
	struct model_blk m;
	size_t whole;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	whole = virtio_blk_state_bytes(&m.options);
	assert_int_equal(whole, sizeof(struct virtio_state) + 16 + 8 * 16);
	for (size_t bytes = 0; bytes < whole; bytes++)
		refused_with(&m, &m.options, bytes, -EINVAL);
	model_blk_finish(&m);
}

/* Zeroed memory, which was taken for a new state, is none. */
static void test_nothing_refused(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	memset(m.state, 0, virtio_blk_state_bytes(&m.options));
	refused(&m, -EINVAL);
	memset(m.state, 0xff, virtio_blk_state_bytes(&m.options));
	refused(&m, -EINVAL);
	model_blk_finish(&m);
}

/* Other options than those that it was made with. */
static void test_options_refused(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .discard = true });
	for (int i = 0; i < 7; i++) {
		struct virtio_blk_options other = m.options;

		other.queue_size = i == 0 ? 4 : 8;
		other.nqueues = i == 1 ? 2 : 1;
		other.packed = i == 2;
		other.legacy = i == 3;
		other.readonly = i == 4;
		other.discard = i != 5;
		other.block_size = i == 6 ? 4096 : 512;
		refused_with(&m, &other, virtio_blk_state_bytes(&m.options),
			     -EOPNOTSUPP);
	}
	model_go_on(&m);
	serves(&m, 0);
	model_blk_finish(&m);
}

/* A field that nobody leaves who does as the specification says. */
struct damage {
	const char *name;
	size_t offset;
	unsigned int bytes;
	uint64_t value;
	int error;
};

#define AT_STATE(field) offsetof(struct virtio_state, field)
#define SIZE_STATE(field) sizeof(((struct virtio_state *)0)->field)
#define BAD(field, value)                                                \
	{                                                                \
#field " = " #value, AT_STATE(field), SIZE_STATE(field), \
			value, -EINVAL                                   \
	}
#define MORE(field, value)                                               \
	{                                                                \
#field " = " #value, AT_STATE(field), SIZE_STATE(field), \
			value, -EOPNOTSUPP                               \
	}

static const struct damage damages[] = {
	MORE(device.offered, UINT64_MAX),
	MORE(device.offered, UINT64_C(1) << 33),
	BAD(device.offered, 0), /* of which features were accepted */
	BAD(device.removed, 2),
	BAD(device.resetting, 2),
	BAD(device.resetting, UINT32_MAX),
	BAD(device.in_force, UINT64_MAX),
	BAD(device.in_force, 0),
	BAD(device.driver_features, 0),
	BAD(device.status, 4),  /* DRIVER_OK alone */
	BAD(device.status, 11), /* queues run without it */
	BAD(device.status, 31), /* a bit that there is not */
	BAD(device.status, 0x10f),
	BAD(device.interrupt_status, 4),
	BAD(device.interrupt_status, UINT32_MAX),
	BAD(device.legacy_driver_ok, 1),
	BAD(device.stopping, 4),
	BAD(device.stopping, 1u << 31),
	BAD(device.queue_resets, 1),
	BAD(device.given_up, 2),
	BAD(device.reserved, 1u << 31),
	BAD(device.queue[0].size, 0),
	BAD(device.queue[0].size, 3),
	BAD(device.queue[0].size, 16),
	BAD(device.queue[0].size, 32768),
	BAD(device.queue[0].ready, 0),
	BAD(device.queue[1].ready, 2),
	BAD(device.queue[1].started, 2),
	BAD(device.queue[1].started, 255),
	BAD(device.queue[0].reserved[0], 1),
	BAD(device.queue[1].reserved[11], 1),
	BAD(device.queue[2].ready, 1),
	BAD(device.queue[2].started, 1),
	BAD(device.queue[15].size, 8),
	BAD(blk.config.size_max, 1),
	BAD(blk.config.seg_max, 1024),
	BAD(blk.config.num_queues, 3),
	BAD(blk.config.max_discard_seg, 33),
	BAD(blk.config.max_write_zeroes_seg, UINT32_MAX),
	BAD(blk.config.max_secure_erase_seg, 33),
	BAD(blk.config.writeback, 2),
	BAD(blk.flush_error, 5),
	BAD(blk.flush_error, (uint32_t)-4096),
	BAD(blk.flush_error, 1u << 31),
	MORE(blk.config.blk_size, 4096),
	MORE(blk.config.blk_size, 0),
	BAD(transport.kind, 2),
	BAD(transport.kind, UINT32_MAX),
	BAD(transport.reserved[0], 1),
	BAD(transport.reserved[27], 1),
	BAD(transport.irq, 0),
	BAD(transport.base, 0),
	BAD(transport.base, 4), /* not aligned for every register */
	BAD(transport.base, MODEL_WINDOW + 1),
	BAD(transport.base, UINT64_MAX - 7),
	BAD(transport.base, UINT64_MAX - VIRTIO_MMIO_WINDOW_SIZE + 1),
};

static void test_damage_refused(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (size_t i = 0; i < COUNT(damages); i++) {
		const struct damage *d = &damages[i];
		uint8_t *at = (uint8_t *)m.state + d->offset;
		uint8_t good[8];

		print_message("# %s\n", d->name);
		memcpy(good, at, d->bytes);
		memcpy(at, &d->value, d->bytes);
		refused(&m, d->error);
		memcpy(at, good, d->bytes);
	}
	model_go_on(&m);
	serves(&m, 0);
	serves(&m, 1);
	model_blk_finish(&m);
}

/* The transport's features are its own: without it they were not to be had. */
static void test_transport_offers(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_int_equal(area(&m)->transport.kind, VIRTIO_STATE_MMIO);
	area(&m)->transport.kind = VIRTIO_STATE_NO_TRANSPORT;
	refused(&m, -EOPNOTSUPP);
	area(&m)->transport.kind = VIRTIO_STATE_MMIO;
	model_go_on(&m);
	model_blk_finish(&m);
}

/* Killed before the offer was there: where it would be is not looked at. */
static void test_transport_half_stored(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	area(&m)->transport.kind = VIRTIO_STATE_NO_TRANSPORT;
	area(&m)->transport.base = 1;
	area(&m)->transport.irq = 0;
	area(&m)->device.offered &= ~virtio_mmio_features(false);
	model_go_on(&m);
	assert_int_equal(area(&m)->transport.kind, VIRTIO_STATE_MMIO);
	assert_true(virtio_mmio_is_at(&m.blk.dev, MODEL_WINDOW, MODEL_IRQ));
	assert_false(
		virtio_mmio_is_at(&m.blk.dev, MODEL_WINDOW + 8, MODEL_IRQ));
	assert_false(
		virtio_mmio_is_at(&m.blk.dev, MODEL_WINDOW, MODEL_IRQ + 1));
	model_blk_finish(&m);
}

/* ---- what it was made for ------------------------------------------------ */

static int take_shape(const struct model_blk *m,
		      struct virtio_blk_options *options, size_t bytes)
{
	const char *why = NULL;
	int r;

	memset(options, 0, sizeof(*options));
	r = virtio_blk_take_shape(options, m->state, bytes, true, true, &why);
	if (r) {
		assert_non_null(why);
		assert_true(strlen(why) > 20);
		assert_int_equal(options->nqueues, 0);
	}
	return r;
}

static void test_shape(void **state)
{
	const struct model_setup setups[] = {
		{ .nqueues = 1 },
		{ .nqueues = 3, .queue_size = 4, .packed = true },
		{ .nqueues = 2, .legacy = true },
		{ .discard = true },
		{ .secure_erase = true },
	};
	struct virtio_blk_options o;
	struct model_blk m;

	(void)state;
	for (size_t i = 0; i < COUNT(setups); i++) {
		const char *why = NULL;

		model_blk_init(&m, setups[i]);
		assert_int_equal(take_shape(&m, &o, sizeof(*area(&m))), 0);
		assert_int_equal(o.nqueues, m.options.nqueues);
		assert_int_equal(o.queue_size, m.options.queue_size);
		assert_int_equal(o.packed, m.options.packed);
		assert_int_equal(o.legacy, m.options.legacy);
		assert_int_equal(o.discard, m.options.discard);
		assert_int_equal(o.secure_erase, m.options.secure_erase);
		/* Only what the store can do; what is chosen anyway stays. */
		o.discard = false;
		o.secure_erase = true;
		assert_int_equal(virtio_blk_take_shape(&o, m.state,
						       sizeof(*area(&m)), false,
						       false, &why),
				 0);
		assert_false(o.discard);
		assert_true(o.secure_erase);
		model_blk_finish(&m);
	}
}

/* Whatever is in the header: options that can be had, or a sentence. */
static void test_shape_refused(void **state)
{
	struct virtio_blk_options o;
	struct model_blk m;
	unsigned int taken = 0;

	(void)state;
	model_blk_init(&m, (struct model_setup){ .nqueues = 2 });
	for (size_t bytes = 0; bytes < sizeof(*area(&m)); bytes++)
		assert_int_equal(take_shape(&m, &o, bytes), -EINVAL);
	for (size_t bit = 0; bit < 8 * sizeof(area(&m)->header); bit++) {
		uint8_t *at = (uint8_t *)m.state + bit / 8;

		*at ^= (uint8_t)(1u << bit % 8);
		if (take_shape(&m, &o, sizeof(*area(&m))) == 0) {
			taken++;
			assert_in_range(o.nqueues, 1, VIRTIO_QUEUES_MAX);
			assert_in_range(o.queue_size, 1, VIRTQUEUE_SIZE_MAX);
			assert_int_equal(o.queue_size & (o.queue_size - 1), 0);
			assert_false(o.packed && o.legacy);
		}
		*at ^= (uint8_t)(1u << bit % 8);
	}
	/* Other layouts and numbers of queues, and lengths: for adoption. */
	assert_in_range(taken, 5, 140);
	area(&m)->header.layout = VIRTIO_STATE_PACKED | VIRTIO_STATE_LEGACY;
	assert_int_equal(take_shape(&m, &o, sizeof(*area(&m))), -EINVAL);
	area(&m)->header.layout = 0;
	area(&m)->header.nqueues = 0;
	assert_int_equal(take_shape(&m, &o, sizeof(*area(&m))), -EINVAL);
	area(&m)->header.nqueues = 2;
	area(&m)->header.queue_size_max = 0;
	assert_int_equal(take_shape(&m, &o, sizeof(*area(&m))), -EINVAL);
	model_blk_finish(&m);
}

/* What a process leaves behind: the state, and the driver with its memory. */
struct left {
	size_t bytes;
	uint8_t *state;
	uint8_t *memory;
	struct model_ring ring[2];
};

static void keep(struct left *left, const struct model_blk *m)
{
	left->bytes = virtio_blk_state_bytes(&m->options);
	left->state = malloc(left->bytes);
	left->memory = malloc(m->mem.size);
	assert_non_null(left->state);
	assert_non_null(left->memory);
	memcpy(left->state, m->state, left->bytes);
	memcpy(left->memory, m->mem.bytes, m->mem.size);
	memcpy(left->ring, m->ring, sizeof(left->ring));
}

static void put_back(const struct left *left, struct model_blk *m)
{
	memcpy(m->state, left->state, left->bytes);
	memcpy(m->mem.bytes, left->memory, m->mem.size);
	memcpy(m->ring, left->ring, sizeof(left->ring));
}

static void forget(struct left *left)
{
	free(left->state);
	free(left->memory);
}

/* Whatever it was that was adopted: it goes on somehow, and a reset helps. */
static void serves_after_reset(struct model_blk *m)
{
	virtio_device_resume(&m->blk.dev);
	for (unsigned int i = 0; i < 2; i++) {
		model_do_again(m, i);
		model_serve(m, i);
	}
	if (!area(m)->device.removed) {
		model_set(&m->blk.dev, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
		model_blk_restart(m);
		serves(m, 0);
		virtio_device_stop(&m->blk.dev);
	}
	model_memory_check_idle(&m->mem);
}

/* Some bytes of a state, mostly one, and mostly of those that are looked at. */
static void damage(struct model_blk *m, size_t bytes, uint64_t *rnd)
{
	uint32_t within = (uint32_t)bytes;
	uint8_t *at = m->state;

	if (model_random_below(rnd, 4))
		within = offsetof(struct virtio_state, device.queue[2]);
	for (unsigned int n = 1 + model_random_below(rnd, 2); n; n--)
		at[model_random_below(rnd, within)] ^=
			(uint8_t)(1u << model_random_below(rnd, 8));
}

/* A few bits of a state changed: refused, or a device that can be reset. */
static void test_hostile_contents(void **state)
{
	const struct model_setup *setup = *state;
	unsigned int adopted = 0, nrefused = 0;
	uint64_t rnd = 20;
	struct model_blk m;
	struct left left;

	model_blk_start(&m, *setup);
	in_flight(&m, 0, 0);
	in_flight(&m, 1, 1);
	keep(&left, &m);
	for (int round = 0; round < 4000; round++) {
		const char *why = NULL;

		put_back(&left, &m);
		damage(&m, left.bytes, &rnd);
		if (model_adopt(&m, &why)) {
			assert_non_null(why);
			nrefused++;
			continue;
		}
		adopted++;
		serves_after_reset(&m);
	}
	put_back(&left, &m);
	model_go_on(&m);
	assert_int_equal(model_do_again(&m, 0), 1);
	assert_int_equal(model_do_again(&m, 1), 1);
	forget(&left);
	model_blk_finish(&m);
	print_message("# %u adopted, %u refused\n", adopted, nrefused);
	assert_true(adopted > 1000 && nrefused > 1000);
}

/* ---- how it goes on ------------------------------------------------------ */

/* Requests of all queues, oldest first, and the ring goes on behind them. */
static void test_goes_on(void **state)
{
	const struct model_setup *setup = *state;
	struct model_blk m;
	struct vring_used_elem elem;
	uint64_t status[3];

	model_blk_start(&m, *setup);
	serves(&m, 1);
	for (unsigned int i = 0; i < 2; i++)
		status[i] = in_flight(&m, 1, i);
	status[2] = in_flight(&m, 0, 2);
	model_go_on(&m);
	assert_int_equal(m.blk.queue[0].vq.in_flight, 1);
	assert_int_equal(m.blk.queue[1].vq.in_flight, 2);
	/* The process before may not have told of a change. */
	assert_true(virtio_device_take_config_change(&m.blk.dev));
	assert_int_equal(model_do_again(&m, 1), 2);
	assert_int_equal(model_do_again(&m, 0), 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(*model_byte(&m, status[i]), VIRTIO_BLK_S_OK);
	assert_true(model_used(&m.ring[0], &elem));
	assert_true(model_used(&m.ring[1], &elem));
	assert_true(model_used(&m.ring[1], &elem));
	for (unsigned int i = 0; i < 20; i++) {
		serves(&m, i % 2);
		model_go_on(&m);
	}
	model_blk_restart(&m);
	serves(&m, 0);
	serves(&m, 1);
	model_blk_finish(&m);
}

/* What waited for requests in flight: nothing is, in a new process. */
static void test_awaited_ends(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	in_flight(&m, 0, 0);
	in_flight(&m, 1, 1);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_WAIT);
	model_go_on(&m);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(model_do_again(&m, 0), 0);
	assert_int_equal(model_do_again(&m, 1), 1);
	/* The access is made again, and waits for nothing. */
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_DONE);
	in_flight(&m, 1, 1);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_RESET, 1),
			 VIRTIO_WAIT);
	model_go_on(&m);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_RESET), 0);
	assert_int_equal(area(&m)->device.queue[1].desc, 0);
	model_blk_restart(&m);
	in_flight(&m, 0, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0), VIRTIO_WAIT);
	model_go_on(&m);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(virtio_device_features(dev), 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0), VIRTIO_DONE);
	model_blk_restart(&m);
	serves(&m, 0);
	model_blk_finish(&m);
}

static void test_removed_stays_removed(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	in_flight(&m, 0, 0);
	virtio_device_remove(&m.blk.dev);
	model_go_on(&m);
	assert_int_equal(model_get(&m.blk.dev, VIRTIO_MMIO_STATUS), UINT32_MAX);
	assert_int_equal(model_do_again(&m, 0), 0);
	assert_int_equal(model_serve(&m, 0), 0);
	assert_int_equal(virtio_device_end(&m.blk.dev), VIRTIO_DONE);
	model_blk_finish(&m);
}

/* NEEDS_RESET: what is in flight is finished, no more is taken. */
static void test_broken_stays_broken(void **state)
{
	struct model_blk m;
	uint64_t status;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	status = in_flight(&m, 0, 0);
	virtio_device_needs_reset(&m.blk.dev);
	model_go_on(&m);
	assert_false(virtio_device_live(&m.blk.dev));
	assert_int_equal(model_do_again(&m, 0), 1);
	assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_OK);
	model_blk_restart(&m);
	serves(&m, 0);
	model_blk_finish(&m);
}

/* Rings that were there and are not, or an area that is none: a reset helps. */
static void test_queue_that_cannot_go_on(void **state)
{
	struct model_blk m;
	struct virtio_queue_state *qs;

	(void)state;
	for (int i = 0; i < 3; i++) {
		model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
		qs = &area(&m)->device.queue[0];
		if (i == 0)
			qs->desc = UINT64_C(1) << 50;
		if (i == 1)
			qs->device += 2;
		if (i == 2)
			((struct virtq_inflight *)m.blk.dev.inflight[0])
				->desc_num = 7;
		model_go_on(&m);
		assert_true(virtio_device_wants_reset(&m.blk.dev));
		assert_int_equal(m.mem.rings, 3);
		assert_int_equal(model_do_again(&m, 0), 0);
		model_blk_restart(&m);
		serves(&m, 0);
		serves(&m, 1);
		model_blk_finish(&m);
	}
}

/* What was offered stays so, although this process could offer more. */
static void test_offer_stays(void **state)
{
	const uint64_t discard = VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);
	struct model_blk m;
	uint64_t offered;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	offered = virtio_device_offered(&m.blk.dev);
	assert_int_equal(offered & discard, 0);
	m.options.discard = true;
	model_go_on(&m);
	assert_int_equal(virtio_device_offered(&m.blk.dev), offered);
	assert_int_equal(model_offered(&m.blk.dev), offered);
	model_blk_restart(&m);
	assert_int_equal(model_offered(&m.blk.dev), offered);
	model_blk_finish(&m);
}

/* The first failure, for good: a reset is not a new store. */
static void test_flush_error_stays(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_int_equal(virtio_blk_flush_error(&m.blk), 0);
	virtio_blk_note_flush_error(&m.blk, -ENOSPC);
	virtio_blk_note_flush_error(&m.blk, -EIO);
	assert_int_equal(virtio_blk_flush_error(&m.blk), -ENOSPC);
	model_blk_restart(&m);
	assert_int_equal(virtio_blk_flush_error(&m.blk), -ENOSPC);
	model_go_on(&m);
	assert_int_equal(virtio_blk_flush_error(&m.blk), -ENOSPC);
	model_blk_finish(&m);
}

/*
 * The store has another size by now: another generation, and the driver told.
 */
static void test_other_size(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	uint32_t generation;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	generation = model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION);
	m.options.size = 40 * 512;
	model_go_on(&m);
	assert_int_not_equal(model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION),
			     generation);
	assert_int_equal(virtio_mmio_read(dev, VIRTIO_MMIO_CONFIG, 8), 40);
	assert_int_equal(area(&m)->blk.config.cylinders, 40);
	assert_true(virtio_device_take_config_change(dev));
	/* Killed before it had the geometry; the same size as told. */
	area(&m)->blk.config.cylinders = 64;
	generation = model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION);
	model_go_on(&m);
	assert_int_equal(area(&m)->blk.config.cylinders, 40);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_CONFIG_GENERATION),
			 generation);
	model_blk_finish(&m);
}

/* A driver that has not come far: nothing is told it, nothing runs. */
static void test_half_way(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_init(&m, (struct model_setup){ 0 });
	model_go_on(&m);
	assert_false(virtio_device_take_config_change(dev));
	assert_true(model_negotiate(dev, model_offered(dev)));
	model_set_queue(dev, 0, &m.ring[0]);
	model_go_on(&m);
	assert_false(virtio_device_take_config_change(dev));
	assert_false(m.blk.queue[0].vq.running);
	model_driver_ok(dev);
	serves(&m, 0);
	model_blk_finish(&m);
}

static struct model_setup split = { .nqueues = 2, .pages = 16 };
static struct model_setup packed = { .nqueues = 2,
				     .pages = 16,
				     .packed = true };
static struct model_setup legacy = { .nqueues = 2,
				     .pages = 16,
				     .legacy = true };
static struct model_setup windows = {
	.nqueues = 2,
	.pages = 16,
	.windows = true,
};

#define TEST_ON(f, setup)                                   \
	{                                                   \
#f " (" #setup ")", f, NULL, NULL, &(setup) \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_refused),
		cmocka_unit_test(test_length_refused),
		cmocka_unit_test(test_nothing_refused),
		cmocka_unit_test(test_options_refused),
		cmocka_unit_test(test_damage_refused),
		cmocka_unit_test(test_transport_offers),
		cmocka_unit_test(test_transport_half_stored),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_shape_refused),
		TEST_ON(test_hostile_contents, split),
		TEST_ON(test_hostile_contents, packed),
		TEST_ON(test_hostile_contents, legacy),
		TEST_ON(test_goes_on, split),
		TEST_ON(test_goes_on, packed),
		TEST_ON(test_goes_on, legacy),
		TEST_ON(test_goes_on, windows),
		cmocka_unit_test(test_awaited_ends),
		cmocka_unit_test(test_removed_stays_removed),
		cmocka_unit_test(test_broken_stays_broken),
		cmocka_unit_test(test_queue_that_cannot_go_on),
		cmocka_unit_test(test_offer_stays),
		cmocka_unit_test(test_flush_error_stays),
		cmocka_unit_test(test_other_size),
		cmocka_unit_test(test_half_way),
	};

	return cmocka_run_group_tests_name("virtio_adopt", tests, NULL, NULL);
}
