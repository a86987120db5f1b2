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
 * it they keep for themselves.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "virtio/chain.h"
#include "virtio/ring.h"
#include "virtio/shared.h"

/* A position: index, and the wrap counter as the driver's event has it. */
#define INDEX VRING_PACKED_INDEX
#define WRAP VRING_PACKED_WRAP

#define AVAIL_USED (VRING_PACKED_DESC_AVAIL | VRING_PACKED_DESC_USED)

static uint16_t advance(const struct virtqueue *q, uint16_t position,
			uint16_t n)
{
	uint16_t index = (uint16_t)((position & INDEX) + n);
	uint16_t wrap = position & WRAP;

	if (index >= q->size) {
		index = (uint16_t)(index - q->size);
		wrap ^= WRAP;
	}
	return index | wrap;
}

static uint16_t retreat(const struct virtqueue *q, uint16_t position,
			uint16_t n)
{
	/* A round further back there is the same index with the other wrap. */
	return advance(q, position ^ WRAP, (uint16_t)(q->size - n));
}

/* The AVAIL and USED flags of an available descriptor at `position`. */
static uint16_t available_flags(uint16_t position)
{
	return position & WRAP ? VRING_PACKED_DESC_AVAIL :
				 VRING_PACKED_DESC_USED;
}

static uint16_t used_flags(uint16_t position)
{
	return position & WRAP ? AVAIL_USED : 0;
}

static bool is_available(uint16_t flags, uint16_t position)
{
	return (flags & AVAIL_USED) == available_flags(position);
}

/* The used positions of the in-flight area, as one store. */
static uint64_t positions(uint16_t used, uint16_t old)
{
	const union virtq_packed_positions p = {
		.used_idx = used & INDEX,
		.old_used_idx = old & INDEX,
		.used_wrap = (uint8_t)(used >> 15),
		.old_used_wrap = (uint8_t)(old >> 15),
	};

	return p.word;
}

/* Both ends of what happens to the free list, as one store. */
static uint32_t free_heads(uint16_t head)
{
	return head | (uint32_t)head << 16;
}

static void area_init(struct virtqueue *q)
{
	struct virtq_inflight_packed *in = q->inflight_packed;

	for (uint16_t i = 0; i < q->size; i++)
		in->desc[i].next = (uint16_t)(i + 1);
	in->desc_num = q->size;
	in->free.heads = 0;
	in->positions.word = positions(q->used_next, q->used_next);
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
	if ((avail & INDEX) >= q->size || (used & INDEX) >= q->size)
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

	return is_available(shared_load(&q->packed_desc[at & INDEX].flags), at);
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
	unsigned int at = q->last_avail & INDEX;
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
	q->busy[id] = VIRTQ_POPPED;
	entry->last = buffer->last;
	entry->num = buffer->num;
	entry->counter = ++q->counter;
	entry->inflight = 1;
	q->free_head = q->next[buffer->last];
	/* From here on it is. */
	shared_store_release(&in->free.heads, free_heads(q->free_head));
	q->last_avail = advance(q, q->last_avail, buffer->num);
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
	if (!is_available(
		    shared_load_acquire(&q->packed_desc[at & INDEX].flags), at))
		return 0;
	r = walk(q, chain, &buffer);
	if (r == -EAGAIN) {
		q->starved = true;
		return 0;
	}
	if (r)
		return virtq_broken(q, r);
	if (chain->head >= q->size || q->busy[chain->head])
		return virtq_broken(q, -ERANGE);
	take(q, chain->head, &buffer);
	return 1;
}

void virtq_packed_unpop(struct virtqueue *q, uint16_t id)
{
	struct virtq_inflight_packed *in = q->inflight_packed;
	const struct virtq_buffer *buffer = &q->buffer[id];

	assert(q->busy[id] && q->in_flight);
	q->busy[id] = VIRTQ_IDLE;
	/* Others may have become free since. */
	q->next[buffer->last] = q->free_head;
	in->desc[buffer->last].next = q->free_head;
	q->free_head = buffer->entry;
	/* First free, then not in flight: recover() clears what is free. */
	shared_store_release(&in->free.heads, free_heads(q->free_head));
	shared_order();
	shared_store(&in->desc[buffer->entry].inflight, 0);
	q->last_avail = retreat(q, q->last_avail, buffer->num);
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
		.flags = (uint16_t)(used_flags(q->used_next) |
				    (len ? VRING_DESC_WRITE : 0)),
	};
	uint16_t num = q->buffer[id].num;

	if (q->npushed == 0)
		q->first = answer.word;
	else
		shared_store(&q->packed_desc[q->used_next & INDEX].word,
			     answer.word);
	q->pushed[q->npushed++] = id;
	q->used_next = advance(q, q->used_next, num);
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
		     positions(q->used_next, q->used_shown));
}

/* Forget the batch, which has been shown, as in flight. */
static void batch_clear(struct virtqueue *q)
{
	struct virtq_inflight_packed *in = q->inflight_packed;

	for (uint16_t i = 0; i < q->npushed; i++) {
		uint16_t id = q->pushed[i];

		q->busy[id] = VIRTQ_IDLE;
		shared_store(&in->desc[q->buffer[id].entry].inflight, 0);
	}
	shared_store_release(&in->free.heads, free_heads(q->free_head));
	/*
	 * Last: as long as the positions differ, recover() does it all again.
	 */
	shared_store_release(&in->positions.word,
			     positions(q->used_next, q->used_next));
	q->used_shown = q->used_next;
	q->held = (uint16_t)(q->held - q->batch);
	q->npushed = 0;
	q->batch = 0;
}

static bool wants_notification(const struct virtqueue *q, uint16_t batch)
{
	union vring_packed_event event;
	uint16_t new = q->used_shown &INDEX;
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
	at = event.position & INDEX;
	if ((event.position ^ q->used_shown) & WRAP)
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
	uint16_t at = q->used_shown & INDEX;
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
	q->notifications += notify;
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

/* ---- taking over from another process ------------------------------------ */

/*
 * The last batch was shown if its first descriptor is not available any more:
 * it is used, or available again in the next round.
 */
static bool batch_was_shown(const struct virtqueue *q, uint16_t old)
{
	uint16_t flags = shared_load(&q->packed_desc[old & INDEX].flags);

	return !is_available(flags, old);
}

/* Where the last complete batch ended: a position, or a negative errno. */
static int recover_used(struct virtqueue *q, uint16_t *free_head)
{
	struct virtq_inflight_packed *in = q->inflight_packed;
	union virtq_packed_positions p;
	union virtq_packed_free list;
	uint16_t used, old;

	p.word = shared_load(&in->positions.word);
	list.heads = shared_load(&in->free.heads);
	if (p.used_idx >= q->size || p.old_used_idx >= q->size ||
	    p.used_wrap > 1 || p.old_used_wrap > 1)
		return -EINVAL;
	used = (uint16_t)(p.used_idx | p.used_wrap << 15);
	old = (uint16_t)(p.old_used_idx | p.old_used_wrap << 15);
	if (used == old || !batch_was_shown(q, old)) {
		*free_head = list.old_head;
		return old;
	}
	*free_head = list.head;
	return used;
}

/* Walk the free list: nothing on it is in flight. Marks what it sees. */
static int recover_free(struct virtqueue *q, uint16_t head, bool *seen)
{
	struct virtq_inflight_packed *in = q->inflight_packed;
	unsigned int n = 0;

	while (head < q->size) {
		if (seen[head])
			return -EINVAL;
		seen[head] = true;
		shared_store(&in->desc[head].inflight, 0);
		head = q->next[head];
		n++;
	}
	return (int)n;
}

/* The chain whose first entry is `head`: its length, or a negative errno. */
static int recover_chain(struct virtqueue *q, uint16_t head, bool *seen)
{
	const struct virtq_packed_entry *entry =
		&q->inflight_packed->desc[head];
	struct virtq_buffer buffer = {
		.entry = head,
		.num = shared_load(&entry->num),
	};
	uint64_t counter = shared_load(&entry->counter);
	uint16_t id;

	for (uint16_t n = 0; n < buffer.num; n++) {
		if (head >= q->size || seen[head])
			return -EINVAL;
		seen[head] = true;
		buffer.last = head;
		head = q->next[head];
	}
	id = shared_load(&q->inflight_packed->desc[buffer.last].id);
	if (buffer.num == 0 || id >= q->size || q->busy[id] != VIRTQ_IDLE)
		return -EINVAL;
	q->buffer[id] = buffer;
	q->busy[id] = VIRTQ_RECOVERED;
	q->in_flight++;
	if (counter > q->counter)
		q->counter = counter;
	return buffer.num;
}

/* All entries that are not free belong to chains: descriptors in flight. */
static int recover_chains(struct virtqueue *q, bool *seen)
{
	int held = 0;

	for (uint16_t i = 0; i < q->size; i++) {
		int n;

		if (seen[i] ||
		    !shared_load(&q->inflight_packed->desc[i].inflight))
			continue;
		n = recover_chain(q, i, seen);
		if (n < 0)
			return n;
		held += n;
	}
	return held;
}

/*
 * A process that died with an unfinished batch has left used descriptors behind
 * the one that would have shown them. The driver has not seen them, and must
 * not when we use what is before them: they are available again.
 */
static void recover_ring(struct virtqueue *q)
{
	uint16_t at = q->used_next;

	for (uint16_t n = q->held; n; n--) {
		uint16_t *flags = &q->packed_desc[at & INDEX].flags;

		if ((shared_load(flags) & AVAIL_USED) == used_flags(at))
			shared_store(flags, available_flags(at));
		at = advance(q, at, 1);
	}
}

int virtq_packed_recover(struct virtqueue *q)
{
	struct virtq_inflight_packed *in = q->inflight_packed;
	/* Scratch for popped chains, of which there are none yet. */
	bool *seen = (bool *)q->ranges;
	uint16_t head = 0;
	int used, nfree, held;

	if (in->version != 1 || in->desc_num != q->size)
		return -EINVAL;
	used = recover_used(q, &head);
	if (used < 0)
		return used;
	memset(seen, 0, q->size * sizeof(*seen));
	for (uint16_t i = 0; i < q->size; i++)
		q->next[i] = shared_load(&in->desc[i].next);
	nfree = recover_free(q, head, seen);
	held = nfree < 0 ? nfree : recover_chains(q, seen);
	if (held < 0 || nfree + held != q->size) {
		q->in_flight = 0;
		return -EINVAL;
	}
	q->free_head = head;
	shared_store_release(&in->free.heads, free_heads(head));
	shared_store_release(&in->positions.word,
			     positions((uint16_t)used, (uint16_t)used));
	q->used_next = (uint16_t)used;
	q->used_shown = (uint16_t)used;
	q->held = (uint16_t)held;
	q->last_avail = advance(q, (uint16_t)used, (uint16_t)held);
	recover_ring(q);
	return q->in_flight;
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
