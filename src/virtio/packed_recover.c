/* SPDX-License-Identifier: MIT */
/*
 * Taking a packed ring over from a process that served it; see virtio/queue.h.
 *
 * The in-flight area tells by its two used positions whether the last batch was
 * complete; if it was not, the ring tells whether it was shown. What is on the
 * free list that belongs to that is not in flight, everything else is.
 *
 * Failure: of an area that does not add up nothing is believed. The memory may
 * be shared with a front end, so what is walked is copied first.
 */
#include <errno.h>
#include <string.h>

#include "virtio/packed.h"
#include "virtio/ring.h"
#include "virtio/shared.h"

/*
 * The last batch was shown if its first descriptor is not available any more:
 * it is used, or available again in the next round.
 */
static bool batch_was_shown(const struct virtqueue *q, uint16_t old)
{
	uint16_t flags =
		shared_load(&q->packed_desc[old & VRING_PACKED_INDEX].flags);

	return !packed_is_available(flags, old);
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
	if (buffer.num == 0 || id >= q->size || virtq_busy(q, id) != VIRTQ_IDLE)
		return -EINVAL;
	q->buffer[id] = buffer;
	virtq_set_busy(q, id, VIRTQ_RECOVERED);
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
		uint16_t *flags =
			&q->packed_desc[at & VRING_PACKED_INDEX].flags;

		if ((shared_load(flags) & PACKED_AVAIL_USED) ==
		    packed_used_flags(at))
			shared_store(flags, packed_available_flags(at));
		at = packed_advance(q, at, 1);
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
	shared_store_release(&in->free.heads, packed_free_heads(head));
	shared_store_release(&in->positions.word,
			     packed_positions((uint16_t)used, (uint16_t)used));
	q->used_next = (uint16_t)used;
	q->used_shown = (uint16_t)used;
	q->held = (uint16_t)held;
	q->last_avail = packed_advance(q, (uint16_t)used, (uint16_t)held);
	recover_ring(q);
	return q->in_flight;
}
