/* SPDX-License-Identifier: MIT */
/*
 * The device of a disk and its memory: of the queues, and of the state that may
 * outlive the process.
 */
#ifndef DISK_DISK_STATE_H
#define DISK_DISK_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "block/image.h"
#include "config/keys.h"
#include "virtio/blk.h"

/* Zeroed before it is made or adopted. */
struct disk_state {
	void *memory; /* of the queues; mapped */
	size_t memory_bytes;
	void *area; /* struct virtio_state and what follows it; mapped */
	size_t bytes;
	bool adopted; /* it is of a process before this one */
};

struct disk_state_setup {
	const char *name;          /* for the log */
	struct block_image *image; /* open */
	const struct disk_options *options;
	struct guest_memory *mem;
	int fd; /* of a file for the state, which gets its size; or -1 */
};

/* Make a device: 0, or a negative errno and a sentence. */
int disk_state_make(struct disk_state *state, struct virtio_blk *device,
		    const struct disk_state_setup *setup,
		    char error[BLOCK_ERROR_MAX]);

/*
 * Go on with the device that the file tells of: see disk_open_kept(). What a
 * flush of the process before has lost is told to the image. As
 * disk_state_make(); then the file is as it was.
 */
int disk_state_adopt(struct disk_state *state, struct virtio_blk *device,
		     const struct disk_state_setup *setup,
		     char error[BLOCK_ERROR_MAX]);

/* Unmap it all; half of it is allowed. */
void disk_state_unmap(struct disk_state *state);

#endif
