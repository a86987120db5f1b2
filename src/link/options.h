/* SPDX-License-Identifier: MIT */
/* The keys of a disk, as a monitor sends them to a worker. */
#ifndef LINK_OPTIONS_H
#define LINK_OPTIONS_H

#include "config/keys.h"
#include "link/message.h"

/* `to` is zeroes before; `options` has nothing left to decide. */
void link_options_write(struct link_options *to,
			const struct disk_options *options);

/* What `options` points at is in `said`, and in the facts of its image. */
void link_options_read(struct disk_options *options, struct link_options *said,
		       struct block_facts *facts);

#endif
