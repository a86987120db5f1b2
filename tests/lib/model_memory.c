/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_memory.h"

void *model_at(const struct model_memory *mem, uint64_t addr, uint64_t len)
{
	uint64_t offset = addr - mem->base;

	if (addr < mem->base || offset > mem->size || len > mem->size - offset)
		return NULL;
	return mem->bytes + offset;
}

void *model_ours(const struct model_memory *mem, void *p)
{
	return mem->bytes + ((uint8_t *)p - mem->device);
}

void *model_device(const struct model_memory *mem, void *p)
{
	return mem->device + ((uint8_t *)p - mem->bytes);
}

static int model_map_range(const struct model_memory *mem,
			   const struct guest_range *range,
			   struct virtio_iov *iov, unsigned int max)
{
	uint8_t *from = model_at(mem, range->addr, range->len);
	uint64_t addr = range->addr;
	uint64_t left = range->len;
	unsigned int n = 0;

	if (!from)
		return -EFAULT;
	from = model_device(mem, from);
	while (left) {
		uint64_t len = left;

		if (mem->piece && mem->piece - addr % mem->piece < len)
			len = mem->piece - addr % mem->piece;
		if (n == max)
			return -E2BIG;
		iov[n].base = from;
		iov[n++].len = len;
		from += len;
		addr += len;
		left -= len;
	}
	return (int)n;
}

static bool model_map_fails(struct model_memory *mem)
{
	mem->calls++;
	return mem->fail_at && mem->calls >= mem->fail_at &&
	       mem->calls < mem->fail_at + mem->fail_calls;
}

static void model_note_map(struct model_memory *mem,
			   const struct virtio_iov *iov, unsigned int n,
			   unsigned int split)
{
	struct model_map *map = malloc(sizeof(*map) + n * sizeof(void *));

	assert_non_null(map);
	map->n = n;
	map->split = split;
	for (unsigned int i = 0; i < n; i++)
		map->base[i] = iov[i].base;
	map->next = mem->maps;
	mem->maps = map;
	mem->live += n;
}

int model_map(struct guest_memory *gm, const struct guest_range *ranges,
	      unsigned int n, unsigned int readable, struct virtio_iov *iov,
	      unsigned int max, unsigned int *split)
{
	struct model_memory *mem = (struct model_memory *)gm;
	unsigned int pieces = 0;

	if (model_map_fails(mem))
		return mem->fail_with;
	*split = 0;
	for (unsigned int i = 0; i < n; i++) {
		int r = model_map_range(mem, &ranges[i], iov + pieces,
					max - pieces);

		if (r < 0)
			return r;
		pieces += (unsigned int)r;
		if (i < readable)
			*split = pieces;
	}
	if (mem->limit && mem->live + pieces > mem->limit)
		return mem->live ? -EAGAIN : -E2BIG;
	if (gm->ops->unmap)
		model_note_map(mem, iov, pieces, *split);
	return (int)pieces;
}

static bool model_is_map(const struct model_map *map,
			 const struct virtio_iov *iov, unsigned int n,
			 unsigned int split)
{
	if (map->n != n || map->split != split)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (map->base[i] != iov[i].base)
			return false;
	return true;
}

void model_unmap(struct guest_memory *gm, const struct virtio_iov *iov,
		 unsigned int n, unsigned int split)
{
	struct model_memory *mem = (struct model_memory *)gm;
	struct model_map **link = &mem->maps;
	struct model_map *map;

	while (*link && !model_is_map(*link, iov, n, split))
		link = &(*link)->next;
	map = *link;
	if (!map)
		fail_msg("unmap() of %u pieces that no map() gave", n);
	*link = map->next;
	mem->live -= n;
	free(map);
}

void *model_map_ring(struct guest_memory *gm, uint64_t addr, uint64_t len)
{
	struct model_memory *mem = (struct model_memory *)gm;
	void *p = model_at(mem, addr, len);

	mem->rings += p != NULL;
	return p ? model_device(mem, p) : NULL;
}

void model_unmap_ring(struct guest_memory *gm, void *base, uint64_t len)
{
	struct model_memory *mem = (struct model_memory *)gm;
	uint64_t offset = (uint64_t)((uint8_t *)base - mem->device);

	assert_true(mem->rings > 0);
	assert_true(offset <= mem->size && len <= mem->size - offset);
	mem->rings--;
}

const struct guest_memory_ops model_memory_ops = {
	.map = model_map,
	.unmap = model_unmap,
	.map_ring = model_map_ring,
	.unmap_ring = model_unmap_ring,
};

void model_memory_init(struct model_memory *mem, uint64_t size)
{
	uint8_t *p;

	assert_int_equal(size % MODEL_PAGE, 0);
	memset(mem, 0, sizeof(*mem));
	/* Shared, so that a child process can be the device. */
	p = mmap(NULL, size + 2 * MODEL_PAGE, PROT_NONE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	mem->bytes = p + MODEL_PAGE;
	assert_int_equal(mprotect(mem->bytes, size, PROT_READ | PROT_WRITE), 0);
	mem->device = mem->bytes;
	mem->memory.ops = &model_memory_ops;
	mem->base = MODEL_BASE;
	mem->size = size;
}

void model_memory_windows(struct model_memory *mem)
{
	static const struct guest_memory_ops ops = {
		.map = model_map,
		.map_ring = model_map_ring,
		.unmap_ring = model_unmap_ring,
	};
	uint64_t half = mem->size / 2;

	mem->memory.ops = &ops;
	mem->memory.window[0] = (struct guest_window){ mem->base + half,
						       mem->size - half,
						       mem->device + half };
	mem->memory.window[1] = (struct guest_window){ mem->base, half,
						       mem->device };
}

void model_memory_check_idle(const struct model_memory *mem)
{
	assert_null(mem->maps);
	assert_int_equal(mem->live, 0);
	assert_int_equal(mem->rings, 0);
}

void model_memory_finish(struct model_memory *mem)
{
	model_memory_check_idle(mem);
	munmap(mem->bytes - MODEL_PAGE, mem->size + 2 * MODEL_PAGE);
}

uint64_t model_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint32_t model_random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)(model_random(state) >> 16) % limit;
}
