/* SPDX-License-Identifier: MIT */
/* Block devices for tests, where the machine allows them. */
#ifndef BLOCK_LOOP_H
#define BLOCK_LOOP_H

#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "block_harness.h"

/* Attach `name` to a free loop device; skips where that is not allowed. */
static inline int attach_loop(const char *name, char *device, size_t size,
			      unsigned int block_size)
{
	/* Detached with the last close, however the test ends. */
	struct loop_config config = {
		.block_size = block_size,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int index = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int loop, off = 0;

	if (control >= 0)
		close(control);
	if (index < 0)
		skip();
	snprintf(device, size, "/dev/loop%d", index);
	loop = open(device, O_RDWR | O_CLOEXEC);
	config.fd = (unsigned int)open(harness_path(name), O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
		close((int)config.fd);
		if (loop >= 0)
			close(loop);
		skip();
	}
	close((int)config.fd);
	/* What the device's last user may have left. */
	assert_int_equal(ioctl(loop, BLKROSET, &off), 0);
	return loop;
}

#endif
