/* SPDX-License-Identifier: MIT */
/*
 * The seam between the device and Linux storage: a block engine moves the data
 * of requests to and from one opened image.
 *
 * Life of a request: queue() takes it, commit() starts all that were queued
 * with as few system calls as the engine can, the engine's descriptor becomes
 * readable when something has completed, reap() gives completed requests back.
 * What was completed by commit() itself need not make the descriptor readable:
 * reap until NULL comes after a commit, and only then wait.
 *
 * An engine is used by one thread. None of the verbs blocks, calls back into
 * its caller or logs. queue() cannot fail: a request that the kernel does not
 * take now waits in the engine's own list and goes with a later commit() or
 * reap(). Whatever goes wrong with a request is its `result`. A short transfer
 * is continued by the engine; a read past the end of the image is -EIO.
 */
#ifndef BLOCK_ENGINE_H
#define BLOCK_ENGINE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "block/image.h"
#include "block/request.h"

struct block_engine;
struct block_outbox;

/* The verbs: an engine's, or of what stands in front of one. */
struct block_engine_ops {
	/*
	 * Take a request. At most `depth` are inside the engine at a time. A
	 * FLUSH comes here only where there is nothing to flush, and what makes
	 * a write stable is the engine's only where image->dsync says so.
	 */
	void (*queue)(struct block_engine *engine, struct block_request *req);
	/* Start everything queued since the last commit. */
	void (*commit)(struct block_engine *engine);
	/*
	 * Collect completed requests, at most `max` (neighbours that were done
	 * as one count as one), linked by `next`; NULL when there are none.
	 * Never blocks. Costs no system call where the kernel has nothing to
	 * tell.
	 */
	struct block_request *(*reap)(struct block_engine *engine,
				      unsigned int max);
	/* Free the engine; nothing may be in flight. */
	void (*close)(struct block_engine *engine);
	bool joins; /* it does neighbours as one */
};

/* What can be opened. */
struct block_engine_kind {
	const char *name; /* as in engine=NAME */
	/*
	 * Requests for which a commit of their own pays. A long row is started
	 * in batches of so many, that the first are answered early.
	 */
	unsigned int batch;
	/*
	 * It has no store: an image without a file will do, and nothing is put
	 * in front of it, nor flushed.
	 */
	bool stores_nothing;
	/* Where the page cache is used, another one is better. */
	bool for_direct;
	/*
	 * Make an engine for at most `depth` requests in flight on `image`,
	 * which must outlive it. Returns 0 and stores the engine, or a negative
	 * errno (-ENOSYS, -EPERM: this machine does not have the engine).
	 */
	int (*open)(struct block_engine **engine,
		    const struct block_image *image, unsigned int depth);
};

/* What every engine starts with; each embeds it as its first member. */
struct block_engine {
	/* Set by open(): */
	const struct block_engine_kind *kind;
	const struct block_engine_ops *ops;
	const struct block_image *image;
	/* Readable (EPOLLIN) while completions wait for reap(). Owned. */
	int fd;
	/* Where others put what they did for it; only if it stores something */
	struct block_outbox *outbox;

	/* Of the one that block_engine_open() returns: */
	unsigned int depth;
	unsigned int inflight;   /* requests queued and not yet reaped */
	struct block_sync *sync; /* who flushes; NULL: there is nothing to */
};

/*
 * The verbs, called: by block_engine_queue() and its like, and by what stands
 * in front of an engine. Each is called here only, so that here is asserted
 * what the two sides owe each other. Nothing of it is for a guest to decide:
 * the device has checked its requests, and what a store refuses is a result.
 */
static inline void block_verb_queue(struct block_engine *engine,
				    struct block_request *req)
{
	assert(req->op < BLOCK_OPS);
	engine->ops->queue(engine, req);
}

static inline void block_verb_commit(struct block_engine *engine)
{
	engine->ops->commit(engine);
}

/* The number of requests is stored in `n`. */
static inline struct block_request *
block_verb_reap(struct block_engine *engine, unsigned int max, unsigned int *n)
{
	struct block_request *list = engine->ops->reap(engine, max);
	const struct block_request *req;

	*n = 0;
	for (req = list; req; req = req->next) {
		assert(req->result <= 0);
		++*n;
	}
	assert(*n <= max || engine->ops->joins);
	return list;
}

/* NULL is allowed. */
static inline void block_verb_close(struct block_engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

/* The kinds of this build, best first, ended by NULL. */
extern const struct block_engine_kind *const block_engines[];

/* The kind of that name, or NULL. */
const struct block_engine_kind *block_engine_find(const char *name);

/*
 * Open the engine called `name`, or for "auto" the first of io_uring, libaio
 * (only if the image is opened with O_DIRECT: it blocks otherwise) and threads
 * that opens. The engine is wrapped with bounce buffers where the image is
 * opened with O_DIRECT, and with merging: neighbouring reads or writes that are
 * queued one after the other are done as one. Returns 0 or a negative errno;
 * -ENOENT for a name that this build does not know.
 */
int block_engine_open(struct block_engine **engine, const char *name,
		      struct block_image *image, unsigned int depth);

/* For block_engine_queue(). */
void block_engine_flush(struct block_engine *engine, struct block_request *req);

/* As the verbs above, of an engine that was opened here. */
static inline void block_engine_queue(struct block_engine *engine,
				      struct block_request *req)
{
	engine->inflight++;
	req->seen = __atomic_load_n(&engine->image->failures, __ATOMIC_RELAXED);
	if (req->op == BLOCK_FLUSH)
		block_engine_flush(engine, req);
	else
		block_verb_queue(engine, req);
}

static inline void block_engine_commit(struct block_engine *engine)
{
	block_verb_commit(engine);
}

/*
 * Completed requests as by reap() above; counts them out. May also be called
 * with nothing in flight, where the descriptor is readable: then it is not any
 * more.
 *
 * Once a FLUSH or a stable write has failed in a way that may have lost what
 * was acknowledged before, every later FLUSH and stable write of any engine of
 * the image is -EIO until the image is claimed again (image->flush_error): the
 * kernel tells of a lost write once, and the next fdatasync succeeds without
 * having written it. Where nothing acknowledged can be lost the failure is that
 * of the requests that were waiting for it, and the image goes on.
 */
struct block_request *block_engine_reap(struct block_engine *engine,
					unsigned int max);

/* NULL is allowed. */
void block_engine_close(struct block_engine *engine);

#endif
