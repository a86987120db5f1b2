/* SPDX-License-Identifier: MIT */
/*
 * The split ring, VIRTIO 1.3, section 2.7; see virtio/queue.h.
 *
 * Happy path of one chain:
 *  - pop: see that avail.idx moved, read the head, note it as in flight, copy
 *    its descriptors, each read once, check them;
 *  - the caller maps the ranges and does the work;
 *  - push: write the used element;
 *  - publish: one release store of used.idx for all elements, forget them as in
 *    flight, decide about one notification.
 */
#include <assert.h>
#include <errno.h>

#include "virtio/chain.h"
#include "virtio/ring.h"
#include "virtio/shared.h"

static uint16_t mask(const struct virtqueue *q)
{
	return (uint16_t)(q->size - 1);
}

static uint16_t *used_event(const struct virtqueue *q)
{
	return &q->avail->ring[q->size];
}

static uint16_t *avail_event(const struct virtqueue *q)
{
	return (uint16_t *)&q->used->ring[q->size];
}

int virtq_split_start(struct virtqueue *q, uint32_t base)
{
	struct virtq_inflight *in = q->inflight;
	uint16_t at = (uint16_t)base;

	if (q->size & (q->size - 1))
		return -EINVAL;
	q->last_avail = at;
	q->avail_seen = at;
	/* Where a fresh ring and a stopped one both stand. */
	q->used_next = at;
	q->used_shown = at;
	if (in->version == 0) {
		in->desc_num = q->size;
		in->used_idx = at;
		/* Last: from here on it is believed. */
		shared_store_release(&in->version, 1);
	}
	return 0;
}

uint32_t virtq_split_base(const struct virtqueue *q)
{
	return q->last_avail;
}

bool virtq_split_pending(const struct virtqueue *q)
{
	return shared_load(&q->avail->idx) != q->last_avail;
}

/* Read avail.idx anew: 1 if chains are there, 0 if none, or -ERANGE. */
static int look(struct virtqueue *q)
{
	/*
	 * Pairs with the driver's write barrier between filling the ring and
	 * storing avail.idx: entries and descriptors are read after it.
	 */
	uint16_t idx = shared_load_acquire(&q->avail->idx);
	uint16_t ahead = (uint16_t)(idx - q->last_avail);

	if (ahead > q->size)
		return -ERANGE;
	q->avail_seen = idx;
	return ahead != 0;
}

/* A descriptor, read once, as the two words that it is. */
static inline struct vring_desc desc_load(const struct vring_desc *at)
{
	const uint64_t *words = (const uint64_t *)at;
	uint64_t rest = shared_load(&words[1]);

	return (struct vring_desc){
		.addr = shared_load(&words[0]),
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

/*
 * Walk a table of `n` descriptors from entry `i` on, each copied once. 0 at the
 * end of the chain, 1 for one that points to an indirect table, which is stored
 * in `pointing`, or a negative errno.
 */
static inline int walk_list(const struct vring_desc *table, unsigned int n,
			    unsigned int i, struct virtq_builder *into,
			    struct vring_desc *pointing)
{
	struct virtq_builder b = *into;

	for (unsigned int left = n; left; left--) {
		struct vring_desc d = desc_load(&table[i]);

		if (d.flags & VRING_DESC_INDIRECT) {
			*pointing = d;
			*into = b;
			return 1;
		}
		if (!virtq_chain_add(&b, d.addr, d.len,
				     d.flags & VRING_DESC_WRITE))
			return -EPROTO;
		if (!(d.flags & VRING_DESC_NEXT)) {
			*into = b;
			return 0;
		}
		i = d.next;
		if (i >= n)
			return -ERANGE;
	}
	return -ELOOP;
}

/* Walk an indirect table. */
static int walk_table(struct virtqueue *q, const struct vring_desc *pointing,
		      struct virtq_builder *b)
{
	const struct vring_desc *table;
	struct vring_desc d;
	int entries;
	int r;

	if (!q->indirect || (pointing->flags & VRING_DESC_NEXT))
		return -EPROTO;
	entries = virtq_chain_find_table(q, pointing->addr, pointing->len,
					 &table);
	if (entries < 0)
		return entries;
	r = walk_list(table, (unsigned int)entries, 0, b, &d);
	return r == 1 ? -EPROTO : r; /* section 2.7.5.3.1: not nested */
}

/* Copy the chain that starts at `head` out of the guest's memory. */
static int walk(struct virtqueue *q, uint16_t head, struct virtq_chain *chain)
{
	struct virtq_builder b = virtq_chain_begin(q);
	struct vring_desc d;
	int r = walk_list(q->desc, q->size, head, &b, &d);

	if (r == 1)
		r = walk_table(q, &d, &b);
	return r ? r : virtq_chain_end(q, &b, head, chain);
}

/* Note the chain at `head` as in flight. */
static void take(struct virtqueue *q, uint16_t head)
{
	struct virtq_inflight_entry *entry = &q->inflight->desc[head];

	virtq_set_busy(q, head, VIRTQ_POPPED);
	entry->counter = ++q->counter;
	shared_store_release(&entry->inflight, 1);
	q->last_avail++;
	q->in_flight++;
}

int virtq_split_pop(struct virtqueue *q, struct virtq_chain *chain)
{
	uint16_t head;
	int r;

	q->starved = false;
	if (q->last_avail == q->avail_seen) {
		r = look(q);
		if (r <= 0)
			return r ? virtq_broken(q, r) : 0;
	}
	head = shared_load(&q->avail->ring[q->last_avail & mask(q)]);
	if (head >= q->size || virtq_busy(q, head))
		return virtq_broken(q, -ERANGE);
	r = walk(q, head, chain);
	if (r == -EAGAIN) {
		q->starved = true;
		return 0;
	}
	if (r)
		return virtq_broken(q, r);
	take(q, head);
	return 1;
}

void virtq_split_unpop(struct virtqueue *q, uint16_t head)
{
	assert(virtq_busy(q, head) && q->in_flight);
	virtq_set_busy(q, head, VIRTQ_IDLE);
	shared_store(&q->inflight->desc[head].inflight, 0);
	q->last_avail--;
	q->in_flight--;
	q->starved = true;
}

void virtq_split_push(struct virtqueue *q, uint16_t head, uint32_t len)
{
	uint16_t slot = q->used_next & mask(q);
	struct vring_used_elem *elem = &q->used->ring[slot];
	struct virtq_inflight *in = q->inflight;

	shared_store(&elem->id, head);
	shared_store(&elem->len, len);
	/* For the process after this one: the batch as a list, newest first. */
	in->desc[head].next = q->batch_head;
	shared_store(&in->last_batch_head, head);
	q->batch_head = head;
	q->pushed[slot] = head;
	q->used_next++;
	q->in_flight--;
}

/* Forget what was pushed from position `from` on as in flight. */
static void batch_clear(struct virtqueue *q, uint16_t from)
{
	for (uint16_t i = from; i != q->used_next; i++) {
		uint16_t head = q->pushed[i & mask(q)];

		virtq_set_busy(q, head, VIRTQ_IDLE);
		shared_store(&q->inflight->desc[head].inflight, 0);
	}
}

static bool wants_notification(const struct virtqueue *q, uint16_t old)
{
	/*
	 * The store of used.idx comes before the load of what the driver wants.
	 * Pairs with the driver's barrier between storing used_event (or
	 * clearing NO_INTERRUPT) and looking at used.idx once more.
	 */
	shared_fence();
	if (q->event_idx)
		return virtq_passes(shared_load(used_event(q)), old,
				    q->used_shown);
	return !(shared_load(&q->avail->flags) & VRING_AVAIL_NO_INTERRUPT);
}

/* Tell the memory that the used ring has been written. */
static void wrote_used(const struct virtqueue *q)
{
	guest_memory_written(q->mem, q->used, vring_used_bytes(q->size));
}

bool virtq_split_publish(struct virtqueue *q)
{
	uint16_t old = q->used_shown;
	bool notify;

	/*
	 * Elements and data before the index. Pairs with the driver's read
	 * barrier between loading used.idx and reading the elements.
	 */
	shared_store_release(&q->used->idx, q->used_next);
	q->used_shown = q->used_next;
	wrote_used(q);
	batch_clear(q, old);
	shared_store_release(&q->inflight->used_idx, q->used_next);
	notify = wants_notification(q, old);
	shared_store(&q->notifications, q->notifications + notify);
	return notify;
}

void virtq_split_notify_off(struct virtqueue *q)
{
	/*
	 * With EVENT_IDX an avail_event left behind does it: the driver
	 * notifies only when it passes that position.
	 */
	if (q->event_idx)
		return;
	shared_store(&q->used->flags, VRING_USED_NO_NOTIFY);
	wrote_used(q);
}

void virtq_split_notify_on(struct virtqueue *q)
{
	if (q->event_idx)
		shared_store(avail_event(q), q->last_avail);
	else
		shared_store(&q->used->flags, 0);
	wrote_used(q);
}

/* Drop the entries of a batch that was shown before its owner forgot it. */
static void recover_batch(struct virtqueue *q, uint16_t n)
{
	struct virtq_inflight_entry *desc = q->inflight->desc;
	uint16_t i = q->inflight->last_batch_head;

	for (; n; n--) {
		i &= mask(q);
		desc[i].inflight = 0;
		i = desc[i].next;
	}
}

int virtq_split_recover(struct virtqueue *q)
{
	struct virtq_inflight *in = q->inflight;
	uint16_t used = shared_load(&q->used->idx);
	uint16_t batch = (uint16_t)(used - in->used_idx);

	if (in->version != 1 || in->desc_num != q->size || batch > q->size)
		return -EINVAL;
	recover_batch(q, batch);
	in->used_idx = used;
	q->used_next = used;
	q->used_shown = used;
	q->in_flight = 0;
	for (uint16_t i = 0; i < q->size; i++) {
		uint64_t counter = in->desc[i].counter;

		if (!in->desc[i].inflight)
			continue;
		virtq_set_busy(q, i, VIRTQ_RECOVERED);
		q->in_flight++;
		if (counter > q->counter)
			q->counter = counter;
	}
	q->last_avail = (uint16_t)(used + q->in_flight);
	q->avail_seen = q->last_avail;
	return q->in_flight;
}

uint16_t virtq_split_continue_used(struct virtqueue *q)
{
	uint16_t used = shared_load(&q->used->idx);
	uint16_t lost = (uint16_t)(q->last_avail - used);

	q->used_next = used;
	q->used_shown = used;
	q->inflight->used_idx = used;
	/* More than the ring holds: it is no position of this ring. */
	return lost > q->size ? 0 : lost;
}

uint64_t virtq_split_counter(const struct virtqueue *q, uint16_t head)
{
	return shared_load(&q->inflight->desc[head].counter);
}

int virtq_split_rewalk(struct virtqueue *q, uint16_t head,
		       struct virtq_chain *chain)
{
	return walk(q, head, chain);
}
