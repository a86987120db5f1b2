/* SPDX-License-Identifier: MIT */
/*
 * The null engine: every request is complete as soon as it is committed, and
 * nothing is moved. It measures everything but the storage.
 *
 * A read does NOT touch the caller's memory: the guest sees what it had there
 * before, which is its own. So no memory of the host can leak, no time is spent
 * on zeroing, and nothing that is written can be read back. A read-only image
 * refuses writes here too.
 *
 * Failure modes: none after open.
 */
#include <errno.h>
#include <stdlib.h>

#include "engines.h"
#include "outbox.h"
#include "transfer.h"

struct null {
	struct block_engine engine;
	const struct block_image *image;
	struct block_outbox outbox;
};

static struct null *null_of(struct block_engine *engine)
{
	return (struct null *)engine;
}

static int null_open(struct block_engine **engine,
		     const struct block_image *image, unsigned int depth)
{
	struct null *null;
	int rc;

	(void)depth;	/* requests wait in a list that links themselves */
	null = calloc(1, sizeof(*null));
	if (!null)
		return -ENOMEM;
	rc = block_outbox_init(&null->outbox);
	if (rc) {
		free(null);
		return rc;
	}
	null->engine.ops = &block_engine_null;
	null->engine.fd = null->outbox.fd;
	null->image = image;
	*engine = &null->engine;
	return 0;
}

static void null_queue(struct block_engine *engine, struct block_request *req)
{
	struct null *null = null_of(engine);

	block_transfer_begin(null->image, req);
	block_outbox_put(&null->outbox, req, req->result);
}

static void null_commit(struct block_engine *engine)
{
	block_outbox_announce(&null_of(engine)->outbox);
}

static struct block_request *null_reap(struct block_engine *engine,
				       unsigned int max)
{
	struct block_outbox *outbox = &null_of(engine)->outbox;
	struct block_request_list list = { .head = NULL };

	if (block_outbox_is_idle(outbox))
		return NULL;
	block_outbox_listen(outbox);
	block_outbox_take(outbox, &list, max);
	block_outbox_settle(outbox);
	return list.head;
}

static void null_close(struct block_engine *engine)
{
	if (!engine)
		return;
	block_outbox_finish(&null_of(engine)->outbox);
	free(engine);
}

const struct block_engine_ops block_engine_null = {
	.name = "null",
	.open = null_open,
	.queue = null_queue,
	.commit = null_commit,
	.reap = null_reap,
	.close = null_close,
};
