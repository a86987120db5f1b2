/* SPDX-License-Identifier: MIT */
/*
 * Neighbouring requests as one, in front of an engine.
 *
 * Reads, or writes, that were queued one after the other and lie one behind the
 * other in the store go to the inner engine as one request, a run, with the
 * segments of all of them:
 *
 *   queue    the last request is held back until it is known whether the next
 *            one continues it; if so, a run is begun, and grows
 *   commit   what is held back goes to the inner engine
 *   reap     a run that comes back completes every request in it
 *
 * A request with no neighbour pays with one comparison. Nothing waits longer
 * for being held back: the inner engine starts nothing before its commit.
 *
 * Stable writes stay alone: when one fails nobody can tell by trying again what
 * was lost (see engine.c).
 *
 * Failure modes: a run that fails is done once more request by request, for the
 * error may be that of one block. There are as many runs as `depth` requests
 * can make; nothing is allocated after open.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "front.h"
#include "merge.h"
#include "request_list.h"
#include "transfer.h"

/* An offset that no request has. */
#define MERGE_NOWHERE UINT64_MAX

struct merge_run {
	struct block_request whole; /* the inner engine's */
	struct block_request_list owners;
	struct merge_run *next_free;
	struct virtio_iov iov[BLOCK_MERGE_IOV_MAX];
};

struct merge {
	struct block_front front;
	struct block_request *held; /* the last request, or NULL */
	uint64_t end;               /* where its neighbour begins */
	unsigned int busy;          /* runs that are not free */
	struct merge_run *free;
	unsigned int nfresh; /* runs used since the start */
	unsigned int nruns;
	struct merge_run *runs; /* mapped: only the used are there */
};

static struct merge *to_merge(struct block_engine *engine)
{
	return (struct merge *)engine;
}

_Static_assert(offsetof(struct merge_run, whole) == 0, "run_of() casts");

/* The run that a request is the whole of, NULL if it is a caller's. */
static struct merge_run *run_of(struct merge *m, struct block_request *req)
{
	if (!block_front_owns(m->runs, m->nruns, sizeof(m->runs[0]), req))
		return NULL;
	return (struct merge_run *)req;
}

static struct merge_run *take_run(struct merge *m)
{
	struct merge_run *run = m->free;

	m->busy++;
	if (run) {
		m->free = run->next_free;
		return run;
	}
	assert(m->nfresh < m->nruns);
	return &m->runs[m->nfresh++];
}

static void give_run(struct merge *m, struct merge_run *run)
{
	run->next_free = m->free;
	m->free = run;
	m->busy--;
}

/* Give on what is held back. */
static void give_on(struct merge *m)
{
	if (m->held)
		block_verb_queue(m->front.behind, m->held);
	m->held = NULL;
	m->end = MERGE_NOWHERE;
}

static void append_to_run(struct merge_run *run, struct block_request *req)
{
	struct block_request *whole = &run->whole;

	memcpy(&run->iov[whole->niov], req->iov,
	       req->niov * sizeof(run->iov[0]));
	whole->niov += req->niov;
	whole->length += req->length;
	block_request_list_append(&run->owners, req);
}

/* Make a run of the request that is held back. */
static struct merge_run *begin_run(struct merge *m)
{
	struct block_request *first = m->held;
	struct merge_run *run = take_run(m);

	run->whole = (struct block_request){
		.op = first->op,
		.flags = first->flags,
		.offset = first->offset,
		.iov = run->iov,
	};
	run->owners.head = NULL;
	append_to_run(run, first);
	m->held = &run->whole;
	return run;
}

static bool may_merge(const struct merge *m, const struct block_request *req)
{
	if (req->op == BLOCK_READ)
		return true;
	return req->op == BLOCK_WRITE &&
	       !block_transfer_is_stable(m->front.engine.image, req);
}

/* Whether a request that begins where the one held back ends goes with it. */
static bool fits_run(const struct merge *m, const struct block_request *req)
{
	const struct block_request *held = m->held;

	return req->op == held->op && req->flags == held->flags &&
	       req->length > 0 &&
	       held->niov + req->niov <= BLOCK_MERGE_IOV_MAX &&
	       held->length + req->length <= BLOCK_MERGE_BYTES_MAX;
}

static void queue_request(struct block_engine *engine,
			  struct block_request *req)
{
	struct merge *m = to_merge(engine);

	if (req->offset == m->end && fits_run(m, req)) {
		struct merge_run *run = run_of(m, m->held);

		append_to_run(run ? run : begin_run(m), req);
		m->end += req->length;
		return;
	}
	give_on(m);
	m->held = req;
	if (may_merge(m, req))
		m->end = req->offset + req->length;
}

static void commit_queued(struct block_engine *engine)
{
	struct merge *m = to_merge(engine);

	give_on(m);
	block_verb_commit(m->front.behind);
}

/* A run came back well: so did all of its requests. */
static void complete_run(struct merge_run *run, struct block_request_list *list)
{
	struct block_request *req;

	for (req = run->owners.head; req; req = req->next)
		req->result = 0;
	block_request_list_splice(list, &run->owners);
}

/* A run failed: do its requests one by one. */
static void retry_alone(struct merge *m, struct merge_run *run)
{
	struct block_request *req;

	while ((req = block_request_list_pop(&run->owners)))
		block_verb_queue(m->front.behind, req);
	block_verb_commit(m->front.behind);
}

/* What came back, without the runs: true if something was started anew. */
static bool sort_out(struct merge *m, struct block_request *req,
		     struct block_request_list *list)
{
	struct block_request *next;
	bool anew = false;

	for (; req; req = next) {
		struct merge_run *run = run_of(m, req);

		next = req->next;
		if (!run) {
			block_request_list_append(list, req);
			continue;
		}
		if (run->whole.result == 0) {
			complete_run(run, list);
		} else {
			retry_alone(m, run);
			anew = true;
		}
		give_run(m, run);
	}
	return anew;
}

static struct block_request *reap_done(struct block_engine *engine,
				       unsigned int max)
{
	struct merge *m = to_merge(engine);
	struct block_request_list list = { .head = NULL };
	struct block_request *req;
	unsigned int n;

	/*
	 * NULL would say that nothing was completed by a commit; see engine.h
	 */
	do {
		req = block_verb_reap(m->front.behind, max, &n);
		if (m->busy == 0)
			return req;
	} while (sort_out(m, req, &list) && !list.head);
	return list.head;
}

static void close_engine(struct block_engine *engine)
{
	struct merge *m = to_merge(engine);

	block_verb_close(m->front.behind);
	munmap(m->runs, m->nruns * sizeof(m->runs[0]));
	free(m);
}

static const struct block_engine_ops merge_ops = {
	.queue = queue_request,
	.commit = commit_queued,
	.reap = reap_done,
	.close = close_engine,
	.joins = true,
};

int block_merge_open(struct block_engine **engine, struct block_engine *behind,
		     unsigned int depth)
{
	struct merge *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	/* A run has two requests at least. */
	m->nruns = depth / 2 + 1;
	m->runs = mmap(NULL, m->nruns * sizeof(m->runs[0]),
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->runs == MAP_FAILED) {
		free(m);
		return -ENOMEM;
	}
	block_front_init(&m->front, &merge_ops, behind, depth);
	m->end = MERGE_NOWHERE;
	*engine = &m->front.engine;
	return 0;
}
