/* SPDX-License-Identifier: MIT */
/* Block devices for tests, where the machine allows them. */
#ifndef BLOCK_LOOP_H
#define BLOCK_LOOP_H

#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "block_harness.h"

/* Open a free loop device; -1 where there is none for us. */
static inline int open_free_loop(char *device, size_t size)
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

/* Attach `name` to a free loop device; skips where that is not allowed. */
static inline int attach_loop(const char *name, char *device, size_t size,
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

#endif
