/* SPDX-License-Identifier: MIT */
/*
 * Opening an engine, and what is the same for all engines when requests come
 * back: they are counted out, and a failed flush is remembered.
 *
 * Happy path: block_engine_open() finds the engine by name (or tries them, for
 * "auto"), and puts bounce buffers in front if the image is opened with
 * O_DIRECT, and merging. block_engine_reap() passes requests on.
 *
 * What is flushed. FLUSH goes to the image's one flushing thread instead of the
 * engine, and so does a stable write that the engine has done without
 * RWF_DSYNC, between its two ways back: first from the engine, then from there.
 * sync.h says why, and when a failure is for good.
 *
 * A write with RWF_DSYNC is write and flush in one and does not say which part
 * failed. What is plainly this request's own fault, or refused before anything
 * was written, costs nobody else anything (is_own_fault()); any other
 * error may tell of data that was written before, for instance that the device
 * has lost what was in its cache. Requests that come back in the same batch are
 * looked at twice, because one that came before the failing one in the list may
 * have missed what the other was told.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "block/engine.h"
#include "block/image.h"
#include "bounce.h"
#include "merge.h"
#include "sync.h"
#include "transfer.h"

const struct block_engine_kind *block_engine_find(const char *name)
{
	unsigned int i;

	for (i = 0; block_engines[i]; i++)
		if (strcmp(block_engines[i]->name, name) == 0)
			return block_engines[i];
	return NULL;
}

static int open_kind(struct block_engine **engine,
		     const struct block_engine_kind *kind,
		     const struct block_image *image, unsigned int depth)
{
	if (image->fd < 0 && !kind->stores_nothing)
		return -EINVAL;
	return kind->open(engine, image, depth);
}

/* May "auto" take this kind for this image? */
static bool suits(const struct block_engine_kind *kind,
		  const struct block_image *image)
{
	if (kind->stores_nothing || image->fd < 0)
		return kind->stores_nothing && image->fd < 0;
	return image->direct || !kind->for_direct;
}

static int open_auto(struct block_engine **engine,
		     const struct block_image *image, unsigned int depth)
{
	unsigned int i;
	int rc = -ENOENT;

	for (i = 0; block_engines[i]; i++) {
		if (!suits(block_engines[i], image))
			continue;
		rc = open_kind(engine, block_engines[i], image, depth);
		if (rc == 0)
			break;
	}
	return rc;
}

/* Put in front of an engine what this image needs; it is one chain to close. */
static int wrap_engine(struct block_engine **engine, unsigned int depth)
{
	int rc = 0;

	/* No memory is touched, and it does not matter how often. */
	if ((*engine)->kind->stores_nothing)
		return 0;
	if ((*engine)->image->direct)
		rc = block_bounce_open(engine, *engine, depth);
	return rc ? rc : block_merge_open(engine, *engine, depth);
}

int block_engine_open(struct block_engine **enginep, const char *name,
		      struct block_image *image, unsigned int depth)
{
	const struct block_engine_kind *kind = block_engine_find(name);
	struct block_engine *engine;
	int rc;

	assert(depth > 0);
	if (strcmp(name, "auto") == 0)
		rc = open_auto(&engine, image, depth);
	else
		rc = kind ? open_kind(&engine, kind, image, depth) : -ENOENT;
	if (rc)
		return rc;
	rc = wrap_engine(&engine, depth);
	if (rc) {
		block_verb_close(engine);
		return rc;
	}
	engine->depth = depth;
	if (!engine->kind->stores_nothing && !image->flush_is_noop)
		engine->sync = image->sync;
	*enginep = engine;
	return 0;
}

static bool promises_stable(const struct block_image *image,
			    const struct block_request *req)
{
	if (req->op == BLOCK_FLUSH)
		return !image->flush_is_noop;
	return (req->op == BLOCK_WRITE || req->op == BLOCK_WRITE_ZEROES) &&
	       block_transfer_is_stable(image, req);
}

/* Does this error say nothing of what other requests have written? */
static bool is_own_fault(int error)
{
	switch (-error) {
	case EINVAL: /* its range, its memory, its size: not begun */
	case EFAULT:
	case EFBIG:
	case EBADF: /* not allowed, or not possible: not begun */
	case EROFS:
	case EOPNOTSUPP:
	case ENOSYS:
	case ENOSPC: /* no room for it */
	case EDQUOT:
		return true;
	default:
		return false;
	}
}

void block_engine_flush(struct block_engine *engine, struct block_request *req)
{
	if (engine->sync)
		block_sync_submit(engine->sync, engine->outbox, req);
	else
		block_verb_queue(engine, req);
}

/* A write came back from the engine: has it to be flushed yet? */
static bool look_at_write(struct block_engine *engine,
			  const struct block_request *req)
{
	const struct block_image *image = engine->image;

	if (req->seen == BLOCK_SYNC_DONE)
		return false;
	if (!promises_stable(image, req)) {
		if (req->result == 0)
			block_sync_note_write(engine->sync, req);
		return false;
	}
	if (!block_transfer_is_dsync(image, req))
		return req->result == 0;
	if (req->result && !is_own_fault(req->result))
		block_sync_note_failure(engine->sync, req->result);
	return false;
}

/* What came back from the engine, without what goes on to be flushed. */
static struct block_request *look_at_result(struct block_engine *engine,
					    struct block_request *list)
{
	struct block_request **link = &list, *req;

	while ((req = *link)) {
		if ((req->op == BLOCK_WRITE || req->op == BLOCK_WRITE_ZEROES) &&
		    look_at_write(engine, req)) {
			*link = req->next;
			engine->inflight++;
			block_sync_submit(engine->sync, engine->outbox, req);
		} else {
			link = &req->next;
		}
	}
	return list;
}

/* No promise is made any more that data is stable. */
static void break_promises(const struct block_image *image,
			   struct block_request *req)
{
	for (; req; req = req->next)
		if (promises_stable(image, req))
			req->result = -EIO;
}

struct block_request *block_engine_reap(struct block_engine *engine,
					unsigned int max)
{
	unsigned int n;
	struct block_request *list = block_verb_reap(engine, max, &n);

	/* No more than that may ever be inside. */
	assert(n <= engine->inflight && engine->inflight <= engine->depth);
	engine->inflight -= n;
	if (!engine->sync)
		return list;
	list = look_at_result(engine, list);
	if (block_image_flush_error(engine->image))
		break_promises(engine->image, list);
	return list;
}

void block_engine_close(struct block_engine *engine)
{
	assert(!engine || engine->inflight == 0);
	block_verb_close(engine);
}
