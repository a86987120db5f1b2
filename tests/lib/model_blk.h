/* SPDX-License-Identifier: MIT */
/*
 * A virtio block device for tests, with its driver, guest memory and an engine
 * that is an array. Requests that reach the engine wait until the test runs
 * them; it may do so in any order, and may make them fail.
 */
#ifndef MODEL_BLK_H
#define MODEL_BLK_H

#include "lib/model_driver.h"

#include "virtio/blk.h"

enum {
	MODEL_BLK_PAGES = 48, /* of guest memory */
	MODEL_SECTORS = 64,   /* of the disk, unless told otherwise */
	MODEL_POISON = 0xa5,  /* what the device's own memory begins as */
};

/* How the device and the driver are to be; zeroes mean what is usual. */
struct model_setup {
	unsigned int nqueues; /* 1 */
	uint16_t queue_size;  /* 8, offered */
	uint16_t ring_size;   /* what the driver takes: queue_size */
	uint64_t sectors;     /* MODEL_SECTORS */
	uint64_t refused;     /* features that the driver does not take */
	unsigned int pages;   /* of guest memory: MODEL_BLK_PAGES */
	bool readonly;
	bool pinnable;
	bool windows; /* the memory is mapped for good */
	bool write_through;
	bool discard;
	bool secure_erase;
	bool packed; /* offered, and laid out by the driver */
	bool legacy; /* the interface, and the driver */
};

struct model_blk {
	struct model_memory mem;
	struct virtio_blk blk;
	unsigned int ranges; /* that the engine was given */
	uint8_t range_flags; /* of the last one */
	struct model_ring ring[VIRTIO_QUEUES_MAX];
	struct model_setup setup;
	struct virtio_blk_options options;
	uint64_t heap; /* the first guest address after the rings */
	void *memory;
	void *state;
	uint8_t *store;
	uint64_t store_bytes;
	int engine_fails; /* result of the requests that are run; or 0 */
	uint8_t *shadow;  /* what guest memory should look like */
	uint8_t *shadow_store;
};

extern const char model_serial[VIRTIO_BLK_ID_BYTES];

/* A device after power-on; its driver has done nothing yet. */
void model_blk_init(struct model_blk *m, struct model_setup setup);

/* All but DRIVER_OK; as Linux does it, the page size only once, and first. */
void model_legacy_drive(struct model_blk *m);

/* What the driver does up to DRIVER_OK. */
void model_blk_drive(struct model_blk *m);

void model_blk_start(struct model_blk *m, struct model_setup setup);

/* Reset by the driver, which has to happen at once, and make a new start. */
void model_blk_restart(struct model_blk *m);

void model_blk_finish(struct model_blk *m);

/* What a range reads as after an operation without data: all differ. */
uint8_t model_range_byte(uint8_t op);

void model_move(struct model_blk *m, const struct block_request *req);

/* What every engine may rely on. */
void model_check_block(const struct model_blk *m,
		       const struct block_request *req);

/* Do a request and answer it. Not yet published. */
void model_run(struct model_blk *m, struct block_request *req);

/* Pop, run and publish until there is nothing more: how many were run. */
unsigned int model_serve(struct model_blk *m, unsigned int queue);

/* Numbers of queues that a device of two queues has not. */
static const uint32_t model_no_queues[] = {
	2, 3, 15, 16, 17, 255, 65536, 0x80000000u, UINT32_MAX,
};

/* Write a header to guest memory. */
void model_header(struct model_blk *m, uint64_t at, uint32_t type,
		  uint64_t sector);

uint8_t *model_byte(struct model_blk *m, uint64_t at);

/*
 * Offer a request as drivers do it: header, `bytes` of data and status in a
 * descriptor each, at `at`: the header there, the data in the next page, the
 * status behind the data. Returns the address of the status byte.
 */
uint64_t model_request(struct model_blk *m, unsigned int queue, uint64_t at,
		       uint32_t type, uint64_t sector, uint32_t bytes);

#endif
