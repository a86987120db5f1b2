/* SPDX-License-Identifier: MIT */
/*
 * The block device on memory that the input writes: requests of any framing,
 * completed in any order, with room to map them or without, reset and started
 * again in between.
 */
#include "fuzz_device.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	return 0;
}

/* Reset by the driver: it is answered when nothing is in flight. */
static void restart(struct fuzz_device *d)
{
	struct virtio_device *dev = &d->m.blk.dev;

	if (model_set(dev, VIRTIO_MMIO_STATUS, 0) == VIRTIO_WAIT) {
		assert_true(d->n > 0);
		fuzz_complete_all(d);
		assert_true(virtio_device_settle(dev));
	}
	assert_int_equal(d->n, 0);
	assert_int_equal(d->m.mem.rings, 0);
	for (unsigned int i = 0; i < d->m.setup.nqueues; i++)
		model_ring_reset(&d->m.ring[i], 0);
	model_blk_drive(&d->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_device d;
	struct fuzz_input in = { data, size };

	fuzz_device_init(&d, &in);
	model_blk_drive(&d.m);
	while (in.left) {
		uint8_t op = fuzz_u8(&in);

		if (op == 0xff)
			restart(&d);
		else
			fuzz_device_step(&d, &in);
	}
	fuzz_finish(&d);
	return 0;
}
