/* SPDX-License-Identifier: MIT */
/*
 * What of a disk has to outlive the process that serves it over vhost-user: the
 * cache mode that its driver believes in, and that a flush has failed. In one
 * word, which a front end keeps for us.
 */
#ifndef WORKER_VHOST_STATE_H
#define WORKER_VHOST_STATE_H

#include "disk/disk.h"

/* The disk's state now; in any thread. */
uint32_t vhost_state_of(const struct disk *disk);

/* A driver begins: the disk has its start mode. */
void vhost_state_begin(struct disk *disk);

/*
 * The front end has gone: the next one may be another guest's, to which what
 * was taken over is nothing.
 */
void vhost_state_end(struct disk *disk);

/*
 * A driver goes on that another process has served: by `state`, which anybody
 * may have written, or with nothing known of it (NULL). `chosen`: the mode is
 * what the driver has chosen since.
 */
void vhost_state_take_over(struct disk *disk, const uint32_t *state,
			   bool chosen);

#endif
