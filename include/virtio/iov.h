/* SPDX-License-Identifier: MIT */
/*
 * A piece of memory that this process can touch.
 *
 * Same layout as POSIX struct iovec (held to it by a static assertion in
 * src/block), so that an array of these goes to the kernel uncopied, while the
 * freestanding core needs no system header.
 */
#ifndef VIRTIO_IOV_H
#define VIRTIO_IOV_H

#include <stddef.h>

struct virtio_iov {
	void *base; /* first byte; not owned */
	size_t len; /* bytes; may be 0 */
};

#endif
