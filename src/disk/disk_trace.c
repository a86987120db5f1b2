/* SPDX-License-Identifier: MIT */
/*
 * A disk's requests in its trace; see disk/disk_trace.h.
 *
 * While a queue is traced its engine is one that passes all on to the engine
 * behind it, and notes what comes by. So a request is told as the store sees
 * it: each range of a list by itself, and the flush that makes a write stable
 * as one of its own. What the device answers at once never comes to the store,
 * and is told by the core.
 *
 * What was under way before the trace was on has no beginning, and takes no
 * time.
 *
 * Failure: without memory a queue is not traced.
 */
#include "disk/disk_trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

struct traced {
	struct block_engine engine; /* first: this one */
	struct block_engine *behind;
	const struct disk_trace *queue;
	uint64_t since_ns[]; /* by slot; 0: it is not known */
};

/* Without spaces, as the rest of the line. */
static const char *const op_names[BLOCK_OPS] = {
	[BLOCK_READ] = "read",
	[BLOCK_WRITE] = "write",
	[BLOCK_FLUSH] = "flush",
	[BLOCK_DISCARD] = "discard",
	[BLOCK_WRITE_ZEROES] = "write-zeroes",
	[BLOCK_SECURE_ERASE] = "secure-erase",
};

/* What the device answers by itself is of any type. */
static void type_name(char name[TRACE_NAME_MAX], uint32_t type)
{
	static const struct {
		uint32_t type;
		const char *name;
	} known[] = {
		{ VIRTIO_BLK_T_IN, "read" },
		{ VIRTIO_BLK_T_OUT, "write" },
		{ VIRTIO_BLK_T_FLUSH, "flush" },
		{ VIRTIO_BLK_T_FLUSH_OUT, "flush-out" },
		{ VIRTIO_BLK_T_GET_ID, "get-id" },
		{ VIRTIO_BLK_T_DISCARD, "discard" },
		{ VIRTIO_BLK_T_WRITE_ZEROES, "write-zeroes" },
		{ VIRTIO_BLK_T_SECURE_ERASE, "secure-erase" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].type == type) {
			snprintf(name, TRACE_NAME_MAX, "%s", known[i].name);
			return;
		}
	snprintf(name, TRACE_NAME_MAX, "0x%x", type);
}

static uint16_t id_of(const struct block_request *req)
{
	return ((const struct virtio_blk_request *)req)->head;
}

static void note(const struct disk_trace *t, struct trace_event *event)
{
	event->queue = (uint16_t)t->queue;
	trace_note(t->trace, event);
}

static struct trace_event event_of(enum trace_kind kind,
				   const struct block_request *req)
{
	struct trace_event event = {
		.kind = (uint8_t)kind,
		.id = id_of(req),
		.value = req->offset / VIRTIO_BLK_SECTOR_SIZE,
		.length = req->length,
	};

	snprintf(event.name, sizeof(event.name), "%s", op_names[req->op]);
	return event;
}

void disk_trace_error(const struct disk_trace *t,
		      const struct block_request *req)
{
	struct trace_event event;

	/* That one is the disk's own, of no slot. */
	if (req == t->own)
		return;
	event = event_of(TRACE_ERROR, req);
	event.took_ns = (uint64_t) - (int64_t)req->result;
	note(t, &event);
}

/* ---- what comes by ---- */

static void queue_traced(struct block_engine *engine, struct block_request *req)
{
	struct traced *t = (struct traced *)engine;
	struct trace_event event;

	if (req != t->queue->own) {
		event = event_of(TRACE_BEGIN, req);
		note(t->queue, &event);
		t->since_ns[id_of(req)] = event.time_ns;
	}
	block_engine_queue(t->behind, req);
}

static void commit_traced(struct block_engine *engine)
{
	block_engine_commit(((struct traced *)engine)->behind);
}

static void note_end(struct traced *t, const struct block_request *req)
{
	struct trace_event event = event_of(TRACE_END, req);
	uint64_t *since_ns = &t->since_ns[id_of(req)];

	if (*since_ns)
		event.took_ns = clock_ns() - *since_ns;
	*since_ns = 0;
	event.status = req->result == -ECANCELED ?
			       TRACE_STATUS_NONE :
			       (uint8_t)virtio_blk_status_of(req->result);
	note(t->queue, &event);
}

static struct block_request *reap_traced(struct block_engine *engine,
					 unsigned int max)
{
	struct traced *t = (struct traced *)engine;
	struct block_request *list = block_engine_reap(t->behind, max);

	for (struct block_request *req = list; req; req = req->next)
		if (req != t->queue->own)
			note_end(t, req);
	return list;
}

static void close_traced(struct block_engine *engine)
{
	block_engine_close(((struct traced *)engine)->behind);
	free(engine);
}

static const struct block_engine_ops traced_ops = {
	.queue = queue_traced,
	.commit = commit_traced,
	.reap = reap_traced,
	.close = close_traced,
	.joins = true,
};

static void answered(void *arg, const struct virtio_blk_answered *what)
{
	struct trace_event event = {
		.kind = TRACE_END,
		.id = what->head,
		.value = what->sector,
		.length = what->bytes,
		.status = (uint8_t)what->status,
	};

	if (what->is_known)
		type_name(event.name, what->type);
	else
		snprintf(event.name, sizeof(event.name), "unknown");
	note(arg, &event);
}

/* ---- on and off ---- */

static struct block_engine *put_before(struct disk_trace *queue,
				       struct block_engine *engine)
{
	const size_t n = queue->bq->vq.size_max;
	struct traced *t = calloc(1, sizeof(*t) + n * sizeof(t->since_ns[0]));

	if (!t) {
		log_warning("%s: queue %u is not traced: no memory",
			    queue->trace->disk, queue->queue);
		return engine;
	}
	t->behind = engine;
	t->queue = queue;
	t->engine = *engine;
	t->engine.ops = &traced_ops;
	/* What has to be flushed the one behind knows. */
	t->engine.sync = NULL;
	queue->bq->answered_arg = queue;
	queue->bq->answered = answered;
	return &t->engine;
}

static struct block_engine *take_away(struct disk_trace *queue,
				      struct block_engine *engine)
{
	struct block_engine *behind = ((struct traced *)engine)->behind;

	queue->bq->answered = NULL;
	free(engine);
	return behind;
}

void disk_trace_switch(struct disk_trace *t, struct block_engine **engine)
{
	const bool is = *engine && (*engine)->ops == &traced_ops;
	const bool wanted = trace_is_on(t->trace);

	if (!*engine || is == wanted)
		return;
	*engine = wanted ? put_before(t, *engine) : take_away(t, *engine);
}
