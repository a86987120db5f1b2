/* SPDX-License-Identifier: MIT */
/*
 * The register window: reads and writes of any size at any offset, among them
 * those that set a device up, while its queues are served. Whatever a driver
 * has brought it to, another process can adopt the device.
 */
#include "fuzz_device.h"

#include "lib/model_adopt.h"

struct window {
	struct fuzz_device d;
	bool waiting; /* an access was answered VIRTIO_WAIT */
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	return 0;
}

static unsigned int access_size(struct fuzz_input *in)
{
	static const uint8_t sizes[] = { 4, 4, 4, 4, 1, 2, 8, 0, 3, 255 };

	return sizes[fuzz_below(in, sizeof(sizes))];
}

static uint64_t offset(struct fuzz_input *in)
{
	uint16_t n = fuzz_u16(in);

	/* Registers, the configuration space, beyond both. */
	return n & 0x8000 ? (n & 0x4000 ? fuzz_u64(in) : n & 0x1ff) :
			    (n & 0x1ffu & ~3u);
}

static void read_register(struct window *w, struct fuzz_input *in)
{
	const struct virtio_device *dev = &w->d.m.blk.dev;
	unsigned int size = access_size(in);
	uint64_t value = virtio_mmio_read(dev, offset(in), size);

	if (size < 8)
		assert_int_equal(value >> (8 * size), 0);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_MAGIC_VALUE),
			 VIRTIO_MMIO_MAGIC);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_DEVICE_ID),
			 VIRTIO_ID_BLOCK);
}

/* Nobody waits for what nothing stands in the way of. */
static void check_wait(struct window *w, enum virtio_answer answer)
{
	struct virtio_device *dev = &w->d.m.blk.dev;

	if (answer == VIRTIO_WAIT)
		w->waiting = true;
	assert_int_equal(w->waiting,
			 dev->state->resetting || dev->state->stopping);
	if (w->waiting && w->d.n == 0) {
		assert_true(virtio_device_settle(dev));
		w->waiting = false;
	}
}

static void write_register(struct window *w, struct fuzz_input *in)
{
	uint64_t at = offset(in);
	unsigned int size = access_size(in);
	uint64_t value = fuzz_u8(in);

	if (value & 0x80)
		value = fuzz_u64(in);
	check_wait(w, virtio_mmio_write(&w->d.m.blk.dev, at, size, value));
}

static void set_queue(struct window *w, uint32_t queue)
{
	struct virtio_device *dev = &w->d.m.blk.dev;

	if (!dev->legacy) {
		model_set_queue(dev, queue, &w->d.m.ring[queue]);
		return;
	}
	model_set(dev, VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
	model_legacy_set_queue(dev, queue, &w->d.m.ring[queue]);
}

/* What a driver does; its steps may come when it is too late for them. */
static void driver_step(struct window *w, struct fuzz_input *in)
{
	struct virtio_device *dev = &w->d.m.blk.dev;
	const uint64_t stop = dev->legacy ? VIRTIO_MMIO_QUEUE_PFN :
					    VIRTIO_MMIO_QUEUE_READY;
	uint8_t how = fuzz_u8(in);
	uint32_t queue = fuzz_below(in, w->d.m.setup.nqueues);

	switch (how & 3) {
	case 0:
		model_negotiate(dev, model_offered(dev));
		break;
	case 1:
		set_queue(w, queue);
		break;
	case 2:
		model_driver_ok(dev);
		break;
	default:
		model_set(dev, VIRTIO_MMIO_QUEUE_SEL, queue);
		check_wait(w,
			   model_set(dev, how & 4 ? stop : VIRTIO_MMIO_STATUS,
				     0));
		break;
	}
}

static void settle(struct window *w)
{
	struct virtio_device *dev = &w->d.m.blk.dev;

	if (virtio_device_live(dev))
		virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_USED);
	if (w->d.n == 0)
		assert_int_equal(virtio_device_settle(dev), w->waiting);
	else if (!virtio_device_settle(dev))
		return;
	w->waiting = false;
}

/* This process is killed, and another one goes on. */
static void adopt(struct window *w)
{
	struct fuzz_device *d = &w->d;
	struct block_request *req;

	d->n = 0;
	model_go_on(&d->m);
	/* Nothing is in flight that was not popped again. */
	assert_false(virtio_device_is_awaited(&d->m.blk.dev));
	w->waiting = false;
	for (unsigned int i = 0; i < d->m.setup.nqueues; i++)
		while ((req = virtio_blk_repop(&d->m.blk.queue[i])))
			d->pending[d->n++] = req;
	fuzz_check_in_flight(d);
}

static void after_reset(const struct window *w)
{
	const struct virtio_device *dev = &w->d.m.blk.dev;

	if (dev->state->status || w->waiting)
		return;
	assert_int_equal(w->d.n, 0);
	assert_int_equal(w->d.m.mem.rings, 0);
	assert_int_equal(dev->state->interrupt_status, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct window w;
	struct fuzz_input in = { data, size };

	memset(&w, 0, sizeof(w));
	fuzz_device_init(&w.d, &in);
	while (in.left) {
		switch (fuzz_u8(&in) % 8) {
		case 0:
			read_register(&w, &in);
			break;
		case 1 ... 2:
			write_register(&w, &in);
			break;
		case 3 ... 4:
			driver_step(&w, &in);
			break;
		case 5:
			settle(&w);
			break;
		case 6:
			adopt(&w);
			break;
		default:
			fuzz_device_step(&w.d, &in);
			break;
		}
		after_reset(&w);
	}
	fuzz_drain(&w.d);
	settle(&w);
	assert_false(w.waiting);
	fuzz_finish(&w.d);
	return 0;
}
