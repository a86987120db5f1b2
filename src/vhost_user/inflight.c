/* SPDX-License-Identifier: MIT */
/* The area of requests in flight; see vhost_user/inflight.h. */
#include "vhost_user/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PART_ALIGN = 64 };	/* a cache line: queues may have threads */

static uint64_t part_bytes(uint16_t queue_size, bool packed)
{
	return (virtq_inflight_bytes(queue_size, packed) + PART_ALIGN - 1) &
	       ~(uint64_t)(PART_ALIGN - 1);
}

static bool sizes_ok(const struct vhost_inflight *in, unsigned int nqueues_max)
{
	return in->num_queues > 0 && in->num_queues <= nqueues_max &&
	       in->queue_size > 0 && in->queue_size <= VIRTQUEUE_SIZE_MAX;
}

static uint64_t area_bytes(const struct vhost_inflight *in, bool packed)
{
	return in->num_queues * part_bytes(in->queue_size, packed);
}

int inflight_create(struct vhost_inflight *want, unsigned int nqueues_max,
		    bool packed)
{
	int fd;

	if (!sizes_ok(want, nqueues_max))
		return -EINVAL;
	want->mmap_size = area_bytes(want, packed);
	want->mmap_offset = 0;
	fd = memfd_create("virtio-disk-inflight",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)want->mmap_size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int inflight_open(struct inflight *inflight, const struct vhost_inflight *of,
		  int fd, unsigned int nqueues_max, bool packed, int wake_fd)
{
	int r;

	if (!sizes_ok(of, nqueues_max) ||
	    of->mmap_size < area_bytes(of, packed) ||
	    of->mmap_offset % PART_ALIGN)
		return -EINVAL;
	r = mapping_open(&inflight->map, fd, of->mmap_offset,
			 area_bytes(of, packed), wake_fd);
	if (r)
		return r;
	inflight->nqueues = of->num_queues;
	inflight->queue_size = of->queue_size;
	inflight->packed = packed;
	return 0;
}

void inflight_close(struct inflight *inflight)
{
	mapping_close(&inflight->map);
	memset(inflight, 0, sizeof(*inflight));
}

void *inflight_of(const struct inflight *inflight, unsigned int queue,
		  uint16_t size, bool packed)
{
	if (!inflight->map.data || queue >= inflight->nqueues ||
	    size > inflight->queue_size || packed != inflight->packed)
		return NULL;
	return inflight->map.data +
	       queue * part_bytes(inflight->queue_size, packed);
}
