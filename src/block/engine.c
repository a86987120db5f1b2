/* SPDX-License-Identifier: MIT */
/*
 * Opening an engine, and what is the same for all engines when requests come
 * back: they are counted out, and a failed flush is remembered.
 *
 * Happy path: block_engine_open() finds the engine by name (or tries them, for
 * "auto"), and puts bounce buffers in front if the image is opened with
 * O_DIRECT, and merging. block_engine_reap() passes requests on.
 *
 * A failed flush. When fdatasync fails the kernel has dropped the dirty state
 * of what it could not write and says so once; a repeated fdatasync succeeds
 * without having written anything. So the first failure is kept in the image,
 * for all engines that share it, and every later FLUSH and stable write is
 * -EIO. Requests that come back in the same batch are looked at twice, because
 * a flush that came before the failing one in the list may have missed exactly
 * the error that the other was told. A stable write (RWF_DSYNC) is write and
 * fdatasync in one and does not say which part failed:
 *
 *   EIO             may be the sync: kept
 *   ENOSPC, EDQUOT  is the write's, unless the image is buffered and earlier
 *                   writes are not yet allocated (NFS): then kept
 *   others          the write was refused and nothing else is concerned
 *
 * Left open: between the kernel telling one engine and that engine's reap()
 * another thread's flush may succeed.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "block/engine.h"
#include "block/image.h"
#include "bounce.h"
#include "merge.h"
#include "transfer.h"

static const struct block_engine_ops *engine_find(const char *name)
{
	unsigned int i;

	for (i = 0; block_engines[i]; i++)
		if (strcmp(block_engines[i]->name, name) == 0)
			return block_engines[i];
	return NULL;
}

/* May "auto" take this engine for this image? */
static bool engine_suits(const struct block_engine_ops *ops,
			 const struct block_image *image)
{
	if (image->fd < 0)
		return strcmp(ops->name, "null") == 0;
	if (strcmp(ops->name, "libaio") == 0)
		return image->direct;
	return strcmp(ops->name, "null") != 0;
}

static int engine_open_auto(struct block_engine **engine,
			    const struct block_image *image, unsigned int depth)
{
	unsigned int i;
	int rc = -ENOENT;

	for (i = 0; block_engines[i]; i++) {
		if (!engine_suits(block_engines[i], image))
			continue;
		rc = block_engines[i]->open(engine, image, depth);
		if (rc == 0)
			break;
	}
	return rc;
}

/* Put in front of an engine what this image needs; it is one chain to close. */
static int engine_wrap(struct block_engine **engine,
		       const struct block_image *image, unsigned int depth)
{
	int rc = 0;

	/* The null engine touches no memory and does not care how often. */
	if (strcmp((*engine)->ops->name, "null") == 0)
		return 0;
	if (image->direct)
		rc = block_bounce_open(engine, *engine, image, depth);
	return rc ? rc : block_merge_open(engine, *engine, image, depth);
}

int block_engine_open(struct block_engine **enginep, const char *name,
		      struct block_image *image, unsigned int depth)
{
	const struct block_engine_ops *ops = engine_find(name);
	struct block_engine *engine;
	int rc;

	assert(depth > 0);
	if (strcmp(name, "auto") == 0)
		rc = engine_open_auto(&engine, image, depth);
	else
		rc = ops ? ops->open(&engine, image, depth) : -ENOENT;
	if (rc)
		return rc;
	rc = engine_wrap(&engine, image, depth);
	if (rc) {
		engine->ops->close(engine);
		return rc;
	}
	engine->image = image;
	*enginep = engine;
	return 0;
}

static bool engine_promises_stable(const struct block_image *image,
				   const struct block_request *req)
{
	if (req->op == BLOCK_FLUSH)
		return !image->flush_is_noop;
	return (req->op == BLOCK_WRITE || req->op == BLOCK_WRITE_ZEROES) &&
	       block_transfer_is_stable(image, req);
}

/* Does this failure mean that something written before may be lost? */
static bool engine_lost_writes(const struct block_image *image,
			       const struct block_request *req)
{
	if (req->result == 0 || !engine_promises_stable(image, req))
		return false;
	if (req->op == BLOCK_FLUSH || req->result == -EIO)
		return true;
	return (req->result == -ENOSPC || req->result == -EDQUOT) &&
	       !image->direct && !image->write_through;
}

static void engine_keep_flush_error(struct block_image *image, int error)
{
	int none = 0;

	__atomic_compare_exchange_n(&image->flush_error, &none, error, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

struct block_request *block_engine_reap(struct block_engine *engine,
					unsigned int max)
{
	struct block_request *list = engine->ops->reap(engine, max);
	struct block_image *image = engine->image;
	struct block_request *req;

	for (req = list; req; req = req->next) {
		assert(engine->inflight > 0);
		engine->inflight--;
		if (engine_lost_writes(image, req))
			engine_keep_flush_error(image, req->result);
	}
	if (!__atomic_load_n(&image->flush_error, __ATOMIC_SEQ_CST))
		return list;
	for (req = list; req; req = req->next)
		if (engine_promises_stable(image, req))
			req->result = -EIO;
	return list;
}

void block_engine_close(struct block_engine *engine)
{
	if (!engine)
		return;
	assert(engine->inflight == 0);
	engine->ops->close(engine);
}
