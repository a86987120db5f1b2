/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_request.h"

void model_shadow(struct model_blk *m)
{
	memcpy(m->shadow, m->mem.bytes, m->mem.size);
	memcpy(m->shadow_store, m->store, m->store_bytes);
}

void model_compare(const struct model_blk *m)
{
	for (uint64_t i = 0;
	     memcmp(m->shadow, m->mem.bytes, m->mem.size) && i < m->mem.size;
	     i++)
		if (m->shadow[i] != m->mem.bytes[i])
			fail_msg("guest byte %#llx is %#x, should be %#x",
				 (unsigned long long)(m->mem.base + i),
				 m->mem.bytes[i], m->shadow[i]);
	assert_memory_equal(m->shadow_store, m->store, m->store_bytes);
}

static uint64_t model_bytes(const struct model_chain *c, bool write)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < c->n; i++)
		if (c->bufs[i].write == write)
			bytes += c->bufs[i].len;
	return bytes;
}

/* Byte `pos` of the chain's readable or writable part, in the shadow. */
static uint8_t *model_part(const struct model_blk *m,
			   const struct model_chain *c, bool write,
			   uint64_t pos)
{
	for (unsigned int i = 0; i < c->n; i++) {
		const struct model_buf *b = &c->bufs[i];

		if (b->write != write)
			continue;
		if (pos < b->len) {
			uint64_t at = b->addr + pos - m->mem.base;

			return at < m->mem.size ? m->shadow + at : NULL;
		}
		pos -= b->len;
	}
	return NULL;
}

static bool model_is_memory(const struct model_blk *m,
			    const struct model_chain *c)
{
	for (unsigned int i = 0; i < c->n; i++)
		if (c->bufs[i].len &&
		    !model_at(&m->mem, c->bufs[i].addr, c->bufs[i].len))
			return false;
	return true;
}

static bool model_range_ok(const struct model_blk *m, uint64_t sector,
			   uint64_t bytes)
{
	return bytes % 512 == 0 && bytes <= (32u << 20) &&
	       sector <= m->setup.sectors &&
	       bytes / 512 <= m->setup.sectors - sector;
}

/* Move the data between the shadows; the used length of a success. */
static uint32_t model_data(const struct model_blk *m,
			   const struct model_chain *c, bool read,
			   uint64_t sector, uint64_t bytes)
{
	uint8_t *disk = m->shadow_store + sector * 512;

	for (uint64_t i = 0; i < bytes; i++) {
		if (read)
			*model_part(m, c, true, i) = disk[i];
		else
			disk[i] = *model_part(m, c, false, 16 + i);
	}
	return read ? (uint32_t)bytes + 1 : model_bytes(c, true) == 1;
}

static uint32_t model_id(const struct model_blk *m, const struct model_chain *c,
			 uint64_t room)
{
	uint64_t n = room < 20 ? room : 20;

	for (uint64_t i = 0; i < n; i++)
		*model_part(m, c, true, i) = (uint8_t)model_serial[i];
	return (uint32_t)n + (n == room);
}

static bool model_takes_ranges(const struct model_blk *m, uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_DISCARD:
		return m->setup.discard &&
		       !(m->setup.refused &
			 VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD));
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return !(m->setup.refused &
			 VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
	default:
		return m->setup.secure_erase &&
		       !(m->setup.refused &
			 VIRTIO_FEATURE(VIRTIO_BLK_F_SECURE_ERASE));
	}
}

static struct virtio_blk_segment model_segment(const struct model_blk *m,
					       const struct model_chain *c,
					       unsigned int i)
{
	struct virtio_blk_segment s;

	for (uint64_t b = 0; b < sizeof(s); b++)
		((uint8_t *)&s)[b] = *model_part(m, c, false,
						 16 + i * sizeof(s) + b);
	return s;
}

/* Whether a range is as it has to be. */
static uint8_t model_judge(const struct model_blk *m, uint32_t type,
			   const struct virtio_blk_segment *s)
{
	bool zeroes = type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint64_t end = s->sector + s->num_sectors;

	if (s->flags > zeroes)
		return VIRTIO_BLK_S_UNSUPP;
	if ((!zeroes && s->num_sectors > 1u << 22) || end < s->sector ||
	    end > m->setup.sectors)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t model_ranges(const struct model_blk *m,
			    const struct model_chain *c, uint32_t type,
			    uint64_t bytes)
{
	uint8_t op = type == VIRTIO_BLK_T_DISCARD      ? BLOCK_DISCARD :
		     type == VIRTIO_BLK_T_WRITE_ZEROES ? BLOCK_WRITE_ZEROES :
							 BLOCK_SECURE_ERASE;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (m->setup.readonly)
		return VIRTIO_BLK_S_IOERR;
	if (!model_takes_ranges(m, type))
		return VIRTIO_BLK_S_UNSUPP;
	if (!bytes || bytes % 16 || bytes > 32 * 16)
		return VIRTIO_BLK_S_IOERR;
	/* The worst of all ranges is the answer. */
	for (unsigned int i = 0; i < bytes / 16; i++) {
		struct virtio_blk_segment s = model_segment(m, c, i);
		uint8_t one = model_judge(m, type, &s);

		status = one > status ? one : status;
	}
	for (unsigned int i = 0; status == 0 && i < bytes / 16; i++) {
		struct virtio_blk_segment s = model_segment(m, c, i);

		if (s.num_sectors && m->engine_fails)
			return VIRTIO_BLK_S_IOERR;
		memset(m->shadow_store + s.sector * 512, model_range_byte(op),
		       s.num_sectors * 512);
	}
	return status;
}

/* A whole request: the status, and on success the used length in *len. */
static uint8_t model_type(const struct model_blk *m,
			  const struct model_chain *c,
			  const struct virtio_blk_header *h, uint32_t *len)
{
	uint64_t in = model_bytes(c, true) - 1;
	uint64_t out = model_bytes(c, false) - 16;
	bool read = h->type == VIRTIO_BLK_T_IN;

	switch (h->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		if (!model_range_ok(m, h->sector, read ? in : out) ||
		    (!read && m->setup.readonly))
			return VIRTIO_BLK_S_IOERR;
		if (m->engine_fails && (read ? in : out))
			return VIRTIO_BLK_S_IOERR;
		*len = model_data(m, c, read, h->sector, read ? in : out);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH:
		return m->engine_fails ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		*len = model_id(m, c, in);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
	case VIRTIO_BLK_T_SECURE_ERASE:
		return model_ranges(m, c, h->type, out);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* What the chain has to do to the shadow: the used length. */
static uint32_t model_effect(const struct model_blk *m,
			     const struct model_chain *c)
{
	uint64_t w = model_bytes(c, true), r = model_bytes(c, false);
	uint8_t *status = w ? model_part(m, c, true, w - 1) : NULL;
	struct virtio_blk_header header;
	uint8_t answer = VIRTIO_BLK_S_IOERR;
	uint32_t len = w == 1;

	if (!status)
		return 0;
	if (model_is_memory(m, c) && r >= sizeof(header)) {
		for (uint64_t i = 0; i < sizeof(header); i++)
			((uint8_t *)&header)[i] = *model_part(m, c, false, i);
		answer = model_type(m, c, &header, &len);
	}
	*status = answer;
	return len;
}

/* The same place in the shadow of guest memory. */
static void *model_shadow_at(const struct model_blk *m, uint64_t addr)
{
	return m->shadow + (addr - m->mem.base);
}

/* A used element of a packed ring whose chains are used in order. */
static void model_expect_packed(struct model_blk *m,
				const struct model_ring *ring, uint16_t id,
				uint32_t len)
{
	struct vring_packed_desc *d = model_shadow_at(m, ring->desc_at);

	d += ring->used_seen % ring->size;
	d->id = id;
	d->len = len;
	d->flags = (uint16_t)(model_packed_flags(ring, ring->used_seen, true) |
			      (len ? VRING_DESC_WRITE : 0));
}

void model_expect(struct model_blk *m, unsigned int queue, uint16_t head,
		  const struct model_chain *c)
{
	struct model_ring *ring = &m->ring[queue];
	uint32_t len = model_effect(m, c);
	struct vring_used *used = model_shadow_at(m, ring->used_at);

	if (ring->packed) {
		model_expect_packed(m, ring, head, len);
		return;
	}
	used->ring[used->idx % ring->size].id = head;
	used->ring[used->idx % ring->size].len = len;
	used->idx++;
}

void model_try(struct model_blk *m, const struct model_chain *c,
	       unsigned int direct)
{
	struct model_ring *ring = &m->ring[0];
	uint64_t table = m->mem.base + m->mem.size - 2 * MODEL_PAGE;
	struct vring_used_elem elem;
	uint16_t head = model_offer_mixed(ring, c->bufs, direct, c->n, table);

	model_shadow(m);
	model_expect(m, 0, head, c);
	model_serve(m, 0);
	model_compare(m);
	assert_true(model_used(ring, &elem));
	assert_int_equal(elem.id, head);
	assert_false(model_used(ring, &elem));
	assert_null(m->mem.maps);
	assert_true(virtio_device_live(&m->blk.dev));
}
