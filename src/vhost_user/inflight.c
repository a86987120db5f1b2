/* SPDX-License-Identifier: MIT */
/* The area of requests in flight; see vhost_user/inflight.h. */
#include "vhost_user/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PART_ALIGN = 64, /* a cache line: queues may have threads */
	TAIL_VERSION = 1,
};

#define TAIL_MAGIC UINT64_C(0x6c69617464766976) /* "vivdtail" */

/* The last PART_ALIGN bytes of an area of ours. */
struct inflight_tail {
	uint64_t magic;
	uint16_t version;
	uint16_t num_queues;
	uint16_t queue_size;
	uint16_t padding;
	uint64_t saved; /* a word, and its complement above; 0: none */
	uint8_t rest[PART_ALIGN - 24];
};

_Static_assert(sizeof(struct inflight_tail) == PART_ALIGN, "other versions");

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

/*
 * An area of ours has room for either layout: it may be made before it is
 * known.
 */
static uint64_t tailed_bytes(const struct inflight_tail *tail)
{
	return tail->num_queues * part_bytes(tail->queue_size, true) +
	       sizeof(*tail);
}

static int write_area(int fd, const struct inflight_tail *tail)
{
	const uint64_t bytes = tailed_bytes(tail);
	ssize_t n;

	if (ftruncate(fd, (off_t)bytes))
		return -errno;
	n = pwrite(fd, tail, sizeof(*tail), (off_t)(bytes - sizeof(*tail)));
	if (n != sizeof(*tail))
		return n < 0 ? -errno : -ENOSPC;
	return fcntl(fd, F_ADD_SEALS,
		     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ?
		       -errno :
		       0;
}

int inflight_create(struct vhost_inflight *want, unsigned int nqueues_max,
		    uint16_t size_max)
{
	struct inflight_tail tail = {
		.magic = TAIL_MAGIC,
		.version = TAIL_VERSION,
		.num_queues = want->num_queues,
		.queue_size = want->queue_size > size_max ? want->queue_size :
							    size_max,
	};
	int fd, r;

	if (!sizes_ok(want, nqueues_max))
		return -EINVAL;
	fd = memfd_create("virtio-disk-inflight",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = write_area(fd, &tail);
	if (r) {
		close(fd);
		return r;
	}
	want->mmap_size = tailed_bytes(&tail);
	want->mmap_offset = 0;
	return fd;
}

static bool is_tail(const struct inflight_tail *tail,
		    const struct inflight *inflight)
{
	const struct inflight_tail expected = {
		.magic = TAIL_MAGIC,
		.version = TAIL_VERSION,
		.num_queues = tail->num_queues,
		.queue_size = tail->queue_size,
		.saved = tail->saved,
	};

	return !memcmp(tail, &expected, sizeof(expected)) &&
	       tail->num_queues >= inflight->nqueues && tail->queue_size > 0 &&
	       tail->queue_size <= VIRTQUEUE_SIZE_MAX &&
	       tailed_bytes(tail) == inflight->map.size;
}

/* Lay the area out as its tail says, if it has one of ours. */
static void take_tail(struct inflight *inflight)
{
	const uint64_t size = inflight->map.size;
	struct inflight_tail tail, *shared;

	if (size < sizeof(tail) || size % PART_ALIGN)
		return;
	shared = (struct inflight_tail *)(void *)(inflight->map.data + size -
						  sizeof(tail));
	memcpy(&tail, shared, sizeof(tail));
	/*
	 * From here on nothing is read that the front end could still change.
	 */
	__asm__ __volatile__("" : : : "memory");
	if (!is_tail(&tail, inflight))
		return;
	inflight->tail = shared;
	inflight->queue_size = tail.queue_size;
	inflight->part_bytes = part_bytes(tail.queue_size, true);
	inflight->saved = tail.saved;
}

int inflight_open(struct inflight *inflight, const struct vhost_inflight *of,
		  int fd, unsigned int nqueues_max, bool packed, int wake_fd)
{
	int r;

	memset(inflight, 0, sizeof(*inflight));
	if (!sizes_ok(of, nqueues_max) || of->mmap_offset % PART_ALIGN)
		return -EINVAL;
	r = mapping_open(&inflight->map, fd, of->mmap_offset, of->mmap_size,
			 wake_fd);
	if (r)
		return r;
	inflight->nqueues = of->num_queues;
	inflight->queue_size = of->queue_size;
	inflight->packed = packed;
	inflight->part_bytes = part_bytes(of->queue_size, packed);
	take_tail(inflight);
	if (inflight->nqueues * inflight->part_bytes <= of->mmap_size)
		return 0;
	inflight_close(inflight);
	return -EINVAL;
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
	return inflight->map.data + queue * inflight->part_bytes;
}

void inflight_save(struct inflight *inflight, uint32_t word)
{
	uint64_t saved = (uint64_t)~word << 32 | word;

	if (!inflight->tail)
		return;
	__atomic_store_n(&inflight->saved, saved, __ATOMIC_RELAXED);
	/* In one store: a process that is killed leaves the old or the new. */
	__atomic_store_n(&inflight->tail->saved, saved, __ATOMIC_RELEASE);
}

bool inflight_saved(const struct inflight *inflight, uint32_t *word)
{
	uint64_t saved = __atomic_load_n(&inflight->saved, __ATOMIC_RELAXED);

	*word = (uint32_t)saved;
	return saved >> 32 == (uint32_t) ~*word;
}
