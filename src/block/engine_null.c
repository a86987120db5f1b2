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
 * commit() completes all that was queued, so that reap() finds it right after,
 * as the engine's contract allows: the descriptor is never readable.
 *
 * Failure modes: none after open.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engines.h"
#include "request_list.h"
#include "transfer.h"

struct null {
	struct block_engine engine;
	struct block_request_list queued;
	struct block_request_list done;
};

static struct null *to_null(struct block_engine *engine)
{
	return (struct null *)engine;
}

static void queue_request(struct block_engine *engine,
			  struct block_request *req)
{
	struct null *null = to_null(engine);

	block_transfer_begin(null->engine.image, req);
	block_request_list_append(&null->queued, req);
}

static void commit_queued(struct block_engine *engine)
{
	struct null *null = to_null(engine);

	block_request_list_splice(&null->done, &null->queued);
}

static struct block_request *reap_done(struct block_engine *engine,
				       unsigned int max)
{
	struct null *null = to_null(engine);
	struct block_request_list list = { .head = NULL };

	block_request_list_move(&list, &null->done, max);
	return list.head;
}

static void close_engine(struct block_engine *engine)
{
	close(engine->fd);
	free(to_null(engine));
}

static const struct block_engine_ops null_ops = {
	.queue = queue_request,
	.commit = commit_queued,
	.reap = reap_done,
	.close = close_engine,
};

static int open_engine(struct block_engine **engine,
		       const struct block_image *image, unsigned int depth)
{
	struct null *null;

	(void)depth; /* requests wait in a list that links themselves */
	null = calloc(1, sizeof(*null));
	if (!null)
		return -ENOMEM;
	null->engine.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (null->engine.fd < 0) {
		int rc = -errno;

		free(null);
		return rc;
	}
	null->engine.kind = &block_engine_null;
	null->engine.ops = &null_ops;
	null->engine.image = image;
	*engine = &null->engine;
	return 0;
}

const struct block_engine_kind block_engine_null = {
	.name = "null",
	.batch = 8,
	.stores_nothing = true,
	.open = open_engine,
};
