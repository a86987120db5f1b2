/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/block_loop.h"

/* Open a free loop device; -1 where there is none for us. */
static int open_free_loop(char *device, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int index = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	if (control >= 0)
		close(control);
	if (index < 0)
		return -1;
	snprintf(device, size, "/dev/loop%d", index);
	return open(device, O_RDWR | O_CLOEXEC);
}

int attach_loop(const char *name, char *device, size_t size,
		unsigned int block_size)
{
	/* Detached with the last close, however the test ends. */
	struct loop_config config = {
		.block_size = block_size,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int loop, off = 0;

	config.fd = (unsigned int)open(harness_path(name), O_RDWR | O_CLOEXEC);
	/* Another test may be faster to attach the one that is free. */
	while ((loop = open_free_loop(device, size)) >= 0 &&
	       ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
		bool taken = errno == EBUSY;

		close(loop);
		loop = -1;
		if (!taken)
			break;
		usleep(10000);
	}
	if (loop < 0) {
		close((int)config.fd);
		skip();
	}
	close((int)config.fd);
	/* What the device's last user may have left. */
	assert_int_equal(ioctl(loop, BLKROSET, &off), 0);
	return loop;
}
