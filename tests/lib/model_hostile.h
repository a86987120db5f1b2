/* SPDX-License-Identifier: MIT */
/*
 * The stage for tables of hostile input. A case is a row with a name and the
 * outcome it must have; the stage plays it to a device and holds the device to
 * what every case has in common:
 *
 *  - each chain is answered exactly once, or the device asks for a reset;
 *  - all of guest memory is as the reference model says, wherever it is: what
 *    the chain did not grant is untouched (around it are forbidden pages);
 *  - nothing stays mapped or in flight;
 *  - the device's other queue serves, and so does another device;
 *  - after a reset the device serves again.
 */
#ifndef MODEL_HOSTILE_H
#define MODEL_HOSTILE_H

#include "lib/model_request.h"

/* Where things are in guest memory, behind the largest rings. */
#define HDR (MODEL_BASE + UINT64_C(16) * MODEL_PAGE)
#define STATUS (MODEL_BASE + UINT64_C(18) * MODEL_PAGE)
#define DATA (MODEL_BASE + UINT64_C(20) * MODEL_PAGE)
#define END (MODEL_BASE + UINT64_C(48) * MODEL_PAGE)
#define TABLE (END - 2 * MODEL_PAGE)
#define OTHER (END - 4 * MODEL_PAGE) /* of the good request */

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define GET_ID VIRTIO_BLK_T_GET_ID

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The outcomes. */
enum {
	OK = VIRTIO_BLK_S_OK,
	IOERR = VIRTIO_BLK_S_IOERR,
	UNSUPP = VIRTIO_BLK_S_UNSUPP,
	NONE = 0x100, /* a used element of length 0, and no status */
	RESET,        /* NEEDS_RESET, and nothing else */
};

/* The rings that a table is played on. */
static const uint16_t hostile_sizes[] = { 1, 2, 256 };

struct hostile {
	struct model_blk m;
	struct model_blk neighbour;
	const char *name; /* of the case at work; NULL between cases */
	unsigned long played;
};

extern struct hostile hostile;

/* A test that ends in the middle of a case says which. */
int hostile_teardown(void **state);

void hostile_start(struct model_setup setup);

void hostile_finish(void);

/* A read that any queue must serve. */
void hostile_good(struct model_blk *m, unsigned int queue);

void hostile_begin(const char *name);

/* The end of a case: others serve, and this device does after a reset. */
void hostile_end(bool reset);

/* Serve queue 0: one answer as told, or none and the wish to be reset. */
void hostile_serve(uint16_t head, const struct model_chain *chain, int answer,
		   uint32_t used);

/* The chain's last writable byte, where it is memory, before the case. */
uint8_t *hostile_status(const struct model_chain *chain);

#endif
