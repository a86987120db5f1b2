/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_ring.h"

struct vring_bytes model_ring_bytes(const struct model_ring *ring)
{
	return vring_bytes(ring->size, ring->packed);
}

/* A packed ring's position as the rings have it: index and wrap counter. */
static uint16_t model_packed_at(const struct model_ring *ring,
				uint16_t position)
{
	bool wrap = position / ring->size % 2 == 0;

	return (uint16_t)(position % ring->size |
			  (wrap ? VRING_PACKED_WRAP : 0));
}

uint32_t model_ring_base(const struct model_ring *ring, uint16_t position)
{
	return ring->packed ?
		       model_packed_at(ring, position) * UINT32_C(0x10001) :
		       position;
}

uint16_t model_packed_flags(const struct model_ring *ring, uint16_t position,
			    bool used)
{
	bool wrap = model_packed_at(ring, position) & VRING_PACKED_WRAP;

	return (uint16_t)((wrap ? VRING_PACKED_DESC_AVAIL : 0) |
			  (wrap == used ? VRING_PACKED_DESC_USED : 0));
}

void model_ring_reset(struct model_ring *ring, uint16_t base)
{
	const struct vring_bytes bytes = model_ring_bytes(ring);

	memset(ring->desc, 0, bytes.desc);
	memset(ring->avail, 0, bytes.driver);
	memset(ring->used, 0, bytes.device);
	memset(ring->length, 0, sizeof(ring->length));
	if (!ring->packed) {
		ring->avail->idx = base;
		ring->used->idx = base;
	}
	for (uint16_t i = 0; ring->packed && i < ring->size; i++)
		/*
		 * Used in the round before, which has the other wrap counter.
		 */
		ring->pdesc[(base + i) % ring->size].flags =
			(VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED) ^
			model_packed_flags(ring, (uint16_t)(base + i), true);
	ring->avail_next = base;
	ring->used_seen = base;
	ring->room = ring->size;
	/* Taken from the end: the first chain is not simply 0, 1, 2. */
	ring->nfree = ring->size;
	for (uint16_t i = 0; i < ring->size; i++)
		ring->free[i] = (uint16_t)(ring->size % 5 ?
						   (i * 5u + 3) % ring->size :
						   i);
}

uint64_t model_ring_place(struct model_ring *ring, struct model_memory *mem,
			  uint64_t at, uint16_t size, bool packed,
			  uint64_t align)
{
	const struct vring_bytes bytes = vring_bytes(size, packed);

	ring->mem = mem;
	ring->size = size;
	ring->packed = packed;
	ring->desc_at = (at + 15) & ~UINT64_C(15);
	ring->avail_at = ring->desc_at + bytes.desc;
	ring->used_at = (ring->avail_at + bytes.driver + align - 1) &
			~(align - 1);
	ring->desc = model_at(mem, ring->desc_at, bytes.desc);
	ring->avail = model_at(mem, ring->avail_at, bytes.driver);
	ring->used = model_at(mem, ring->used_at, bytes.device);
	assert_non_null(ring->desc);
	assert_non_null(ring->avail);
	assert_non_null(ring->used);
	model_ring_reset(ring, 0);
	return ring->used_at + bytes.device;
}

uint64_t model_ring_lay(struct model_ring *ring, struct model_memory *mem,
			uint64_t at, uint16_t size, bool packed)
{
	return model_ring_place(ring, mem, at, size, packed, 4);
}

uint64_t model_ring_init(struct model_ring *ring, struct model_memory *mem,
			 uint64_t at, uint16_t size)
{
	return model_ring_lay(ring, mem, at, size, false);
}

uint16_t *model_used_event(struct model_ring *ring)
{
	return &ring->avail->ring[ring->size];
}

uint16_t *model_avail_event(struct model_ring *ring)
{
	return (uint16_t *)&ring->used->ring[ring->size];
}

void model_desc(struct model_ring *ring, uint16_t i, uint64_t addr,
		uint32_t len, uint16_t flags, uint16_t next)
{
	ring->desc[i] = (struct vring_desc){ addr, len, flags, next };
}

void model_avail(struct model_ring *ring, uint16_t head)
{
	ring->avail->ring[ring->avail_next % ring->size] = head;
	ring->avail_next++;
	__atomic_store_n(&ring->avail->idx, ring->avail_next, __ATOMIC_RELEASE);
}

uint16_t model_take_desc(struct model_ring *ring)
{
	assert_true(ring->nfree > 0);
	return ring->free[--ring->nfree];
}

void model_packed_desc(struct model_ring *ring, uint16_t i,
		       struct vring_packed_desc d)
{
	uint16_t position = (uint16_t)(ring->avail_next + i);
	struct vring_packed_desc *to = &ring->pdesc[position % ring->size];

	if (i)
		d.flags |= model_packed_flags(ring, position, false);
	else
		d.flags |= to->flags &
			   (VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED);
	*to = d;
}

void model_packed_avail(struct model_ring *ring, uint16_t n)
{
	struct vring_packed_desc *first =
		&ring->pdesc[ring->avail_next % ring->size];
	uint16_t flags = first->flags & (VRING_DESC_NEXT | VRING_DESC_WRITE |
					 VRING_DESC_INDIRECT);

	flags |= model_packed_flags(ring, ring->avail_next, false);
	__atomic_store_n(&first->flags, flags, __ATOMIC_RELEASE);
	ring->avail_next = (uint16_t)(ring->avail_next + n);
}

void model_raw(struct model_ring *ring, const struct vring_desc *d, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (!ring->packed)
			ring->desc[i] = d[i];
		else
			model_packed_desc(ring, i,
					  (struct vring_packed_desc){
						  .addr = d[i].addr,
						  .len = d[i].len,
						  .flags = d[i].flags });
	}
	if (ring->packed)
		model_packed_avail(ring, n);
	else
		model_avail(ring, 0);
}

static struct vring_desc model_buf_desc(const struct model_buf *buf, bool more,
					uint16_t next)
{
	return (struct vring_desc){
		.addr = buf->addr,
		.len = buf->len,
		.flags = (uint16_t)((buf->write ? VRING_DESC_WRITE : 0) |
				    (more ? VRING_DESC_NEXT : 0)),
		.next = next,
	};
}

/* A packed ring's table: in order, and only WRITE means something. */
static void model_packed_table(struct model_ring *ring, uint64_t at,
			       const struct model_buf *bufs, unsigned int n)
{
	struct vring_packed_desc *table = model_at(ring->mem, at,
						   n * sizeof(*table));

	for (unsigned int i = 0; i < n; i++)
		table[i] = (struct vring_packed_desc){
			.addr = bufs[i].addr,
			.len = bufs[i].len,
			.id = 0xffff,
			.flags = (uint16_t)(0xffff & ~VRING_DESC_WRITE) |
				 (bufs[i].write ? VRING_DESC_WRITE : 0),
		};
}

void model_table(struct model_ring *ring, uint64_t at,
		 const struct model_buf *bufs, unsigned int n)
{
	struct vring_desc *table = model_at(ring->mem, at, n * sizeof(*table));

	assert_non_null(table);
	if (ring->packed) {
		model_packed_table(ring, at, bufs, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		/* The first is entry 0; the rest runs backwards. */
		unsigned int me = i ? n - i : 0;
		unsigned int next = n - i - 1;

		table[me] = model_buf_desc(&bufs[i], i + 1 < n, (uint16_t)next);
	}
}

static uint16_t model_packed_offer(struct model_ring *ring,
				   const struct model_buf *bufs,
				   unsigned int direct, unsigned int n,
				   uint64_t table)
{
	unsigned int total = direct + (n > direct);
	uint16_t id = model_take_desc(ring);

	assert_true(total <= ring->room);
	for (uint16_t i = 0; i < direct; i++)
		model_packed_desc(
			ring, i,
			(struct vring_packed_desc){
				.addr = bufs[i].addr,
				.len = bufs[i].len,
				/* The last one's counts. */
				.id = i + 1u == total ? id : 0xffff,
				.flags = model_buf_desc(&bufs[i],
							i + 1u < total, 0)
						 .flags });
	if (n > direct) {
		model_table(ring, table, bufs + direct, n - direct);
		model_packed_desc(ring, (uint16_t)direct,
				  (struct vring_packed_desc){
					  .addr = table,
					  .len = (n - direct) * 16,
					  .id = id,
					  .flags = VRING_DESC_INDIRECT });
	}
	ring->length[id] = (uint16_t)total;
	ring->room -= total;
	model_packed_avail(ring, (uint16_t)total);
	return id;
}

uint16_t model_offer_mixed(struct model_ring *ring,
			   const struct model_buf *bufs, unsigned int direct,
			   unsigned int n, uint64_t table)
{
	unsigned int total = direct + (n > direct);
	uint16_t head, at;

	if (ring->packed)
		return model_packed_offer(ring, bufs, direct, n, table);
	head = model_take_desc(ring);
	at = head;
	for (unsigned int i = 0; i < direct; i++) {
		bool more = i + 1 < total;
		uint16_t next = more ? model_take_desc(ring) : 0;

		ring->desc[at] = model_buf_desc(&bufs[i], more, next);
		ring->next[at] = next;
		at = next;
	}
	if (n > direct) {
		model_table(ring, table, bufs + direct, n - direct);
		model_desc(ring, at, table, (n - direct) * 16,
			   VRING_DESC_INDIRECT, 0);
	}
	ring->length[head] = (uint16_t)total;
	model_avail(ring, head);
	return head;
}

uint16_t model_offer(struct model_ring *ring, const struct model_buf *bufs,
		     unsigned int n)
{
	return model_offer_mixed(ring, bufs, n, n, 0);
}

bool model_packed_is_used(const struct model_ring *ring, uint16_t position)
{
	const uint16_t both = VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED;
	uint16_t flags = __atomic_load_n(
		&ring->pdesc[position % ring->size].flags, __ATOMIC_ACQUIRE);

	return (flags & both) == model_packed_flags(ring, position, true);
}

bool model_has_used(const struct model_ring *ring)
{
	if (ring->packed)
		return model_packed_is_used(ring, ring->used_seen);
	return __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) !=
	       ring->used_seen;
}

static void model_packed_take(struct model_ring *ring,
			      struct vring_used_elem *elem)
{
	const struct vring_packed_desc *d =
		&ring->pdesc[ring->used_seen % ring->size];

	*elem = (struct vring_used_elem){ d->id, d->len };
	assert_int_equal(d->flags & VRING_DESC_WRITE,
			 d->len ? VRING_DESC_WRITE : 0);
	assert_true(elem->id < ring->size);
	assert_true(ring->length[elem->id] > 0);
	ring->used_seen = (uint16_t)(ring->used_seen + ring->length[elem->id]);
	ring->room += ring->length[elem->id];
	ring->free[ring->nfree++] = (uint16_t)elem->id;
	ring->length[elem->id] = 0;
}

bool model_used(struct model_ring *ring, struct vring_used_elem *elem)
{
	uint16_t i;

	if (!model_has_used(ring))
		return false;
	if (ring->packed) {
		model_packed_take(ring, elem);
		return true;
	}
	*elem = ring->used->ring[ring->used_seen % ring->size];
	ring->used_seen++;
	assert_true(elem->id < ring->size);
	assert_true(ring->length[elem->id] > 0);
	i = (uint16_t)elem->id;
	for (unsigned int n = ring->length[elem->id]; n; n--) {
		ring->free[ring->nfree++] = i;
		i = ring->next[i];
	}
	ring->length[elem->id] = 0;
	return true;
}

/* ---- who wants to be notified -------------------------------------------- */

void model_want(struct model_ring *ring, bool wanted)
{
	if (ring->packed)
		ring->driver->flags = wanted ? VRING_PACKED_EVENT_ENABLE :
					       VRING_PACKED_EVENT_DISABLE;
	else
		ring->avail->flags = wanted ? 0 : VRING_AVAIL_NO_INTERRUPT;
}

void model_want_at(struct model_ring *ring, uint16_t position)
{
	if (!ring->packed) {
		*model_used_event(ring) = position;
		return;
	}
	ring->driver->position = model_packed_at(ring, position);
	ring->driver->flags = VRING_PACKED_EVENT_DESC;
}

bool model_kicks_off(struct model_ring *ring)
{
	if (ring->packed)
		return ring->device->flags == VRING_PACKED_EVENT_DISABLE;
	return ring->used->flags == VRING_USED_NO_NOTIFY;
}

bool model_kick_at(struct model_ring *ring, uint16_t position)
{
	if (ring->packed)
		return ring->device->flags == VRING_PACKED_EVENT_DESC &&
		       ring->device->position ==
			       model_packed_at(ring, position);
	return ring->used->flags == 0 && *model_avail_event(ring) == position;
}
