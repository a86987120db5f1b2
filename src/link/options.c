/* SPDX-License-Identifier: MIT */
/*
 * The keys of a disk, as bytes; see link/options.h.
 *
 * Failure: a text that is too long is cut off; there is none, for the command
 * line has the same limits.
 */
#include "link/options.h"

#include <stdio.h>

void link_options_write(struct link_options *to, const struct disk_options *o)
{
	to->size = o->size;
	to->given = o->given;
	to->cache = o->cache;
	to->discard = o->discard;
	to->block_size = o->block_size;
	to->queues = o->queues;
	to->queue_size = o->queue_size;
	to->readonly = o->readonly;
	to->packed = o->packed;
	to->legacy = o->legacy;
	to->iothreads = o->iothreads;
	snprintf(to->engine, sizeof(to->engine), "%s", o->engine);
	snprintf(to->serial, sizeof(to->serial), "%s",
		 o->serial ? o->serial : "");
	snprintf(to->id, sizeof(to->id), "%s", o->id ? o->id : "");
}

void link_options_read(struct disk_options *o, struct link_options *said,
		       struct block_facts *facts)
{
	*o = (struct disk_options){
		.given = said->given,
		.file = facts->has_file ? facts->name : NULL,
		.id = said->id[0] ? said->id : NULL,
		.readonly = said->readonly,
		.cache = (enum block_cache)said->cache,
		.discard = (enum disk_discard)said->discard,
		.engine = said->engine,
		.serial = said->serial,
		.block_size = said->block_size,
		.queues = said->queues,
		.queue_size = said->queue_size,
		.packed = said->packed,
		.legacy = said->legacy,
		.iothreads = said->iothreads,
		.size = said->size,
		.lends = facts->lends,
	};
}
