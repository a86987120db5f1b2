/* SPDX-License-Identifier: MIT */
/*
 * Requests that end the process which does them; see virtio_blk_repop_alone().
 *
 * The chain is noted before anything of it is read, and how many ended on it:
 *
 *	deaths	what is done with it
 *	0 to 2	all of it, by the engine
 *	3	it is read, and answered with an error
 *	4	nothing: the device needs a reset
 *
 * Failure: who ends process after process from outside, each time while the
 * same request is done alone, makes a good one fail.
 */
#include "virtio/blk_alone.h"

#include <errno.h>

#include "virtio/shared.h"

/* So many processes may end on a chain before it is not for the engine. */
enum { DEATHS_MAX = 3 };

/* `alone` of the chain that is popped next; 0 if there is none. */
static uint32_t next_of(const struct virtio_blk_queue *bq)
{
	int head = virtqueue_repop_next(&bq->vq);
	uint32_t queue = (uint32_t)(bq - bq->blk->queue);

	return head < 0 ? 0 : (queue << 16 | (uint32_t)head) + 1;
}

/* How many processes have ended on it. */
static uint32_t note(struct virtio_blk_state *state, uint32_t alone)
{
	if (state->alone == alone) {
		shared_store(&state->deaths, state->deaths + 1);
	} else {
		/* The other way round it would be blamed for another one. */
		shared_store(&state->deaths, 0);
		shared_order();
		shared_store(&state->alone, alone);
	}
	/* Before the chain is touched, which may be the end of us. */
	shared_order();
	return state->deaths;
}

unsigned int virtio_blk_resumed(struct virtio_blk *blk)
{
	shared_store(&blk->state->resumed, blk->state->resumed + 1);
	shared_order();
	return blk->state->resumed;
}

void virtio_blk_lasted(struct virtio_blk *blk)
{
	shared_store(&blk->state->resumed, 0);
	virtio_blk_alone_done(blk);
}

bool virtio_blk_repop_alone(struct virtio_blk_queue *bq,
			    struct block_request **req)
{
	uint32_t alone = next_of(bq);
	uint32_t deaths;

	*req = NULL;
	if (!alone)
		return false;
	deaths = note(bq->blk->state, alone);
	if (deaths > DEATHS_MAX)
		virtqueue_give_up(&bq->vq);
	virtio_blk_repop_one(bq, req);
	if (deaths == DEATHS_MAX && *req)
		(*req)->result = -EIO;
	return true;
}

void virtio_blk_alone_done(struct virtio_blk *blk)
{
	shared_order();
	shared_store(&blk->state->alone, 0);
}
