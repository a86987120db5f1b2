/* SPDX-License-Identifier: MIT */
/*
 * The seam between the core and the guest's memory.
 *
 * A descriptor chain is mapped as a whole into an array of host pieces and is
 * unmapped as a whole when its request is done. The pieces are shared with a
 * hostile guest: what is read from them has to be copied before it is checked.
 *
 * Implementers fill in guest_memory_ops; everybody else calls the functions of
 * the same names below, which assert what the two sides owe each other.
 */
#ifndef VIRTIO_MEMORY_H
#define VIRTIO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/iov.h"

/* A range of guest memory, as a descriptor names it. */
struct guest_range {
	uint64_t addr; /* guest address, bytes */
	uint32_t len;  /* bytes */
};

struct guest_memory;

struct guest_memory_ops {
	/*
	 * Map ranges[0..n) to at most `max` pieces in `iov`, in order; the
	 * first `readable` ranges are read by the device only, the rest
	 * written. Ranges of length 0 give no piece. Stores in `split` how many
	 * pieces the readable ranges took. Returns the number of pieces, or
	 *  -EFAULT  a range is not (wholly) memory of the guest,
	 *  -E2BIG   more than `max` pieces,
	 *  -EAGAIN  no room now; there will be after an unmap.
	 * On failure nothing is mapped. The ranges have bytes.
	 */
	int (*map)(struct guest_memory *mem, const struct guest_range *ranges,
		   unsigned int n, unsigned int readable,
		   struct virtio_iov *iov, unsigned int max,
		   unsigned int *split);
	/*
	 * Undo map() for its `n` pieces, of which those from `split` on have
	 * been written. Only `base` of a piece is looked at for finding what to
	 * release; `len` may have been shortened. NULL: nothing to do.
	 */
	void (*unmap)(struct guest_memory *mem, const struct virtio_iov *iov,
		      unsigned int n, unsigned int split);
	/*
	 * Map [addr, addr + len) as one contiguous piece for as long as a queue
	 * uses it. Returns its first byte, or NULL where that is not guest
	 * memory.
	 */
	void *(*map_ring)(struct guest_memory *mem, uint64_t addr,
			  uint64_t len);
	void (*unmap_ring)(struct guest_memory *mem, void *base, uint64_t len);
	/*
	 * A used ring at `base` of `len` bytes has been written somewhere: for
	 * a log of dirty pages. NULL: nothing to do.
	 */
	void (*written)(struct guest_memory *mem, const void *base,
			uint64_t len);
};

/*
 * A stretch of guest memory that is mapped as one piece and stays so while
 * queues run: what lies in it is found without map(). unmap() gets such pieces
 * as any others, but has nothing to release for them. Size 0: none.
 */
struct guest_window {
	uint64_t guest; /* guest address, bytes */
	uint64_t size;  /* bytes */
	uint8_t *host;
};

enum { GUEST_WINDOWS = 2 }; /* drivers keep headers and data apart */

struct guest_memory {
	const struct guest_memory_ops *ops;
	bool pinnable; /* the kernel can do O_DIRECT on the pieces */
	/* Kept up by the implementer; the core only reads them. */
	struct guest_window window[GUEST_WINDOWS];
};

/* The host's address of a range if it lies in one window wholly, or NULL. */
static inline uint8_t *guest_memory_look(const struct guest_memory *mem,
					 uint64_t addr, uint32_t len)
{
	const struct guest_window *w = mem->window;

	for (int i = 0; i < GUEST_WINDOWS; i++, w++) {
		uint64_t at = addr - w->guest;

		if (at < w->size && len <= w->size - at)
			return w->host + at;
	}
	return NULL;
}

/* Whether map() has a partner, which then has to be called. */
static inline bool guest_memory_unmaps(const struct guest_memory *mem)
{
	return mem->ops->unmap;
}

/* Not built into the path of what lies in a window, which would pay for it. */
#define GUEST_MEMORY_APART __attribute__((noinline))

GUEST_MEMORY_APART int guest_memory_map(struct guest_memory *mem,
					const struct guest_range *ranges,
					unsigned int n, unsigned int readable,
					struct virtio_iov *iov,
					unsigned int max, unsigned int *split);
GUEST_MEMORY_APART void guest_memory_unmap(struct guest_memory *mem,
					   const struct virtio_iov *iov,
					   unsigned int n, unsigned int split);
void *guest_memory_map_ring(struct guest_memory *mem, uint64_t addr,
			    uint64_t len);
void guest_memory_unmap_ring(struct guest_memory *mem, void *base,
			     uint64_t len);

/* The call of guest_memory_written(), which is inline where nobody logs. */
GUEST_MEMORY_APART void guest_memory_log(struct guest_memory *mem,
					 const void *base, uint64_t len);

static inline void guest_memory_written(struct guest_memory *mem,
					const void *base, uint64_t len)
{
	if (mem->ops->written)
		guest_memory_log(mem, base, len);
}

#endif
