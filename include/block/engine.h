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

#include <stdbool.h>
#include <stdint.h>

#include "block/image.h"
#include "block/request.h"

struct block_engine;
struct block_outbox;

struct block_engine_ops {
	const char *name; /* as in engine=NAME */
	/*
	 * Requests for which a commit of their own pays. A long row is started
	 * in batches of so many, that the first are answered early.
	 */
	unsigned int batch;

	/*
	 * Make an engine for at most `depth` requests in flight on `image`,
	 * which must outlive it. Returns 0 and stores the engine, or a negative
	 * errno (-ENOSYS, -EPERM: this machine does not have the engine).
	 */
	int (*open)(struct block_engine **engine,
		    const struct block_image *image, unsigned int depth);
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
	/* Free the engine; nothing may be in flight. NULL is allowed. */
	void (*close)(struct block_engine *engine);
};

/* What every engine starts with; each embeds it as its first member. */
struct block_engine {
	const struct block_engine_ops *ops;
	/* Readable (EPOLLIN) while completions wait for reap(). Owned. */
	int fd;
	unsigned int inflight; /* requests queued and not yet reaped */
	/*
	 * Where other threads put what they did for it; NULL: they do nothing
	 */
	struct block_outbox *outbox;
	struct block_image *image; /* set by block_engine_open() ... */
	struct block_sync *sync;   /* ... who flushes; NULL: the engine */
};

/* The engines of this build, best first, ended by NULL. */
extern const struct block_engine_ops *const block_engines[];

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

static inline void block_engine_queue(struct block_engine *engine,
				      struct block_request *req)
{
	engine->inflight++;
	req->seen = __atomic_load_n(&engine->image->failures, __ATOMIC_RELAXED);
	if (req->op == BLOCK_FLUSH)
		block_engine_flush(engine, req);
	else
		engine->ops->queue(engine, req);
}

static inline void block_engine_commit(struct block_engine *engine)
{
	engine->ops->commit(engine);
}

/*
 * Completed requests as by reap() above; counts them out. May also be called
 * with nothing in flight, where the descriptor is readable: then it is not any
 * more.
 *
 * Once a FLUSH or a stable write has failed in a way that may have lost what
 * was acknowledged before, every later FLUSH and stable write of any engine of
 * the image is -EIO until the image is opened again (image->flush_error): the
 * kernel tells of a lost write once, and the next fdatasync succeeds without
 * having written it. Where nothing acknowledged can be lost the failure is that
 * of the requests that were waiting for it, and the image goes on.
 */
struct block_request *block_engine_reap(struct block_engine *engine,
					unsigned int max);

void block_engine_close(struct block_engine *engine);

#endif
