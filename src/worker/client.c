/* SPDX-License-Identifier: MIT */
/*
 * The monitor's side of a worker, which lives in the same process; see
 * worker/worker.h.
 *
 * What is said is done at once. What it is answered waits for the end of the
 * loop's turn, in the order in which it was said: the owner is never called
 * from within a call of its own.
 *
 * Failure modes: those of the worker, which are told. Answers that are not
 * given when the worker goes are not given at all.
 */
#include "worker/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/xen_worker.h"

/* One for each disk that there may be, and one to begin with. */
enum { ANSWERS_MAX = DISKS_MAX + 1 };

struct answer {
	bool begun; /* else it is about a disk */
	uint64_t id;
	int result;
	char error[BLOCK_ERROR_MAX];
};

struct worker {
	struct xen_worker_owner end; /* of what is below */
	struct xen_worker *xen;
	struct loop *loop;
	struct worker_owner *owner;
	struct loop_deferred answers;
	struct answer answer[ANSWERS_MAX]; /* that wait, the oldest first */
	unsigned int nanswers;
	uint64_t awaited[DISKS_MAX]; /* as the owner was told */
	unsigned int nawaited;
};

/* ---- the disks of the worker before ---- */

bool worker_awaits(const struct worker *w, uint64_t id)
{
	for (unsigned int i = 0; i < w->nawaited; i++)
		if (w->awaited[i] == id)
			return true;
	return false;
}

static void await_no_more(struct worker *w, uint64_t id)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->nawaited; i++)
		if (w->awaited[i] != id)
			w->awaited[n++] = w->awaited[i];
	w->nawaited = n;
}

/* ---- answers ---- */

/* The next one, to be filled in before the loop's turn ends. */
static struct answer *new_answer(struct worker *w)
{
	struct answer *answer = &w->answer[w->nanswers];

	assert(w->nanswers < ANSWERS_MAX);
	w->nanswers++;
	memset(answer, 0, sizeof(*answer));
	loop_defer(w->loop, &w->answers);
	return answer;
}

static void tell(struct worker *w, const struct answer *answer)
{
	const struct worker_owner_ops *ops = w->owner->ops;

	if (answer->begun) {
		w->nawaited = answer->result ?
				      0 :
				      xen_worker_awaited(w->xen, w->awaited);
		ops->begun(w->owner, answer->result, answer->error);
		return;
	}
	if (answer->result == 0)
		await_no_more(w, answer->id);
	ops->attached(w->owner, answer->id, answer->result, answer->error);
}

/* The owner may say more meanwhile, which is answered in the next turn. */
static void give_answers(struct loop_deferred *deferred)
{
	struct worker *w = container_of(deferred, struct worker, answers);
	struct answer now = w->answer[0];

	w->nanswers--;
	memmove(w->answer, w->answer + 1, w->nanswers * sizeof(now));
	if (w->nanswers)
		loop_defer(w->loop, &w->answers);
	tell(w, &now);
}

static void ended(struct xen_worker_owner *owner, uint64_t id)
{
	struct worker *w = container_of(owner, struct worker, end);

	w->owner->ops->ended(w->owner, id);
}

static const struct xen_worker_owner_ops owner_ops = { .ended = ended };

/* ---- what the owner says ---- */

void worker_begin(struct worker *w, unsigned int domid, int state_fd)
{
	struct answer *answer = new_answer(w);

	w->nawaited = 0;
	answer->begun = true;
	answer->result = xen_worker_begin(w->xen, domid, state_fd,
					  answer->error);
}

void worker_disown(struct worker *w, uint64_t id)
{
	await_no_more(w, id);
	xen_worker_disown(w->xen, id);
}

void worker_attach(struct worker *w, const struct worker_disk *disk)
{
	struct answer *answer = new_answer(w);

	answer->id = disk->id;
	answer->result = xen_worker_attach(w->xen, disk, answer->error);
}

void worker_resize(struct worker *w, uint64_t id, uint64_t bytes)
{
	xen_worker_resize(w->xen, id, bytes);
}

void worker_detach(struct worker *w, uint64_t id)
{
	xen_worker_detach(w->xen, id);
}

int worker_open(struct worker **worker, struct loop *loop,
		struct worker_owner *owner)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	*worker = NULL;
	if (!w)
		return -ENOMEM;
	w->end.ops = &owner_ops;
	w->loop = loop;
	w->owner = owner;
	w->answers.run = give_answers;
	r = xen_worker_open(&w->xen, loop, &w->end);
	if (r)
		free(w);
	else
		*worker = w;
	return r;
}

static void end(struct worker **worker, void (*end_xen)(struct xen_worker **))
{
	struct worker *w = *worker;

	if (!w)
		return;
	loop_undefer(w->loop, &w->answers);
	end_xen(&w->xen);
	*worker = NULL;
	free(w);
}

void worker_close(struct worker **worker)
{
	end(worker, xen_worker_close);
}

void worker_leave(struct worker **worker)
{
	end(worker, xen_worker_leave);
}

void worker_abandon(struct worker *w)
{
	if (w->xen)
		xen_worker_abandon(w->xen);
}

void worker_log_stats(const struct worker *w)
{
	xen_worker_log_stats(w->xen);
}
