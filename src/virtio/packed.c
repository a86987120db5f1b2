/* SPDX-License-Identifier: MIT */
/*
 * The packed ring, VIRTIO 1.3, section 2.8; see virtio/queue.h.
 *
 * Driver and device write the same descriptors in turn. A position in the ring
 * is an index and the wrap counter of its round, which says what the AVAIL and
 * USED flags mean there.
 *
 * Happy path of one chain:
 *  - pop: see that the descriptor at our position is available, copy it and
 *    those that follow into the in-flight area, for the ring's may be written
 *    over by used ones before the chain is done; check them;
 *  - push: write the used descriptor; the first one of a batch is kept back;
 *  - publish: store that one with release, and all are seen.
 *
 * The in-flight area is a list of free entries. A pop takes entries off its
 * front, a publish puts all entries of its batch back. The order of the stores
 * is such that a process that dies after any of them leaves an area of which
 * recover() can tell what was in flight. What pop and publish need to know of
 * it they keep for themselves; recover() is in packed_recover.c.
 */
#include <assert.h>
#include <errno.h>

#include "virtio/chain.h"
#include "virtio/packed.h"
#include "virtio/ring.h"
#include "virtio/shared.h"

static void area_init(struct virtqueue *q)
{
	struct virtq_inflight_packed *in = q->inflight_packed;

	for (uint16_t i = 0; i < q->size; i++)
		in->desc[i].next = (uint16_t)(i + 1);
	in->desc_num = q->size;
	in->free.heads = 0;
	in->positions.word = packed_positions(q->used_next, q->used_next);
	shared_store_release(&in->version, 1);
}

int virtq_packed_start(struct virtqueue *q, uint32_t base)
{
	uint16_t avail = (uint16_t)base;
	uint16_t used = (uint16_t)(base >> 16);

	/* Some front ends have 16 bits: where it stopped, nothing in flight. */
	if (used == 0)
		used = avail;
	/* What was in flight is not known here: recover() knows. */
	if ((avail & VRING_PACKED_INDEX) >= q->size ||
	    (used & VRING_PACKED_INDEX) >= q->size)
		return -EINVAL;
	q->last_avail = avail;
	q->used_next = used;
	q->used_shown = used;
	q->held = 0;
	q->npushed = 0;
	q->batch = 0;
	q->free_head = 0;
	for (uint16_t i = 0; i < q->size; i++)
		q->next[i] = (uint16_t)(i + 1);
	if (q->inflight_packed->version == 0)
		area_init(q);
	return 0;
}

uint32_t virtq_packed_base(const struct virtqueue *q)
{
	return q->last_avail | (uint32_t)q->used_next << 16;
}

bool virtq_packed_pending(const struct virtqueue *q)
{
	uint16_t at = q->last_avail;

	return packed_is_available(
		shared_load(&q->packed_desc[at & VRING_PACKED_INDEX].flags),
		at);
}

/* A descriptor, read once, as the two words that it is. */
static inline struct vring_packed_desc
desc_load(const struct vring_packed_desc *at)
{
	return (struct vring_packed_desc){
		.addr = shared_load(&at->addr),
		.word = shared_load(&at->word),
	};
}

/* An indirect table, section 2.8.7: all entries in order, only WRITE counts. */
static int add_table(struct virtqueue *q, const struct vring_packed_desc *d,
		     struct virtq_builder *b)
{
	const struct vring_desc *table;
	int entries = virtq_chain_find_table(q, d->addr, d->len, &table);

	for (int i = 0; i < entries; i++) {
		const struct vring_packed_desc e =
			desc_load((const void *)&table[i]);

		if (!virtq_chain_add(b, e.addr, e.len,
				     e.flags & VRING_DESC_WRITE))
			return -EPROTO;
	}
	return entries < 0 ? entries : 0;
}

/* Add a copied descriptor, the `n`th of its chain: 0 or a negative errno. */
static inline int add(struct virtqueue *q, const struct vring_packed_desc *d,
		      unsigned int n, struct virtq_builder *b)
{
	if (!(d->flags & VRING_DESC_INDIRECT))
		return virtq_chain_add(b, d->addr, d->len,
				       d->flags & VRING_DESC_WRITE) ?
			       0 :
			       -EPROTO;
	if (!q->indirect || n > 1 || (d->flags & VRING_DESC_NEXT))
		return -EPROTO;
	return add_table(q, d, b);
}

static void note(struct virtq_packed_entry *entry,
		 const struct vring_packed_desc *d)
{
	entry->id = d->id;
	entry->flags = d->flags;
	entry->len = d->len;
	entry->addr = d->addr;
}

/*
 * Copy the chain at our position, noting its descriptors in free entries of the
 * in-flight area, which takes nothing yet. Fills `buffer`.
 */
static int walk(struct virtqueue *q, struct virtq_chain *chain,
		struct virtq_buffer *buffer)
{
	struct virtq_builder b = virtq_chain_begin(q);
	unsigned int room = (unsigned int)(q->size - q->held);
	unsigned int at = q->last_avail & VRING_PACKED_INDEX;
	uint16_t entry = q->free_head;

	buffer->entry = entry;
	for (unsigned int n = 1; n <= room; n++) {
		struct vring_packed_desc d = desc_load(&q->packed_desc[at]);
		int r = add(q, &d, n, &b);

		if (r)
			return r;
		note(&q->inflight_packed->desc[entry], &d);
		if (!(d.flags & VRING_DESC_NEXT)) {
			buffer->last = entry;
			buffer->num = (uint16_t)n;
			return virtq_chain_end(q, &b, d.id, chain);
		}
		entry = q->next[entry];
		if (++at == q->size)
			at = 0;
	}
	return room ? -ELOOP : -ERANGE;
}

/* Note the chain as in flight, with the descriptors that walk() has left. */
static void take(struct virtqueue *q, uint16_t id,
		 const struct virtq_buffer *buffer)
{
	struct virtq_inflight_packed *in = q->inflight_packed;
	struct virtq_packed_entry *entry = &in->desc[buffer->entry];

	q->buffer[id] = *buffer;
	virtq_set_busy(q, id, VIRTQ_POPPED);
	entry->last = buffer->last;
	entry->num = buffer->num;
	entry->counter = ++q->counter;
	entry->inflight = 1;
	q->free_head = q->next[buffer->last];
	/* From here on it is. */
	shared_store_release(&in->free.heads, packed_free_heads(q->free_head));
	q->last_avail = packed_advance(q, q->last_avail, buffer->num);
	q->held = (uint16_t)(q->held + buffer->num);
	q->in_flight++;
}

int virtq_packed_pop(struct virtqueue *q, struct virtq_chain *chain)
{
	uint16_t at = q->last_avail;
	struct virtq_buffer buffer;
	int r;

	q->starved = false;
	/*
	 * Pairs with the driver's write barrier before it stores the flags of
	 * the first descriptor of a chain: all the rest is read after it.
	 */
	if (!packed_is_available(
		    shared_load_acquire(
			    &q->packed_desc[at & VRING_PACKED_INDEX].flags),
		    at))
		return 0;
	r = walk(q, chain, &buffer);
	if (r == -EAGAIN) {
		q->starved = true;
		return 0;
	}
	if (r)
		return virtq_broken(q, r);
	if (chain->head >= q->size || virtq_busy(q, chain->head))
		return virtq_broken(q, -ERANGE);
	take(q, chain->head, &buffer);
	return 1;
}

void virtq_packed_unpop(struct virtqueue *q, uint16_t id)
{
	struct virtq_inflight_packed *in = q->inflight_packed;
	const struct virtq_buffer *buffer = &q->buffer[id];

	assert(virtq_busy(q, id) && q->in_flight);
	virtq_set_busy(q, id, VIRTQ_IDLE);
	/* Others may have become free since. */
	q->next[buffer->last] = q->free_head;
	in->desc[buffer->last].next = q->free_head;
	q->free_head = buffer->entry;
	/* First free, then not in flight: recover() clears what is free. */
	shared_store_release(&in->free.heads, packed_free_heads(q->free_head));
	shared_order();
	shared_store(&in->desc[buffer->entry].inflight, 0);
	q->last_avail = packed_retreat(q, q->last_avail, buffer->num);
	q->held = (uint16_t)(q->held - buffer->num);
	q->in_flight--;
	q->starved = true;
}

void virtq_packed_push(struct virtqueue *q, uint16_t id, uint32_t len)
{
	const struct vring_packed_desc answer = {
		.len = len,
		.id = id,
		/* Section 2.8.6: WRITE says that len means something. */
		.flags = (uint16_t)(packed_used_flags(q->used_next) |
				    (len ? VRING_DESC_WRITE : 0)),
	};
	uint16_t num = q->buffer[id].num;

	if (q->npushed == 0)
		q->first = answer.word;
	else
		shared_store(
			&q->packed_desc[q->used_next & VRING_PACKED_INDEX].word,
			answer.word);
	q->pushed[q->npushed++] = id;
	q->used_next = packed_advance(q, q->used_next, num);
	q->batch = (uint16_t)(q->batch + num);
	q->in_flight--;
}

/* Make ready for the batch: what recover() takes up once its first is shown. */
static void batch_prepare(struct virtqueue *q)
{
	struct virtq_inflight_packed *in = q->inflight_packed;

	for (uint16_t i = 0; i < q->npushed; i++) {
		const struct virtq_buffer *b = &q->buffer[q->pushed[i]];

		q->next[b->last] = q->free_head;
		in->desc[b->last].next = q->free_head;
		q->free_head = b->entry;
	}
	shared_store(&in->free.head, q->free_head);
	shared_store(&in->positions.word,
		     packed_positions(q->used_next, q->used_shown));
}

/* Forget the batch, which has been shown, as in flight. */
static void batch_clear(struct virtqueue *q)
{
	struct virtq_inflight_packed *in = q->inflight_packed;

	for (uint16_t i = 0; i < q->npushed; i++) {
		uint16_t id = q->pushed[i];

		virtq_set_busy(q, id, VIRTQ_IDLE);
		shared_store(&in->desc[q->buffer[id].entry].inflight, 0);
	}
	shared_store_release(&in->free.heads, packed_free_heads(q->free_head));
	/*
	 * Last: as long as the positions differ, recover() does it all again.
	 */
	shared_store_release(&in->positions.word,
			     packed_positions(q->used_next, q->used_next));
	q->used_shown = q->used_next;
	q->held = (uint16_t)(q->held - q->batch);
	q->npushed = 0;
	q->batch = 0;
}

static bool wants_notification(const struct virtqueue *q, uint16_t batch)
{
	union vring_packed_event event;
	uint16_t new = q->used_shown &VRING_PACKED_INDEX;
	uint16_t at;

	/*
	 * The store of the first used descriptor comes before the load of what
	 * the driver wants. Pairs with the driver's barrier between storing its
	 * event and looking at the ring once more.
	 */
	shared_fence();
	event.word = shared_load(&q->driver_event->word);
	if (event.flags == VRING_PACKED_EVENT_DISABLE)
		return false;
	if (event.flags != VRING_PACKED_EVENT_DESC || !q->event_idx)
		return true;
	at = event.position & VRING_PACKED_INDEX;
	if ((event.position ^ q->used_shown) & VRING_PACKED_WRAP)
		at = (uint16_t)(at - q->size); /* of the round before */
	return virtq_passes(at, (uint16_t)(new - batch), new);
}

/* Tell the memory that a part of the ring has been written. */
static void wrote(const struct virtqueue *q, const void *part, uint64_t len)
{
	guest_memory_written(q->mem, part, len);
}

bool virtq_packed_publish(struct virtqueue *q)
{
	uint16_t batch = q->batch;
	uint16_t at = q->used_shown & VRING_PACKED_INDEX;
	bool notify;

	batch_prepare(q);
	/*
	 * The used descriptors behind it, and data, before the first one. Pairs
	 * with the driver's read barrier between loading the flags and reading
	 * the rest.
	 */
	shared_store_release(&q->packed_desc[at].word, q->first);
	shared_order();
	wrote(q, q->packed_desc, vring_packed_desc_bytes(q->size));
	batch_clear(q);
	notify = wants_notification(q, batch);
	shared_store(&q->notifications, q->notifications + notify);
	return notify;
}

static void set_event(struct virtqueue *q, uint16_t position, uint16_t flags)
{
	const union vring_packed_event event = {
		.position = position,
		.flags = flags,
	};

	shared_store(&q->device_event->word, event.word);
	wrote(q, q->device_event, sizeof(event));
}

void virtq_packed_notify_off(struct virtqueue *q)
{
	/* With EVENT_IDX a position left behind does it, but for a while. */
	if (!q->event_idx)
		set_event(q, 0, VRING_PACKED_EVENT_DISABLE);
}

void virtq_packed_notify_on(struct virtqueue *q)
{
	if (q->event_idx)
		set_event(q, q->last_avail, VRING_PACKED_EVENT_DESC);
	else
		set_event(q, 0, VRING_PACKED_EVENT_ENABLE);
}

uint64_t virtq_packed_counter(const struct virtqueue *q, uint16_t id)
{
	uint16_t entry = q->buffer[id].entry;

	return shared_load(&q->inflight_packed->desc[entry].counter);
}

int virtq_packed_rewalk(struct virtqueue *q, uint16_t id,
			struct virtq_chain *chain)
{
	const struct virtq_buffer *buffer = &q->buffer[id];
	struct virtq_builder b = virtq_chain_begin(q);
	uint16_t at = buffer->entry;

	for (unsigned int n = 1; n <= buffer->num; n++) {
		const struct virtq_packed_entry *e =
			&q->inflight_packed->desc[at];
		const struct vring_packed_desc d = {
			.addr = shared_load(&e->addr),
			.len = shared_load(&e->len),
			.flags = shared_load(&e->flags),
		};
		int r = add(q, &d, n, &b);

		if (r)
			return r;
		at = q->next[at];
	}
	return virtq_chain_end(q, &b, id, chain);
}
