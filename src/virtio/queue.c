/* SPDX-License-Identifier: MIT */
/*
 * The device side of a split virtqueue; see virtio/queue.h.
 *
 * Happy path of one chain:
 *  - pop: see that avail.idx moved, read the head, note it as in flight, copy
 *    its descriptors (an indirect table is copied as a whole), check them;
 *  - the caller maps the ranges and does the work;
 *  - push: write the used element;
 *  - publish: one release store of used.idx for all elements, forget them as in
 *    flight, decide about one notification.
 *
 * Failure: a ring that breaks the rules makes the queue broken, for good. There
 * is no way to tell what else of such a ring can be trusted.
 */
#include "virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "virtio/shared.h"

enum {
	/* Pieces that an indirect table may fall into when it is mapped. */
	TABLE_PIECES_MAX = 8,
};

/* What virtqueue.busy tells of a head. */
enum busy {
	IDLE,
	POPPED,
	RECOVERED,	/* popped by the process before, to be popped again */
};

/* A chain may have as many bytes as 32 bits can tell, section 2.7.5.1. */
#define CHAIN_BYTES_MAX UINT64_C(0xffffffff)

static uint16_t mask(const struct virtqueue *q)
{
	return (uint16_t)(q->size - 1);
}

static bool aligned(const void *p, uintptr_t to)
{
	return ((uintptr_t)p & (to - 1)) == 0;
}

size_t virtqueue_scratch_bytes(uint16_t size_max)
{
	return size_max * (sizeof(struct vring_desc) +
			   2 * sizeof(struct guest_range) +
			   sizeof(uint16_t) + sizeof(uint8_t));
}

void virtqueue_init(struct virtqueue *q, uint16_t size_max, void *scratch,
		    struct guest_memory *mem)
{
	assert(size_max > 0 && size_max <= VIRTQUEUE_SIZE_MAX);
	assert((size_max & (size_max - 1)) == 0);
	memset(q, 0, sizeof(*q));
	q->size_max = size_max;
	q->table = scratch;
	/* Direct descriptors and an indirect table after them. */
	q->ranges = (struct guest_range *)(q->table + size_max);
	q->pushed = (uint16_t *)(q->ranges + 2 * (size_t)size_max);
	q->busy = (uint8_t *)(q->pushed + size_max);
	q->mem = mem;
}

int virtqueue_start(struct virtqueue *q, const struct virtq_rings *rings,
		    uint16_t size, uint64_t features, uint16_t base,
		    struct virtq_inflight *inflight)
{
	assert(!q->running);
	if (size == 0 || size > q->size_max || (size & (size - 1)))
		return -EINVAL;
	if (!aligned(rings->desc, 16) || !aligned(rings->avail, 2) ||
	    !aligned(rings->used, 4))
		return -EINVAL;
	q->size = size;
	q->desc = rings->desc;
	q->avail = rings->avail;
	q->used = rings->used;
	q->event_idx = features & VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	q->indirect = features & VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC);
	q->inflight = inflight;
	q->last_avail = base;
	q->avail_seen = base;
	/* Where a fresh ring and a stopped one both stand. */
	q->used_next = base;
	q->used_shown = base;
	q->in_flight = 0;
	q->counter = 0;
	q->starved = false;
	memset(q->busy, 0, q->size_max);
	q->broken = false;
	q->paused = false;
	q->running = true;
	if (inflight->version == 0) {
		inflight->version = 1;
		inflight->desc_num = size;
		inflight->used_idx = base;
	}
	return 0;
}

void virtqueue_stop(struct virtqueue *q)
{
	assert(q->in_flight == 0);
	q->running = false;
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	q->inflight = NULL;
}

static uint16_t *used_event(const struct virtqueue *q)
{
	return &q->avail->ring[q->size];
}

static uint16_t *avail_event(const struct virtqueue *q)
{
	return (uint16_t *)&q->used->ring[q->size];
}

static int broken(struct virtqueue *q, int reason)
{
	q->broken = true;
	return reason;
}

bool virtqueue_pending(const struct virtqueue *q)
{
	return q->running && !q->broken && !q->paused &&
	       shared_load(&q->avail->idx) != q->last_avail;
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

/* Append a copied descriptor to the chain: 0 or a negative errno. */
static inline int chain_add(struct virtq_chain *chain,
			    const struct vring_desc *d, unsigned int max)
{
	bool writable = d->flags & VRING_DESC_WRITE;

	if (!writable && chain->writable_bytes)
		return -EPROTO;	/* section 2.7.4.2: readable ones first */
	if (chain->readable_bytes + chain->writable_bytes + d->len >
	    CHAIN_BYTES_MAX)
		return -E2BIG;
	if (d->len == 0)
		return 0;
	if (chain->n == max)
		return -E2BIG;
	chain->ranges[chain->n].addr = d->addr;
	chain->ranges[chain->n].len = d->len;
	chain->n++;
	if (writable) {
		chain->writable_bytes += d->len;
	} else {
		chain->readable_bytes += d->len;
		chain->readable = chain->n;
	}
	return 0;
}

/*
 * Walk a table of `n` descriptors from entry `i` on, each copied once. 0 at the
 * end of the chain, 1 for one that points to an indirect table, which is stored
 * in `d`, or a negative errno. The chain is worked on in a local copy, which
 * the compiler can keep in registers.
 */
static inline int walk_list(const struct vring_desc *table, unsigned int n,
			    unsigned int i, struct virtq_chain *into,
			    unsigned int max, struct vring_desc *d)
{
	struct virtq_chain chain = *into;

	for (unsigned int steps = 0; steps < n; steps++) {
		int r;

		shared_copy(d, &table[i], sizeof(*d));
		if (d->flags & VRING_DESC_INDIRECT) {
			*into = chain;
			return 1;
		}
		r = chain_add(&chain, d, max);
		if (r)
			return r;
		if (!(d->flags & VRING_DESC_NEXT)) {
			*into = chain;
			return 0;
		}
		i = d->next;
		if (i >= n)
			return -ERANGE;
	}
	return -ELOOP;
}

/* Copy an indirect table into q->table: number of entries, or an error. */
static int table_copy(struct virtqueue *q, const struct vring_desc *d)
{
	const struct guest_range range = { .addr = d->addr, .len = d->len };
	struct virtio_iov iov[TABLE_PIECES_MAX];
	uint32_t entries = d->len / (uint32_t)sizeof(struct vring_desc);
	uint8_t *to = (uint8_t *)q->table;
	unsigned int split;
	int n;

	if (entries == 0 || d->len % sizeof(struct vring_desc))
		return -EPROTO;
	if (entries > q->size_max)
		return -E2BIG;
	n = q->mem->ops->map(q->mem, &range, 1, 1, iov, TABLE_PIECES_MAX,
			     &split);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		shared_copy(to, iov[i].base, iov[i].len);
		to += iov[i].len;
	}
	if (q->mem->ops->unmap)
		q->mem->ops->unmap(q->mem, iov, (unsigned int)n, split);
	return (int)entries;
}

/* Walk an indirect table: a private copy, so nothing changes meanwhile. */
static int walk_table(struct virtqueue *q, const struct vring_desc *pointing,
		      struct virtq_chain *chain)
{
	int entries = table_copy(q, pointing);
	struct vring_desc d;
	int r;

	if (entries < 0)
		return entries;
	r = walk_list(q->table, (unsigned int)entries, 0, chain,
		      2u * q->size_max, &d);
	return r == 1 ? -EPROTO : r; /* section 2.7.5.3.1: not nested */
}

/* Copy the chain that starts at `head` out of the guest's memory. */
static int walk(struct virtqueue *q, uint16_t head, struct virtq_chain *chain)
{
	struct vring_desc d;
	int r = walk_list(q->desc, q->size, head, chain, 2u * q->size_max, &d);

	if (r != 1)
		return r;
	if (!q->indirect || (d.flags & VRING_DESC_NEXT))
		return -EPROTO;
	return walk_table(q, &d, chain);
}

static void chain_init(const struct virtqueue *q, struct virtq_chain *chain,
		       uint16_t head)
{
	chain->head = head;
	chain->n = 0;
	chain->readable = 0;
	chain->readable_bytes = 0;
	chain->writable_bytes = 0;
	chain->ranges = q->ranges;
}

/* Note the chain at `head` as in flight. */
static void take(struct virtqueue *q, uint16_t head)
{
	struct virtq_inflight_entry *entry = &q->inflight->desc[head];

	q->busy[head] = POPPED;
	entry->counter = ++q->counter;
	shared_store_release(&entry->inflight, 1);
	q->last_avail++;
	q->in_flight++;
}

int virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain)
{
	uint16_t head;
	int r;

	if (!q->running || q->broken || q->paused)
		return 0;
	q->starved = false;
	if (q->last_avail == q->avail_seen) {
		r = look(q);
		if (r <= 0)
			return r ? broken(q, r) : 0;
	}
	head = shared_load(&q->avail->ring[q->last_avail & mask(q)]);
	if (head >= q->size || q->busy[head])
		return broken(q, -ERANGE);
	chain_init(q, chain, head);
	r = walk(q, head, chain);
	if (r == -EAGAIN) {
		q->starved = true;
		return 0;
	}
	if (r)
		return broken(q, r);
	take(q, head);
	return 1;
}

void virtqueue_unpop(struct virtqueue *q, uint16_t head)
{
	assert(q->busy[head] && q->in_flight);
	q->busy[head] = IDLE;
	shared_store(&q->inflight->desc[head].inflight, 0);
	q->last_avail--;
	q->in_flight--;
	q->starved = true;
}

void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t len)
{
	struct vring_used_elem *elem = &q->used->ring[q->used_next & mask(q)];

	assert(q->running && q->in_flight && q->busy[head]);
	shared_store(&elem->id, head);
	shared_store(&elem->len, len);
	/* For the process after this one: the batch as a list, newest first. */
	q->inflight->desc[head].next = q->batch_head;
	shared_store(&q->inflight->last_batch_head, head);
	q->batch_head = head;
	q->pushed[q->used_next & mask(q)] = head;
	q->used_next++;
	q->in_flight--;
}

/* Forget what was pushed from position `from` on as in flight. */
static void batch_clear(struct virtqueue *q, uint16_t from)
{
	for (uint16_t i = from; i != q->used_next; i++) {
		uint16_t head = q->pushed[i & mask(q)];

		q->busy[head] = IDLE;
		shared_store(&q->inflight->desc[head].inflight, 0);
	}
}

/* Section 2.7.7.2: whether old -> new passes the driver's used_event. */
static bool passes(uint16_t event, uint16_t old, uint16_t new)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
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
		return passes(shared_load(used_event(q)), old, q->used_shown);
	return !(shared_load(&q->avail->flags) & VRING_AVAIL_NO_INTERRUPT);
}

/* Tell the memory that the used ring has been written. */
static void wrote_used(const struct virtqueue *q)
{
	if (q->mem->ops->written)
		q->mem->ops->written(q->mem, q->used,
				     vring_used_bytes(q->size));
}

bool virtqueue_publish(struct virtqueue *q)
{
	uint16_t old = q->used_shown;
	bool notify;

	if (!q->running || q->used_next == old)
		return false;
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
	q->notifications += notify;
	return notify;
}

void virtqueue_notify_off(struct virtqueue *q)
{
	/*
	 * With EVENT_IDX an avail_event left behind does it: the driver
	 * notifies only when it passes that position.
	 */
	if (!q->running || q->event_idx)
		return;
	shared_store(&q->used->flags, VRING_USED_NO_NOTIFY);
	wrote_used(q);
}

bool virtqueue_notify_on(struct virtqueue *q)
{
	if (!q->running || q->broken || q->paused)
		return false;
	if (q->event_idx)
		shared_store(avail_event(q), q->last_avail);
	else
		shared_store(&q->used->flags, 0);
	wrote_used(q);
	/*
	 * Pairs with the driver's barrier between storing avail.idx and reading
	 * avail_event or used.flags: one of the two sees the other's store.
	 */
	shared_fence();
	return virtqueue_pending(q);
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

int virtqueue_recover(struct virtqueue *q)
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
		q->busy[i] = RECOVERED;
		q->in_flight++;
		if (counter > q->counter)
			q->counter = counter;
	}
	q->last_avail = (uint16_t)(used + q->in_flight);
	q->avail_seen = q->last_avail;
	return q->in_flight;
}

int virtqueue_repop(struct virtqueue *q, struct virtq_chain *chain)
{
	uint64_t lowest = UINT64_MAX;
	int best = -1;
	int r;

	for (int i = 0; i < q->size; i++) {
		uint64_t counter = shared_load(&q->inflight->desc[i].counter);

		if (q->busy[i] != RECOVERED || (best >= 0 && counter >= lowest))
			continue;
		lowest = counter;
		best = i;
	}
	if (best < 0)
		return 0;
	chain_init(q, chain, (uint16_t)best);
	r = q->broken ? -ERANGE : walk(q, (uint16_t)best, chain);
	q->busy[best] = r ? IDLE : POPPED;
	if (!r)
		return 1;
	q->in_flight--;
	return broken(q, r);
}
