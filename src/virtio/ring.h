/* SPDX-License-Identifier: MIT */
/*
 * What queue.c and the ring layouts (split.c, packed.c) say to each other. The
 * functions of a layout are those of virtio/queue.h of the same name; queue.c
 * has looked at `running`, `broken` and `paused` before.
 */
#ifndef VIRTIO_RING_H
#define VIRTIO_RING_H

#include "virtio/queue.h"

/* What virtqueue.busy tells of a head. */
enum virtq_busy {
	VIRTQ_IDLE,
	VIRTQ_POPPED,
	VIRTQ_RECOVERED, /* popped by the process before, to be popped again */
	VIRTQ_MARKED,    /* popped, before virtqueue_mark() */
};

/*
 * For the queue's thread. Another one may mark what is popped meanwhile
 * (virtqueue_mark()), which does not change what is asked here: a plain load,
 * for others cost more.
 */
static inline enum virtq_busy virtq_busy(const struct virtqueue *q,
					 unsigned int head)
{
	return (enum virtq_busy)q->busy[head];
}

static inline void virtq_set_busy(struct virtqueue *q, unsigned int head,
				  enum virtq_busy busy)
{
	__atomic_store_n(&q->busy[head], (uint8_t)busy, __ATOMIC_RELAXED);
}

/* The driver broke the ring's rules: returns `reason`. */
static inline int virtq_broken(struct virtqueue *q, int reason)
{
	q->broken = true;
	return reason;
}

/* Section 2.7.7.2: whether old -> new passes the other side's event. */
static inline bool virtq_passes(uint16_t event, uint16_t old, uint16_t new)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

int virtq_split_start(struct virtqueue *q, uint32_t base);
uint32_t virtq_split_base(const struct virtqueue *q);
bool virtq_split_pending(const struct virtqueue *q);
int virtq_split_pop(struct virtqueue *q, struct virtq_chain *chain);
void virtq_split_unpop(struct virtqueue *q, uint16_t head);
void virtq_split_push(struct virtqueue *q, uint16_t head, uint32_t len);
bool virtq_split_publish(struct virtqueue *q);
void virtq_split_notify_off(struct virtqueue *q);
void virtq_split_notify_on(struct virtqueue *q);
int virtq_split_recover(struct virtqueue *q);
uint16_t virtq_split_continue_used(struct virtqueue *q);
/* Of a chain that was recovered: its turn, and its descriptors. */
uint64_t virtq_split_counter(const struct virtqueue *q, uint16_t head);
int virtq_split_rewalk(struct virtqueue *q, uint16_t head,
		       struct virtq_chain *chain);

/* Not built into the path of split rings, which would pay for it. */
#define VIRTQ_APART __attribute__((noinline))

int virtq_packed_start(struct virtqueue *q, uint32_t base);
uint32_t virtq_packed_base(const struct virtqueue *q);
VIRTQ_APART bool virtq_packed_pending(const struct virtqueue *q);
VIRTQ_APART int virtq_packed_pop(struct virtqueue *q,
				 struct virtq_chain *chain);
VIRTQ_APART void virtq_packed_unpop(struct virtqueue *q, uint16_t id);
VIRTQ_APART void virtq_packed_push(struct virtqueue *q, uint16_t id,
				   uint32_t len);
VIRTQ_APART bool virtq_packed_publish(struct virtqueue *q);
VIRTQ_APART void virtq_packed_notify_off(struct virtqueue *q);
VIRTQ_APART void virtq_packed_notify_on(struct virtqueue *q);
int virtq_packed_recover(struct virtqueue *q);
uint64_t virtq_packed_counter(const struct virtqueue *q, uint16_t id);
int virtq_packed_rewalk(struct virtqueue *q, uint16_t id,
			struct virtq_chain *chain);

#endif
