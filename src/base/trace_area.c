/* SPDX-License-Identifier: MIT */
/*
 * Memory for rings of events; see base/trace_area.h.
 *
 * The monitor reads it as a file, so that nothing of the worker's doing is a
 * fault of its own: the size is sealed, what has never been written is zeroes,
 * and what cannot be read is an error. The worker has all the memory of a ring
 * before it writes there, or no ring.
 *
 * Failure: without memory there is no ring, or it is not logged. Nothing else
 * depends on that.
 */
#include "base/trace_area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

int trace_area_make(unsigned int rings)
{
	int fd = memfd_create("virtio-disk-events",
			      MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)rings * TRACE_RING_BYTES) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		    0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

struct trace_ring *trace_area_map(int fd, unsigned int i, const char *disk)
{
	const off_t at = (off_t)i * TRACE_RING_BYTES;
	struct trace_ring *ring;

	if (fd < 0 || posix_fallocate(fd, at, sizeof(*ring)))
		return NULL;
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    at);
	if (ring == MAP_FAILED)
		return NULL;
	/* There may have been another disk in its place. */
	if (strncmp(ring->disk, disk, sizeof(ring->disk) - 1) != 0) {
		memset(ring, 0, sizeof(*ring));
		strncpy(ring->disk, disk, sizeof(ring->disk) - 1);
	}
	return ring;
}

void trace_area_unmap(struct trace_ring *ring)
{
	if (ring)
		munmap(ring, sizeof(*ring));
}

static bool copy_ring(struct trace_ring *to, int fd, unsigned int i)
{
	const off_t at = (off_t)i * TRACE_RING_BYTES;
	ssize_t n;

	do
		n = pread(fd, to, sizeof(*to), at);
	while (n < 0 && errno == EINTR);
	/* What is read next is later than this. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return n == sizeof(*to);
}

static bool is_used(int fd, unsigned int i)
{
	char first;

	return pread(fd, &first, 1,
		     (off_t)i * TRACE_RING_BYTES +
			     (off_t)offsetof(struct trace_ring, disk)) == 1 &&
	       first;
}

void trace_area_log(int fd, unsigned int rings, const char *why)
{
	struct trace_ring *copy;

	if (fd < 0)
		return;
	copy = calloc(2, sizeof(*copy));
	if (!copy)
		log_warning("the events of disks cannot be logged: no memory");
	for (unsigned int i = 0; copy && i < rings; i++)
		if (is_used(fd, i) && copy_ring(&copy[0], fd, i) &&
		    copy_ring(&copy[1], fd, i))
			trace_log(&copy[0], &copy[1], why, TRACE_EVENTS);
	free(copy);
}
