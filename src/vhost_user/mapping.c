/* SPDX-License-Identifier: MIT */
/*
 * A part of a peer's file in our address space; see vhost_user/mapping.h.
 *
 * The part is mapped with whole pages of its file, which on hugetlbfs are huge
 * and cannot be mapped or unmapped in pieces. A file that ends too early is
 * refused here; one that is truncated later is the bus guard's.
 */
#include "vhost_user/mapping.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vhost_user/bus_guard.h"
#include "vhost_user/peer_fd.h"

static uint64_t page_bytes(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		return (uint64_t)fs.f_bsize;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Whether `fd` is a file that has [offset, offset + size). */
static int check(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;
	uint64_t end;
	int r;

	if (size == 0 || __builtin_add_overflow(offset, size, &end) ||
	    end > INT64_MAX / 2)
		return -EINVAL;
	/* Only then may one look at it. */
	r = peer_fd_check_file(fd);
	if (r)
		return r;
	if (fstat(fd, &st))
		return -errno;
	return end > (uint64_t)st.st_size ? -ENODATA : 0;
}

int mapping_open(struct mapping *m, int fd, uint64_t offset, uint64_t size,
		 int wake_fd)
{
	int r = check(fd, offset, size);
	uint64_t page, start;

	memset(m, 0, sizeof(*m));
	if (r)
		return r;
	page = page_bytes(fd);
	start = offset & ~(page - 1);
	m->len = (offset - start + size + page - 1) & ~(page - 1);
	m->base = mmap(NULL, m->len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (m->base == MAP_FAILED)
		return -errno;
	m->guard = bus_guard_add(m->base, m->len, page, wake_fd);
	if (m->guard < 0) {
		munmap(m->base, m->len);
		return m->guard;
	}
	/* A guest's memory has no place in our core dumps. */
	madvise(m->base, m->len, MADV_DONTDUMP);
	m->data = (uint8_t *)m->base + (offset - start);
	m->size = size;
	return 0;
}

void mapping_close(struct mapping *m)
{
	if (!m->data)
		return;
	bus_guard_remove(m->guard);
	munmap(m->base, m->len);
	memset(m, 0, sizeof(*m));
}

bool mapping_torn(const struct mapping *m)
{
	return m->data && bus_guard_torn(m->guard);
}
