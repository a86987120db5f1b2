/* SPDX-License-Identifier: MIT */
/*
 * Bounce buffers in front of an engine whose image is opened with O_DIRECT.
 *
 * A request whose memory the kernel can use as it is (aligned, and pinnable)
 * passes straight through. Any other read or write goes by way of an aligned
 * arena, in pieces that one after another are the inner engine's requests:
 *
 *   write   take a run of the arena, copy in, queue to the inner engine
 *   read    take a run of the arena, queue to the inner engine, copy out
 *
 * The same for a request that begins or ends inside of a block of the store
 * (dio_align), which a driver is advised not to do, but firmware does:
 *
 *   read    the whole blocks around it are read, and its part is copied out
 *   write   the first and the last block are pieces of their own: read, copied
 *           into, written. What is between them is written as above
 *   zeroes  likewise, and what is between them is zeroed by the inner engine
 *
 * On an image with such blocks a change first goes through its gate (gate.h),
 * which may let it wait for those of other engines; its token is its piece.
 *
 * A request has at most one piece in flight, and gives the run back with each
 * piece. So a request that holds memory is always one that the inner engine is
 * working for, and whoever waits for memory gets it by and by: there is nothing
 * to deadlock. When nothing is free requests wait in the order in which they
 * came; one that needs more than what is free takes what is free, and for the
 * rest queues up behind the others. The inner engine never has more than
 * `depth` requests.
 *
 * Failure modes: a piece that fails ends its request with that error; the guest
 * memory of a failed read piece is not touched. A request whose offset or
 * length is no multiple of a sector is -EINVAL; stores differ in what they make
 * of it. Nothing is allocated after open.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/image.h"
#include "arena.h"
#include "bounce.h"
#include "front.h"
#include "gate.h"
#include "request_list.h"
#include "transfer.h"

#define BOUNCE_SECTOR 512u /* of which every request is made */

/* What a slot's piece is with the inner engine for. */
enum bounce_step {
	BOUNCE_WAIT,  /* it is not: it waits for its turn at the gate */
	BOUNCE_WHOLE, /* it is all of the owner's request */
	BOUNCE_FILL,  /* a block is read, to be changed */
	BOUNCE_MOVE,  /* a part of the owner's data is moved */
};

/* A request on its way through the arena. */
struct bounce_slot {
	struct block_request piece; /* the inner engine's */
	struct virtio_iov buffer;   /* the piece's only segment */
	struct block_arena_run run;
	struct block_request *owner;
	enum bounce_step step;
	size_t lead;          /* bytes of the buffer before the owner's ... */
	uint64_t useful;      /* ... and his: what the piece moves of them */
	unsigned int segment; /* where copying goes on, in the owner's iov */
	size_t within;
	struct block_gate_entry entry;
	bool gated; /* it is inside of the gate */
	struct bounce_slot *next_free;
};

struct bounce {
	struct block_front front;
	struct block_arena arena;
	struct block_request_list waiting; /* owners, for memory */
	bool queued;                       /* something, while reaping */
	struct bounce_slot *free;          /* that were used before */
	unsigned int nused;                /* slots from here on never were */
	unsigned int nslots;
	struct bounce_slot slots[];
};

static struct bounce *to_bounce(struct block_engine *engine)
{
	return (struct bounce *)engine;
}

static const struct block_image *image_of(const struct bounce *bounce)
{
	return bounce->front.engine.image;
}

/* The slot of a request that came back, NULL if it had passed through. */
static struct bounce_slot *slot_of(struct bounce *bounce,
				   struct block_request *req)
{
	if (!block_front_owns(bounce->slots, bounce->nslots,
			      sizeof(bounce->slots[0]), req))
		return NULL;
	/* The piece is the slot's first member. */
	return (struct bounce_slot *)req;
}

_Static_assert(offsetof(struct bounce_slot, piece) == 0, "slot_of() casts");

static bool is_transfer(const struct block_request *req)
{
	return req->op == BLOCK_READ || req->op == BLOCK_WRITE;
}

/* Does the request begin or end inside of a block of the store? */
static bool is_odd(const struct bounce *bounce, const struct block_request *req)
{
	return ((req->offset | req->length) &
		(image_of(bounce)->dio_align - 1)) != 0;
}

/* Can the kernel not use the request's memory as it is? */
static bool is_needed(const struct bounce *bounce,
		      const struct block_request *req)
{
	uintptr_t bases = 0, lengths = 0;
	uint32_t i;

	if (req->flags & BLOCK_UNPINNABLE)
		return true;
	for (i = 0; i < req->niov; i++) {
		bases |= (uintptr_t)req->iov[i].base;
		lengths |= req->iov[i].len;
	}
	return (bases & (image_of(bounce)->dio_mem_align - 1)) ||
	       (lengths & (image_of(bounce)->dio_align - 1));
}

/* Copy the piece's data from (write) or to (read) the owner's memory. */
static void copy_data(struct bounce_slot *slot)
{
	const struct block_request *owner = slot->owner;
	char *buffer = (char *)slot->buffer.base + slot->lead;
	size_t left = (size_t)slot->useful;

	if (owner->op == BLOCK_WRITE_ZEROES) {
		memset(buffer, 0, left);
		return;
	}
	while (left > 0) {
		const struct virtio_iov *iov = &owner->iov[slot->segment];
		char *memory;
		size_t n;

		assert(slot->segment < owner->niov);
		memory = (char *)iov->base + slot->within;
		n = iov->len - slot->within;
		if (n <= left) {
			slot->segment++;
			slot->within = 0;
		} else {
			n = left;
			slot->within += n;
		}
		if (n > 0 && owner->op == BLOCK_WRITE)
			memcpy(buffer, memory, n);
		else if (n > 0)
			memcpy(memory, buffer, n);
		buffer += n;
		left -= n;
	}
}

static void queue_piece(struct bounce *bounce, struct bounce_slot *slot,
			enum block_op op, uint64_t offset)
{
	const struct block_request *owner = slot->owner;
	bool moves = op != BLOCK_WRITE_ZEROES;

	slot->piece = (struct block_request){
		.op = (uint8_t)op,
		.flags = owner->flags & (uint8_t)~BLOCK_UNPINNABLE,
		.niov = moves,
		.offset = offset,
		.length = moves ? slot->buffer.len : slot->useful,
		.iov = moves ? &slot->buffer : NULL,
		.stop = moves ? NULL : owner->stop,
	};
	block_verb_queue(bounce->front.behind, &slot->piece);
}

/* How many bytes of the store the next piece is about, memory allowing. */
static uint64_t piece_length(const struct bounce_slot *slot, uint64_t left,
			     uint64_t align)
{
	uint64_t whole = left & ~(align - 1);

	if (slot->owner->op == BLOCK_READ)
		return (slot->lead + left + align - 1) & ~(align - 1);
	return slot->lead || whole == 0 ? align : whole;
}

/* Start the next piece; false if there is no memory for it now. */
static bool start_slot(struct bounce *bounce, struct bounce_slot *slot)
{
	struct block_request *owner = slot->owner;
	uint64_t align = image_of(bounce)->dio_align;
	uint64_t at = owner->offset + owner->done;
	uint64_t left = owner->length - owner->done;
	uint64_t want, have;

	slot->lead = (size_t)(at & (align - 1));
	want = piece_length(slot, left, align);
	slot->step = BOUNCE_MOVE;
	if (owner->op == BLOCK_WRITE_ZEROES && !slot->lead && want <= left) {
		slot->useful = want;
		queue_piece(bounce, slot, BLOCK_WRITE_ZEROES, at);
		return true;
	}
	if (want > BLOCK_BOUNCE_PIECE_MAX)
		want = BLOCK_BOUNCE_PIECE_MAX;
	slot->run = block_arena_take(
		&bounce->arena,
		(unsigned int)((want - 1) / BLOCK_ARENA_GRANULE + 1));
	have = (uint64_t)slot->run.count * BLOCK_ARENA_GRANULE;
	if (have == 0)
		return false;
	slot->buffer.base = block_arena_memory(&bounce->arena, slot->run);
	slot->buffer.len = (size_t)(want < have ? want : have);
	slot->useful = slot->buffer.len - slot->lead;
	if (slot->useful > left)
		slot->useful = left;
	if (owner->op == BLOCK_READ) {
		queue_piece(bounce, slot, BLOCK_READ, at - slot->lead);
	} else if (slot->useful < slot->buffer.len) {
		slot->step = BOUNCE_FILL;
		queue_piece(bounce, slot, BLOCK_READ, at - slot->lead);
	} else {
		copy_data(slot);
		queue_piece(bounce, slot, BLOCK_WRITE, at);
	}
	return true;
}

/* Start what waits for memory, in order; true if anything was started. */
static bool serve_waiting(struct bounce *bounce)
{
	struct block_request *owner;
	bool started = false;

	while ((owner = bounce->waiting.head)) {
		struct block_request *next = owner->next;

		if (!start_slot(bounce, owner->engine_data))
			break;
		bounce->waiting.head = next;
		started = true;
	}
	return started;
}

/* Memory of slots that no request has needed yet is not touched. */
static struct bounce_slot *take_slot(struct bounce *bounce)
{
	struct bounce_slot *slot = bounce->free;

	if (slot) {
		bounce->free = slot->next_free;
		return slot;
	}
	assert(bounce->nused < bounce->nslots);
	return &bounce->slots[bounce->nused++];
}

static struct bounce_slot *enter_gate(struct bounce *bounce,
				      struct block_request *req)
{
	struct bounce_slot *slot = take_slot(bounce);

	slot->owner = req;
	slot->gated = false;
	slot->run.count = 0;
	slot->segment = 0;
	slot->within = 0;
	req->done = 0;
	req->engine_data = slot;
	return slot;
}

static void leave_gate(struct bounce *bounce, struct bounce_slot *slot)
{
	if (slot->gated)
		block_gate_leave(image_of(bounce)->gate, &slot->entry);
	slot->owner->engine_data = NULL;
	slot->owner = NULL;
	slot->next_free = bounce->free;
	bounce->free = slot;
}

/* All at once, with the memory that it has. */
static void queue_whole(struct bounce *bounce, struct bounce_slot *slot)
{
	const struct block_request *owner = slot->owner;

	slot->step = BOUNCE_WHOLE;
	slot->piece = (struct block_request){
		.op = owner->op,
		.flags = owner->flags,
		.niov = owner->niov,
		.offset = owner->offset,
		.length = owner->length,
		.iov = owner->iov,
		.stop = block_transfer_is_range(owner) ? owner->stop : NULL,
	};
	block_verb_queue(bounce->front.behind, &slot->piece);
}

static void queue_pieces(struct bounce *bounce, struct bounce_slot *slot)
{
	if (bounce->waiting.head || !start_slot(bounce, slot))
		block_request_list_append(&bounce->waiting, slot->owner);
}

/* A change has its turn. */
static void start_change(struct bounce *bounce, struct bounce_slot *slot)
{
	const struct block_request *owner = slot->owner;

	if (slot->entry.alone ||
	    (owner->op == BLOCK_WRITE && is_needed(bounce, owner)))
		queue_pieces(bounce, slot);
	else
		queue_whole(bounce, slot);
}

static void queue_at_gate(struct bounce *bounce, struct block_request *req)
{
	struct bounce_slot *slot = enter_gate(bounce, req);
	uint64_t align = image_of(bounce)->dio_align;
	bool alone = req->op == BLOCK_WRITE || req->op == BLOCK_WRITE_ZEROES;

	slot->entry = (struct block_gate_entry){
		.begin = req->offset & ~(align - 1),
		.end = (req->offset + req->length + align - 1) & ~(align - 1),
		.alone = alone && is_odd(bounce, req),
		.outbox = bounce->front.engine.outbox,
		.token = &slot->piece,
	};
	slot->piece = (struct block_request){ .op = req->op };
	slot->step = BOUNCE_WAIT;
	slot->gated = true;
	if (block_gate_enter(image_of(bounce)->gate, &slot->entry))
		start_change(bounce, slot);
}

static void queue_request(struct block_engine *engine,
			  struct block_request *req)
{
	struct bounce *bounce = to_bounce(engine);

	if (req->length == 0 ||
	    (!is_transfer(req) && !block_transfer_is_range(req)))
		block_verb_queue(bounce->front.behind, req);
	else if (is_transfer(req) &&
		 (req->offset | req->length) % BOUNCE_SECTOR)
		/* The engine behind tells of it, as of its own. */
		block_outbox_put(bounce->front.engine.outbox, req, -EINVAL);
	else if (req->op != BLOCK_READ && image_of(bounce)->gate)
		queue_at_gate(bounce, req);
	else if (is_transfer(req) &&
		 (is_odd(bounce, req) || is_needed(bounce, req)))
		queue_pieces(bounce, enter_gate(bounce, req));
	else
		block_verb_queue(bounce->front.behind, req);
}

static void commit_queued(struct block_engine *engine)
{
	block_verb_commit(to_bounce(engine)->front.behind);
}

/*
 * The piece has moved its part, or failed: true if that completes its owner;
 * else he waits for the next.
 */
static bool piece_moved(struct bounce *bounce, struct bounce_slot *slot)
{
	struct block_request *owner = slot->owner;

	owner->result = slot->piece.result;
	if (owner->result == 0) {
		if (owner->op == BLOCK_READ)
			copy_data(slot);
		owner->done += slot->useful;
	}
	block_arena_give(&bounce->arena, slot->run);
	slot->run.count = 0;
	if (owner->result == 0 && owner->done < owner->length) {
		block_request_list_append(&bounce->waiting, owner);
		return false;
	}
	leave_gate(bounce, slot);
	return true;
}

/* A piece came back: true if that completes its owner. */
static bool piece_done(struct bounce *bounce, struct bounce_slot *slot)
{
	switch (slot->step) {
	case BOUNCE_WAIT:
		start_change(bounce, slot);
		bounce->queued = true;
		return false;
	case BOUNCE_FILL:
		if (slot->piece.result)
			break;
		slot->step = BOUNCE_MOVE;
		copy_data(slot);
		queue_piece(bounce, slot, BLOCK_WRITE, slot->piece.offset);
		bounce->queued = true;
		return false;
	case BOUNCE_WHOLE:
		slot->owner->result = slot->piece.result;
		leave_gate(bounce, slot);
		return true;
	case BOUNCE_MOVE:
		break;
	}
	return piece_moved(bounce, slot);
}

/* What came back, without the pieces: true if more of them were started. */
static bool sort_out(struct bounce *bounce, struct block_request *req,
		     struct block_request_list *list)
{
	struct block_request *next;
	bool anew;

	for (; req; req = next) {
		struct bounce_slot *slot = slot_of(bounce, req);

		next = req->next;
		if (!slot) {
			block_request_list_append(list, req);
			continue;
		}
		req = slot->owner;
		if (piece_done(bounce, slot))
			block_request_list_append(list, req);
	}
	anew = serve_waiting(bounce) || bounce->queued;
	bounce->queued = false;
	if (anew)
		block_verb_commit(bounce->front.behind);
	return anew;
}

static struct block_request *reap_done(struct block_engine *engine,
				       unsigned int max)
{
	struct bounce *bounce = to_bounce(engine);
	struct block_request_list list = { .head = NULL };
	struct block_request *req;
	unsigned int n;

	/*
	 * NULL would say that nothing was completed by a commit; see engine.h
	 */
	do
		req = block_verb_reap(bounce->front.behind, max, &n);
	while (sort_out(bounce, req, &list) && !list.head);
	return list.head;
}

static void close_engine(struct block_engine *engine)
{
	struct bounce *bounce = to_bounce(engine);

	block_verb_close(bounce->front.behind);
	block_arena_finish(&bounce->arena);
	free(bounce);
}

static const struct block_engine_ops bounce_ops = {
	.queue = queue_request,
	.commit = commit_queued,
	.reap = reap_done,
	.close = close_engine,
};

int block_bounce_open(struct block_engine **engine, struct block_engine *behind,
		      unsigned int depth)
{
	struct bounce *bounce;
	int rc;

	assert(behind->image->dio_align <= BLOCK_ARENA_GRANULE &&
	       behind->image->dio_mem_align <= BLOCK_ARENA_GRANULE);
	bounce = calloc(1, sizeof(*bounce) + depth * sizeof(bounce->slots[0]));
	if (!bounce)
		return -ENOMEM;
	rc = block_arena_init(&bounce->arena);
	if (rc) {
		free(bounce);
		return rc;
	}
	block_front_init(&bounce->front, &bounce_ops, behind, depth);
	bounce->nslots = depth;
	*engine = &bounce->front.engine;
	return 0;
}
