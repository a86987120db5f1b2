/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device. VIRTIO 1.3, section 5.2.
 *
 * The device turns descriptor chains into block requests and their results
 * into used elements. It starts no I/O and notifies nobody; its owner joins it
 * with a block engine in two short loops:
 *
 *	down:  while ((req = virtio_blk_pop(bq)))
 *		       block_engine_queue(engine, req);
 *	       block_engine_commit(engine);
 *	up:    for each reaped req: virtio_blk_complete(req)
 *		       || block_engine_queue(engine, req);
 *	       if (virtqueue_publish(&bq->vq)) notify the driver
 *
 * Every popped chain ends in exactly one used element. There is one request
 * slot per ring entry, made once and found by head index; nothing is allocated
 * while the device runs.
 */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "block/request.h"
#include "virtio/blk_wire.h"
#include "virtio/device.h"

enum {
	/* Pieces that a request slot holds in itself; larger chains spill. */
	VIRTIO_BLK_INLINE_IOV = 6,
	/* Ranges of one DISCARD, WRITE_ZEROES or SECURE_ERASE. */
	VIRTIO_BLK_SEGMENTS_MAX = 32,
	/*
	 * Sectors of one such range. Zeroing may have to be done by writing,
	 * but a reset ends it early. Drivers that do not look at the limit zero
	 * more at once, and are served: the engine works in parts.
	 */
	VIRTIO_BLK_DISCARD_SECTORS_MAX = 1 << 22,
	VIRTIO_BLK_ZEROES_SECTORS_MAX = 1 << 22,
};

/* Bytes of data in one request; above, it is answered with IOERR. */
#define VIRTIO_BLK_DATA_MAX (UINT64_C(32) << 20)

/* What the owner decides about a device, when it is made. */
struct virtio_blk_options {
	uint64_t size;       /* of the store, bytes; a multiple of 512 */
	uint32_t block_size; /* logical: 512 .. 4096 */
	bool readonly;
	unsigned int nqueues; /* 1 .. VIRTIO_QUEUES_MAX */
	uint16_t queue_size;  /* entries, a power of two */
	bool packed;          /* offer packed virtqueues */
	bool legacy;          /* have the legacy interface; excludes packed */
	bool write_through;   /* how the cache mode starts: writeback is 0 */
	bool discard;         /* offered; and WRITE_ZEROES may deallocate */
	bool secure_erase;    /* offered */
	uint32_t discard_granularity; /* bytes; 0: block_size */
	/* Of the store, bytes; 0: not known. For the driver's alignment. */
	uint32_t physical_block_size;
	uint32_t alignment_offset; /* of the first physical block boundary */
	uint32_t min_io_size;
	uint32_t opt_io_size;
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with NUL */
};

/* The cache mode. */
enum virtio_blk_mode {
	VIRTIO_BLK_MODE_START = 0, /* as the options say */
	VIRTIO_BLK_MODE_WRITE_THROUGH = 1,
	VIRTIO_BLK_MODE_WRITEBACK = 2,
};

struct virtio_blk;

/* A request slot. */
struct virtio_blk_request {
	struct block_request block; /* first: the engine gives this back */
	struct virtio_blk_queue *queue;
	struct virtio_iov *iov; /* the mapped chain: inline_iov or spill */
	uint8_t *status;        /* the last device-writable byte */
	uint16_t head;
	uint16_t cut; /* iov[cut].base was moved on by cut_bytes */
	uint16_t cut_bytes;
	uint8_t segment;      /* of the ranges: the one under way ... */
	uint8_t nsegments;    /* ... and their number; 0: no such request */
	bool unstable;        /* a write that a flush makes stable */
	uint32_t niov;        /* mapped pieces */
	uint32_t split;       /* of them device-readable, first */
	uint32_t used_ok;     /* used length if it succeeds */
	uint32_t used_failed; /* used length if it fails */
	struct virtio_iov inline_iov[VIRTIO_BLK_INLINE_IOV];
};

/* A request that was answered at once, as it was popped. */
struct virtio_blk_answered {
	uint16_t head;
	bool is_known; /* there was a header: type and sector are of it */
	uint32_t type; /* enum virtio_blk_type, or any other number */
	uint64_t sector;
	uint64_t bytes; /* of data, both ways */
	enum virtio_blk_status status;
};

struct virtio_blk_queue {
	struct virtqueue vq;
	struct virtio_blk *blk;
	struct virtio_blk_request *slots; /* by head */
	struct virtio_iov *spill;         /* spill_max entries per slot */
	unsigned int spill_max;
	/* Copied ranges, VIRTIO_BLK_SEGMENTS_MAX per slot. */
	struct virtio_blk_segment *segments;
	/* Totals since the start; atomic: other threads ask for them. */
	uint64_t requests; /* chains answered */
	uint64_t failed;   /* of them with a status other than OK */
	/* Of who wants to know of those; or NULL. */
	void (*answered)(void *arg, const struct virtio_blk_answered *what);
	void *answered_arg;
};

/* What a request is called: its head. */
static inline const uint16_t *
virtio_blk_head_of(const struct block_request *req)
{
	return &((const struct virtio_blk_request *)req)->head;
}

/* The one place where errors become the protocol's. */
static inline enum virtio_blk_status virtio_blk_status_of(int result)
{
	if (result == 0)
		return VIRTIO_BLK_S_OK;
	if (result == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	return VIRTIO_BLK_S_IOERR;
}

/* For any thread: each total by itself, of about now. */
static inline uint64_t virtio_blk_requests(const struct virtio_blk_queue *bq)
{
	return __atomic_load_n(&bq->requests, __ATOMIC_RELAXED);
}

static inline uint64_t virtio_blk_failed(const struct virtio_blk_queue *bq)
{
	return __atomic_load_n(&bq->failed, __ATOMIC_RELAXED);
}

struct virtio_blk {
	struct virtio_device dev;
	/* Of the options, what no other part of the device has. */
	bool readonly;
	bool write_through; /* how the cache mode starts */
	bool discard;       /* WRITE_ZEROES may deallocate */
	char serial[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_state *state;
	bool flush_owed; /* see virtio_blk_take_flush(); atomic */
	bool switched;   /* the driver left write-back; atomic */
	struct virtio_blk_queue queue[VIRTIO_QUEUES_MAX];
};

/*
 * Bytes of memory that virtio_blk_init() wants for its queues: page aligned,
 * zeroed, best mapped lazily: most of it is touched by large requests only.
 */
size_t virtio_blk_memory_bytes(const struct virtio_blk_options *options);

/* Bytes of the state that outlives the process; see virtio/state.h. */
size_t virtio_blk_state_bytes(const struct virtio_blk_options *options);

/*
 * Make a device with a new state. `memory` and `state` as told above, 16 bytes
 * aligned, owned by the caller and outliving the device, as does `mem`. What
 * was in `state` is lost.
 */
void virtio_blk_init(struct virtio_blk *blk,
		     const struct virtio_blk_options *options, void *memory,
		     void *state, struct guest_memory *mem);

/*
 * Of `options` what the driver of a state, of which the first `bytes` are
 * there, cannot do without: number and size of the queues, packed virtqueues,
 * the legacy interface, and discards that it was offered, as far as `can_*`
 * say that the store has them. The rest is left as it is. 0, or as
 * virtio_blk_adopt(), which is still to be called. At least struct virtio_state
 * has to be there.
 */
int virtio_blk_take_shape(struct virtio_blk_options *options, const void *state,
			  size_t bytes, bool can_discard, bool can_secure_erase,
			  const char **why);

/*
 * Make a device that goes on with the state, `bytes` long, of another process,
 * by options that may have another size, cache mode and serial than those that
 * it was made with. virtio_device_resume() is to be called next, and the store
 * has to be told of virtio_blk_flush_error(). 0; or, for a state that is not a
 * device's of these options, is of another version, or that nobody can have
 * left who works as this does, a negative errno and a sentence in `why`: then
 * neither device nor state was touched.
 */
int virtio_blk_adopt(struct virtio_blk *blk,
		     const struct virtio_blk_options *options, void *memory,
		     void *state, size_t bytes, struct guest_memory *mem,
		     const char **why);

/*
 * The next request for the engine, or NULL if there is none now. Chains that
 * need no I/O, or are wrong, are answered on the way. A broken ring sets
 * NEEDS_RESET.
 */
struct block_request *virtio_blk_pop(struct virtio_blk_queue *bq);

/* As virtio_blk_pop(), for what the process before left in flight. */
struct block_request *virtio_blk_repop(struct virtio_blk_queue *bq);

/*
 * A request that ends the process, by a fault of ours or of what we use, is
 * done again by the next one, which ends. So who goes on with a device counts
 * itself: how many have done so in a row, without virtio_blk_lasted().
 */
unsigned int virtio_blk_resumed(struct virtio_blk *blk);

/* This process has lasted: whatever ends it now is another matter. */
void virtio_blk_lasted(struct virtio_blk *blk);

/*
 * As virtio_blk_repop(), for one chain: false if there was none left. Which one
 * is noted before it is looked at, until virtio_blk_alone_done(), which comes
 * when it is answered and published, so that the next process knows on what
 * this one has ended. What three have ended on is not for the engine any more:
 * it comes with the result -EIO, to be answered. What one more has ended on is
 * not looked at: NEEDS_RESET. `req` is NULL where nothing is left to be done
 * for the chain.
 */
bool virtio_blk_repop_alone(struct virtio_blk_queue *bq,
			    struct block_request **req);
void virtio_blk_alone_done(struct virtio_blk *blk);

/*
 * Answer a request that the engine has given back; not yet published. False if
 * it goes to the engine again: for the next one of several ranges, or as a
 * flush because the driver went over to write-through while it was written.
 */
bool virtio_blk_complete(struct block_request *req);

/*
 * The store has another size now: bytes, a multiple of the block size. True if
 * the configuration changed, of which the owner has to tell the driver: a
 * configuration change notification (virtio_device_take_config_change()).
 * Requests that were popped before are not affected. Called by the thread that
 * answers for the configuration space.
 */
bool virtio_blk_resize(struct virtio_blk *blk, uint64_t size);

/*
 * Whether the driver has switched to write-through, so that the owner has to
 * make stable what was written before: to one caller only.
 */
bool virtio_blk_take_flush(struct virtio_blk *blk);

/*
 * The cache mode that is in force; and to restore it, or to decide it where it
 * got lost, before a queue runs: what was written before is owed a flush then
 * as well (virtio_blk_take_flush()). For the thread that answers for the
 * configuration space.
 */
bool virtio_blk_is_writeback(const struct virtio_blk *blk);
void virtio_blk_set_mode(struct virtio_blk *blk, enum virtio_blk_mode mode);

/*
 * Why a flush failed (a negative errno, the first one that was noted) or 0, in
 * the state that outlives the process; a reset leaves it. To be noted before
 * any request is answered that failed for it, and to be given to the store by
 * who adopts: the kernel tells it only once. For any thread.
 */
int virtio_blk_flush_error(const struct virtio_blk *blk);
void virtio_blk_note_flush_error(struct virtio_blk *blk, int error);

/* The queue that a request came from. */
struct virtio_blk_queue *virtio_blk_queue_of(struct block_request *req);

#endif
