/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory; see vhost_user/regions.h.
 *
 * Failure: everything that a front end or a driver says is checked against the
 * regions as they are mapped, with sums that cannot run over. A range that
 * leaves its region goes on in the next one if that begins right there, as a
 * piece of its own: the two need not be neighbours in our address space.
 */
#include "vhost_user/regions.h"

#include <errno.h>
#include <string.h>

/* Regions begin at these, whatever the page size of the host. */
#define REGION_ALIGN UINT64_C(4096)

/* The region with guest address `addr`, or NULL. */
static const struct region *find(const struct regions *regions, uint64_t addr)
{
	unsigned int low = 0, high = regions->n;
	const struct region *r;

	/* Invariant: regions before `low` begin at or below addr. */
	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (regions->region[middle].guest <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	r = &regions->region[low - 1];
	return addr - r->guest < r->size ? r : NULL;
}

static struct queue_memory *of(struct guest_memory *mem)
{
	return (struct queue_memory *)mem;
}

void queue_memory_forget(struct queue_memory *qm)
{
	memset(qm->mem.window, 0, sizeof(qm->mem.window));
}

/* The two regions found last: one for data, one that may have all else. */
static void remember(struct queue_memory *qm, const struct region *r)
{
	struct guest_window *window = qm->mem.window;

	window[1] = window[0];
	window[0] = (struct guest_window){
		.guest = r->guest,
		.size = r->size,
		.host = r->map.data,
	};
}

/* Map one range to at most `max` pieces: how many, or a negative errno. */
static int map_range(struct queue_memory *qm, const struct guest_range *range,
		     struct virtio_iov *iov, unsigned int max)
{
	uint64_t addr = range->addr;
	uint64_t left = range->len;
	unsigned int n = 0;

	while (left) {
		const struct region *r = find(qm->regions, addr);
		uint64_t len;

		if (!r)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		remember(qm, r);
		len = r->size - (addr - r->guest);
		if (len > left)
			len = left;
		iov[n].base = r->map.data + (addr - r->guest);
		iov[n].len = len;
		n++;
		addr += len;
		left -= len;
	}
	return (int)n;
}

static int map(struct guest_memory *mem, const struct guest_range *ranges,
	       unsigned int n, unsigned int readable, struct virtio_iov *iov,
	       unsigned int max, unsigned int *split)
{
	struct queue_memory *qm = of(mem);
	unsigned int pieces = 0;

	for (unsigned int i = 0; i < n; i++) {
		int r;

		if (i == readable)
			*split = pieces;
		r = map_range(qm, &ranges[i], iov + pieces, max - pieces);
		if (r < 0)
			return r;
		pieces += (unsigned int)r;
	}
	if (readable >= n)
		*split = pieces;
	return (int)pieces;
}

/* The ring functions of the seam are not used: rings have user addresses. */
static void *map_ring(struct guest_memory *mem, uint64_t addr, uint64_t len)
{
	(void)mem;
	(void)addr;
	(void)len;
	return NULL;
}

static void unmap_ring(struct guest_memory *mem, void *base, uint64_t len)
{
	(void)mem;
	(void)base;
	(void)len;
}

/* Log [base, base + len) of our address space. */
static void log_host(const struct regions *regions, const uint8_t *base,
		     size_t len)
{
	for (unsigned int i = 0; i < regions->n; i++) {
		const struct region *r = &regions->region[i];
		uint64_t at = (uint64_t)(base - r->map.data);

		if (base < r->map.data || at >= r->size)
			continue;
		dirty_log_mark(&regions->log, r->guest + at,
			       len < r->size - at ? len : r->size - at);
		return;
	}
}

static void unmap_logged(struct guest_memory *mem, const struct virtio_iov *iov,
			 unsigned int n, unsigned int split)
{
	/* The last piece has been shortened by the status byte at its end. */
	for (unsigned int i = split; i < n; i++)
		log_host(of(mem)->regions, iov[i].base,
			 iov[i].len + (i == n - 1));
}

static void written_logged(struct guest_memory *mem, const void *base,
			   uint64_t len)
{
	const struct queue_memory *qm = of(mem);

	if (!qm->log_used)
		return;
	if (qm->log_in_place)
		log_host(qm->regions, base, len);
	else
		dirty_log_mark(&qm->regions->log, qm->used_log, len);
}

static const struct guest_memory_ops plain = {
	.map = map,
	.map_ring = map_ring,
	.unmap_ring = unmap_ring,
};

static const struct guest_memory_ops logged = {
	.map = map,
	.unmap = unmap_logged,
	.map_ring = map_ring,
	.unmap_ring = unmap_ring,
	.written = written_logged,
};

void queue_memory_init(struct queue_memory *qm, const struct regions *regions)
{
	memset(qm, 0, sizeof(*qm));
	qm->mem.ops = &plain;
	qm->mem.pinnable = true;
	qm->regions = regions;
}

void queue_memory_log(struct queue_memory *qm, bool logging)
{
	qm->mem.ops = logging ? &logged : &plain;
}

static bool aligned(const struct vhost_region *r)
{
	return ((r->guest | r->user | r->offset) & (REGION_ALIGN - 1)) == 0;
}

/* Whether [a, a + a_size) and [b, b + b_size) have a byte in common. */
static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check(const struct regions *regions, const struct vhost_region *new)
{
	uint64_t end;

	if (new->size == 0 || !aligned(new) ||
	    __builtin_add_overflow(new->guest, new->size, &end) ||
	    __builtin_add_overflow(new->user, new->size, &end))
		return -EINVAL;
	if (regions->n == VHOST_REGIONS_MAX)
		return -ENOSPC;
	for (unsigned int i = 0; i < regions->n; i++) {
		const struct region *r = &regions->region[i];

		if (overlap(r->guest, r->size, new->guest, new->size) ||
		    overlap(r->user, r->size, new->user, new->size))
			return -EEXIST;
	}
	return 0;
}

int regions_add(struct regions *regions, const struct vhost_region *new, int fd,
		int wake_fd)
{
	struct region region = {
		.guest = new->guest,
		.size = new->size,
		.user = new->user,
	};
	unsigned int at = regions->n;
	int r = check(regions, new);

	if (r == 0)
		r = mapping_open(&region.map, fd, new->offset, new->size,
				 wake_fd);
	if (r)
		return r;
	for (; at > 0 && regions->region[at - 1].guest > new->guest; at--)
		regions->region[at] = regions->region[at - 1];
	regions->region[at] = region;
	regions->n++;
	return 0;
}

int regions_remove(struct regions *regions, const struct vhost_region *old)
{
	for (unsigned int i = 0; i < regions->n; i++) {
		struct region *r = &regions->region[i];

		if (r->guest != old->guest || r->user != old->user ||
		    r->size != old->size)
			continue;
		mapping_close(&r->map);
		regions->n--;
		memmove(r, r + 1, (regions->n - i) * sizeof(*r));
		return 0;
	}
	return -ENOENT;
}

void regions_clear(struct regions *regions)
{
	while (regions->n)
		mapping_close(&regions->region[--regions->n].map);
}

uint64_t regions_last(const struct regions *regions)
{
	const struct region *r;

	if (regions->n == 0)
		return 0;
	r = &regions->region[regions->n - 1];
	return r->guest + r->size - 1;
}

bool regions_torn(const struct regions *regions)
{
	for (unsigned int i = 0; i < regions->n; i++)
		if (mapping_torn(&regions->region[i].map))
			return true;
	return mapping_torn(&regions->log.map);
}

void *regions_from_user(const struct regions *regions, uint64_t addr,
			uint64_t len)
{
	for (unsigned int i = 0; i < regions->n; i++) {
		const struct region *r = &regions->region[i];

		if (addr >= r->user && addr - r->user < r->size &&
		    len <= r->size - (addr - r->user))
			return r->map.data + (addr - r->user);
	}
	return NULL;
}
