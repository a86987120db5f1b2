/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a virtqueue; see ring.h.
 *
 * Split: each slot has its own descriptors in the table. Packed: the ring is
 * filled as it comes; what is under way has fewer entries than there are, so
 * the next position is free.
 */
#include "ring.h"

#include "common.h"

static struct vring_desc *split_desc(struct ring *r)
{
	return (struct vring_desc *)(void *)r->memory;
}

static struct vring_avail *avail(struct ring *r)
{
	return (struct vring_avail *)(void *)(r->memory + RING_DRIVER_AT);
}

static struct vring_used *used(struct ring *r)
{
	return (struct vring_used *)(void *)(r->memory + RING_DEVICE_AT);
}

/* What the device wants to be told of, behind its used ring. */
static uint16_t *avail_event(struct ring *r)
{
	return (uint16_t *)(void *)&used(r)->ring[RING_SIZE];
}

static uint16_t *used_event(struct ring *r)
{
	return &avail(r)->ring[RING_SIZE];
}

static struct vring_packed_desc *packed_desc(struct ring *r)
{
	return (struct vring_packed_desc *)(void *)r->memory;
}

static union vring_packed_event *event_at(struct ring *r, unsigned int at)
{
	return (union vring_packed_event *)(void *)(r->memory + at);
}

void ring_init(struct ring *r, uint8_t *memory, bool packed, bool event_idx)
{
	*r = (struct ring){
		.packed = packed,
		.event_idx = event_idx,
		.memory = memory,
		.avail_wrap = true,
		.used_wrap = true,
	};
	memset(memory, 0, RING_BYTES);
}

uint32_t ring_base(const struct ring *r)
{
	if (r->packed)
		return VRING_PACKED_START * UINT32_C(0x10001);
	return r->next_used;
}

/* ---- down ---- */

static uint16_t flags_of(const struct ring_part *parts, unsigned int i,
			 unsigned int n)
{
	return (uint16_t)((i + 1 < n ? VRING_DESC_NEXT : 0) |
			  (parts[i].device_writes ? VRING_DESC_WRITE : 0));
}

static void fill_table(const struct ring *r, void *table,
		       const struct ring_part *parts, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc d = { parts[i].addr, parts[i].len,
					flags_of(parts, i, n),
					(uint16_t)(i + 1 < n ? i + 1 : 0) };
		struct vring_packed_desc p = { .addr = parts[i].addr };

		p.len = parts[i].len;
		p.flags = parts[i].device_writes ? VRING_DESC_WRITE : 0;
		memcpy((uint8_t *)table + i * sizeof(d),
		       r->packed ? (void *)&p : (void *)&d, sizeof(d));
	}
}

static void add_split(struct ring *r, unsigned int slot,
		      const struct ring_part *parts, unsigned int n,
		      uint16_t more)
{
	uint16_t head = (uint16_t)(slot * RING_CHAIN_MAX);

	for (unsigned int i = 0; i < n; i++)
		split_desc(r)[head + i] = (struct vring_desc){
			parts[i].addr, parts[i].len,
			(uint16_t)(flags_of(parts, i, n) | more),
			(uint16_t)(i + 1 < n ? head + i + 1 : 0)
		};
	avail(r)->ring[r->next_avail++ % RING_SIZE] = head;
	__atomic_store_n(&avail(r)->idx, r->next_avail, __ATOMIC_RELEASE);
}

static uint16_t wrap_flags(bool wrap)
{
	return wrap ? VRING_PACKED_DESC_AVAIL : VRING_PACKED_DESC_USED;
}

static void step(uint16_t *position, bool *wrap, uint16_t by)
{
	*position = (uint16_t)(*position + by);
	if (*position < RING_SIZE)
		return;
	*position -= RING_SIZE;
	*wrap = !*wrap;
}

/* The first one's flags last: they make the chain available. */
static void add_packed(struct ring *r, unsigned int slot,
		       const struct ring_part *parts, unsigned int n,
		       uint16_t more)
{
	struct vring_packed_desc *first = packed_desc(r) + r->next_avail;
	uint16_t first_flags = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct vring_packed_desc *d = packed_desc(r) + r->next_avail;
		uint16_t flags = (uint16_t)(flags_of(parts, i, n) | more |
					    wrap_flags(r->avail_wrap));

		d->addr = parts[i].addr;
		d->len = parts[i].len;
		d->id = (uint16_t)slot;
		if (i == 0)
			first_flags = flags;
		else
			__atomic_store_n(&d->flags, flags, __ATOMIC_RELAXED);
		step(&r->next_avail, &r->avail_wrap, 1);
	}
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
	r->batch = (uint16_t)(r->batch + n);
}

void ring_add(struct ring *r, unsigned int slot, const struct ring_part *parts,
	      unsigned int n, void *table, uint64_t table_addr)
{
	const struct ring_part indirect = {
		table_addr, n * (uint32_t)sizeof(struct vring_desc), false
	};
	uint16_t more = table ? VRING_DESC_INDIRECT : 0;

	if (r->entries[slot] || n > RING_CHAIN_MAX)
		die("slot %u is not free", slot);
	if (table) {
		fill_table(r, table, parts, n);
		parts = &indirect;
		n = 1;
	}
	r->entries[slot] = (uint16_t)n;
	if (r->packed)
		add_packed(r, slot, parts, n, more);
	else
		add_split(r, slot, parts, n, more);
}

/* ---- kicks ---- */

static bool passed(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

static bool split_needs_kick(struct ring *r)
{
	uint16_t before = r->kicked;

	r->kicked = r->next_avail;
	if (before == r->next_avail)
		return false;
	if (!r->event_idx)
		return !(__atomic_load_n(&used(r)->flags, __ATOMIC_RELAXED) &
			 VRING_USED_NO_NOTIFY);
	return passed(__atomic_load_n(avail_event(r), __ATOMIC_RELAXED),
		      r->next_avail, before);
}

static bool packed_needs_kick(struct ring *r)
{
	union vring_packed_event e;
	uint16_t batch = r->batch, event;

	r->batch = 0;
	e.word = __atomic_load_n(&event_at(r, RING_DEVICE_AT)->word,
				 __ATOMIC_RELAXED);
	if (!batch || e.flags != VRING_PACKED_EVENT_DESC)
		return batch && e.flags != VRING_PACKED_EVENT_DISABLE;
	event = e.position & VRING_PACKED_INDEX;
	if (!(e.position & VRING_PACKED_WRAP) != !r->avail_wrap)
		event = (uint16_t)(event - RING_SIZE);
	return passed(event, r->next_avail, (uint16_t)(r->next_avail - batch));
}

bool ring_needs_kick(struct ring *r)
{
	/* What was added, before the look at what the device wants. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return r->packed ? packed_needs_kick(r) : split_needs_kick(r);
}

/* ---- up ---- */

static int take_split(struct ring *r, uint32_t *written)
{
	struct vring_used_elem e;

	if (__atomic_load_n(&used(r)->idx, __ATOMIC_ACQUIRE) == r->next_used)
		return -1;
	e = used(r)->ring[r->next_used++ % RING_SIZE];
	*written = e.len;
	if (e.id % RING_CHAIN_MAX || e.id >= RING_SIZE)
		die("a used element of no chain: %u", e.id);
	return (int)(e.id / RING_CHAIN_MAX);
}

static int take_packed(struct ring *r, uint32_t *written)
{
	struct vring_packed_desc *d = packed_desc(r) + r->next_used;
	uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
	bool a = flags & VRING_PACKED_DESC_AVAIL;
	bool u = flags & VRING_PACKED_DESC_USED;

	if (a != u || u != r->used_wrap)
		return -1;
	if (d->id >= RING_SLOTS || !r->entries[d->id])
		die("a used descriptor of nothing under way: %u", d->id);
	*written = d->len;
	step(&r->next_used, &r->used_wrap, r->entries[d->id]);
	return d->id;
}

int ring_take(struct ring *r, uint32_t *written)
{
	int slot = r->packed ? take_packed(r, written) : take_split(r, written);

	if (slot < 0)
		return -1;
	if (!r->entries[slot])
		die("slot %d was completed twice", slot);
	r->entries[slot] = 0;
	return slot;
}

void ring_arm(struct ring *r)
{
	union vring_packed_event e = { .flags = VRING_PACKED_EVENT_DESC };

	if (!r->event_idx)
		return;
	if (r->packed) {
		e.position = (uint16_t)(r->next_used |
					(r->used_wrap ? VRING_PACKED_WRAP : 0));
		__atomic_store_n(&event_at(r, RING_DRIVER_AT)->word, e.word,
				 __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(used_event(r), r->next_used, __ATOMIC_RELAXED);
	}
	/* Before the look that follows. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
