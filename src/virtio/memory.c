/* SPDX-License-Identifier: MIT */
/*
 * The core's side of the guest's memory: each verb of virtio/memory.h called in
 * one place, which asserts what caller and implementer owe each other. Nothing
 * of it is the guest's doing: a chain has ranges, and they have bytes.
 */
#include "virtio/memory.h"

#include <assert.h>
#include <errno.h>

int guest_memory_map(struct guest_memory *mem, const struct guest_range *ranges,
		     unsigned int n, unsigned int readable,
		     struct virtio_iov *iov, unsigned int max,
		     unsigned int *split)
{
	int pieces;

	assert(n > 0 && readable <= n && max > 0);
	pieces = mem->ops->map(mem, ranges, n, readable, iov, max, split);
	if (pieces > 0)
		assert((unsigned int)pieces <= max &&
		       *split <= (unsigned int)pieces);
	else
		assert(pieces == -EFAULT || pieces == -E2BIG ||
		       pieces == -EAGAIN);
	return pieces;
}

void guest_memory_unmap(struct guest_memory *mem, const struct virtio_iov *iov,
			unsigned int n, unsigned int split)
{
	assert(n > 0 && split <= n);
	if (mem->ops->unmap)
		mem->ops->unmap(mem, iov, n, split);
}

void *guest_memory_map_ring(struct guest_memory *mem, uint64_t addr,
			    uint64_t len)
{
	assert(len > 0);
	return mem->ops->map_ring(mem, addr, len);
}

void guest_memory_unmap_ring(struct guest_memory *mem, void *base, uint64_t len)
{
	assert(base && len > 0);
	mem->ops->unmap_ring(mem, base, len);
}

void guest_memory_log(struct guest_memory *mem, const void *base, uint64_t len)
{
	assert(base && len > 0);
	mem->ops->written(mem, base, len);
}
