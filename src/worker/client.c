/* SPDX-License-Identifier: MIT */
/*
 * The monitor's end of the link to a worker; see worker/worker.h.
 *
 * What the owner says is sent, and noted in the ledger; what comes is held
 * against that and told to the owner, by the loop. The worker is at the other
 * end of a socket, wherever its starter has put it, and there is one at a time:
 *
 *	state	event				what is done		next
 *	NONE	the owner begins		start one		RUNS
 *	RUNS	the owner rests, or begins	have it end, and wait	ENDS
 *		with another guest		for that
 *		it says what it may not, or	kill it			DIES
 *		its end of the link is closed
 *	ENDS	it does not for a while		kill it			ENDS
 *	any	it is gone			tell the owner, if it	NONE
 *						was to run; start the
 *						next, if the owner has
 *						begun meanwhile
 *
 * So no worker is there before the one before it is gone, and nobody is told of
 * a loss before that.
 *
 * Whether one that runs is alive is asked a while after it was told anything,
 * and again as long as it owes an answer. One that is left alone is not asked,
 * so that a guest which does nothing costs nothing.
 *
 * Failure modes: a worker that answers what it was not asked, that does not
 * listen, or that is gone, is lost, and the owner is told once. Answers that
 * are not there by then are not given at all. One that cannot be started is
 * lost as well, and so is one that does not say that it is alive; while it
 * waits for a store it does.
 */
#include "worker/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "link/ledger.h"
#include "link/message.h"
#include "link/options.h"
#include "link/say.h"
#include "worker/events.h"
#include "worker/starter.h"

/* How long a worker without a guest has for its end. */
#define REST_NS (2 * NS_PER_SECOND)

/*
 * How long the end of the program waits for the worker, whose requests in
 * flight may take long; and once it was killed. A unit has 60 s for both.
 */
#define END_NS (45 * NS_PER_SECOND)
#define KILLED_NS (2 * NS_PER_SECOND)

/*
 * How long after it was told something it is asked whether it is alive, and how
 * often that long it may be silent then. A machine is not that busy.
 */
#define ASK_NS (10 * NS_PER_SECOND)
enum {
	SILENT_MAX = 2,
	/* So often it says so at most, meanwhile: of its own accord as well. */
	PONGS_MAX = 64,
};

enum worker_state {
	WORKER_NONE,
	WORKER_RUNS,
	WORKER_ENDS,
	WORKER_DIES,
};

struct worker {
	struct worker_starter *starter;
	struct loop *loop;
	struct worker_owner *owner;
	enum worker_state state;
	unsigned int domid;        /* of the guest that it was started for */
	struct loop_source source; /* of the link; fd -1: there is none */
	bool listens;              /* ... and is heard */
	bool failed;               /* why it dies was said */
	struct loop_timer rest;    /* armed: it was told to end */
	struct loop_timer ask;     /* armed: it was told something */
	bool asked;                /* ... and then whether it is alive */
	bool heard;                /* ... and has said anything since */
	unsigned int silent, pongs;
	struct loop_deferred lost; /* that is to be told */
	bool last;                 /* ... and that there is to be none */
	struct events events;
	struct link_ledger ledger;
	/* What the next one begins with, once this one is gone. */
	bool begins;
	unsigned int next_domid;
	int next_fd; /* the owner's */
};

static void hear(struct worker *w, bool listens)
{
	if (w->listens)
		loop_remove(w->loop, &w->source);
	w->listens = listens;
}

static void cut(struct worker *w)
{
	hear(w, false);
	loop_disarm(w->loop, &w->ask);
	if (w->source.fd >= 0)
		close(w->source.fd);
	w->source.fd = -1;
}

/*
 * It cannot be relied on any more: gone() follows. One that has closed its end
 * most likely is, and how, that says.
 */
static void lose(struct worker *w, const char *why)
{
	if (why)
		log_error("the worker of domain %u has failed: %s", w->domid,
			  why);
	w->failed = why != NULL;
	cut(w);
	w->state = WORKER_DIES;
	worker_starter_kill(w->starter);
}

static void lost(struct loop_deferred *deferred)
{
	struct worker *w = container_of(deferred, struct worker, lost);

	w->owner->ops->lost(w->owner, w->last);
}

static void send_message(struct worker *w, const struct link_message *m,
			 const int *fds)
{
	const char *why;

	if (w->state != WORKER_RUNS)
		return;
	why = link_say_to_worker(w->source.fd, m, fds);
	if (why) {
		lose(w, why);
	} else if (!w->ask.armed) {
		w->asked = false;
		loop_arm(w->loop, &w->ask, ASK_NS);
	}
}

static void say(struct worker *w, enum link_type type)
{
	const struct link_message m = { .type = type };

	send_message(w, &m, NULL);
}

/* ---- whether it is alive ---- */

static void ask(struct worker *w)
{
	w->asked = true;
	w->heard = false;
	w->silent = 0;
	w->pongs = 0;
	loop_arm(w->loop, &w->ask, ASK_NS);
	say(w, LINK_PING);
}

static void ask_due(struct loop_timer *timer)
{
	struct worker *w = container_of(timer, struct worker, ask);

	if (!w->asked || (w->heard && link_ledger_waits(&w->ledger)))
		ask(w);
	else if (!w->heard && ++w->silent == SILENT_MAX)
		lose(w, "it was told something, and is silent since then");
	else if (!w->heard)
		loop_arm(w->loop, &w->ask, ASK_NS);
}

static const char *note_heard(struct worker *w, const struct link_message *m)
{
	w->heard = true;
	if (m->type == LINK_PONG && ++w->pongs > PONGS_MAX)
		return "it says too often that it is alive";
	return link_ledger_answer(&w->ledger, m);
}

/* ---- what the worker answers ---- */

static void tell(struct worker *w, const struct link_message *m)
{
	const struct worker_owner_ops *ops = w->owner->ops;

	if (m->type == LINK_BEGUN)
		ops->begun(w->owner, m->begun.result, m->begun.error);
	else if (m->type == LINK_ATTACHED)
		ops->attached(w->owner, m->attached.id, m->attached.result,
			      m->attached.error);
	else if (m->type == LINK_ENDED)
		ops->ended(w->owner, m->disk.id);
}

static void ready(struct loop_source *source, uint32_t events)
{
	struct worker *w = container_of(source, struct worker, source);
	struct link_message m;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r = link_message_receive(source->fd, LINK_TO_MONITOR, &m, fds,
				     &why);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r == 1)
		why = note_heard(w, &m);
	else if (r && !why)
		why = strerror(-r);
	if (r == 0 || why)
		lose(w, why);
	else
		tell(w, &m);
}

/* ---- what the owner says ---- */

bool worker_awaits(const struct worker *w, uint64_t id)
{
	return link_ledger_awaits(&w->ledger, id);
}

unsigned int worker_awaited(const struct worker *w, uint64_t id[DISKS_MAX])
{
	return link_ledger_awaited(&w->ledger, id);
}

void worker_disown(struct worker *w, uint64_t id)
{
	struct link_message m = { .type = LINK_DISOWN };

	if (w->state != WORKER_RUNS)
		return;
	m.disk.id = id;
	link_ledger_disown(&w->ledger, id);
	send_message(w, &m, NULL);
}

void worker_attach(struct worker *w, const struct worker_disk *disk)
{
	struct link_message m = { .type = LINK_ATTACH };
	struct link_attach *a = &m.attach;
	int fds[LINK_FDS_MAX];
	unsigned int n = 0;

	if (w->state != WORKER_RUNS) {
		block_part_close(disk->part);
		return;
	}
	a->id = disk->id;
	a->base = disk->base;
	a->irq = disk->irq;
	a->kept = disk->state_fd >= 0;
	a->adopt = disk->adopt;
	a->broken = disk->broken;
	a->has_sync = disk->part->sync_fd >= 0;
	snprintf(a->name, sizeof(a->name), "%s", disk->name);
	a->facts = disk->part->facts;
	link_options_write(&a->options, disk->options);
	if (a->kept)
		fds[n++] = disk->state_fd;
	if (a->facts.has_file)
		fds[n++] = disk->part->fd;
	if (a->has_sync)
		fds[n++] = disk->part->sync_fd;
	link_ledger_attach(&w->ledger, disk->id);
	send_message(w, &m, fds);
	/* Theirs alone: what is in flight there keeps its lock. */
	block_part_close(disk->part);
}

void worker_resize(struct worker *w, uint64_t id, uint64_t bytes)
{
	struct link_message m = { .type = LINK_RESIZE };

	m.resize.id = id;
	m.resize.bytes = bytes;
	send_message(w, &m, NULL);
}

void worker_detach(struct worker *w, uint64_t id)
{
	struct link_message m = { .type = LINK_DETACH };

	if (w->state != WORKER_RUNS)
		return;
	m.disk.id = id;
	link_ledger_detach(&w->ledger, id);
	send_message(w, &m, NULL);
}

void worker_log_stats(struct worker *w)
{
	say(w, LINK_LOG_STATS);
}

void worker_trace(struct worker *w, bool on)
{
	const struct link_message m = events_trace(&w->events, on);

	send_message(w, &m, NULL);
}

void worker_log_events(struct worker *w)
{
	events_log(&w->events);
}

/* ---- one and the next ---- */

/* The worker at the other end; its descriptor is its own in any case. */
static int start(struct worker *w, unsigned int domid)
{
	struct link_message m;
	int fd[2], r = link_socket_pair(fd);

	if (r)
		return r;
	w->source.fd = fd[0];
	r = loop_add(w->loop, &w->source, EPOLLIN);
	w->listens = r == 0;
	if (r)
		close(fd[1]);
	else
		r = worker_starter_start(w->starter, domid, fd[1]);
	if (r) {
		cut(w);
		return r;
	}
	w->domid = domid;
	w->failed = false;
	w->pongs = 0;
	w->state = WORKER_RUNS;
	m = events_begin(&w->events);
	send_message(w, &m, &w->events.area_fd);
	return 0;
}

/* None runs, or the one of this guest. */
static void begin(struct worker *w, unsigned int domid, int state_fd)
{
	struct link_message m = { .type = LINK_BEGIN };
	int r = w->state == WORKER_NONE ? start(w, domid) : 0;

	if (r) {
		log_error("no worker can be started for domain %u: %s", domid,
			  strerror(-r));
		w->last = r == -EPIPE;
		loop_defer(w->loop, &w->lost);
		return;
	}
	m.begin.domid = domid;
	m.begin.kept = state_fd >= 0;
	link_ledger_begin(&w->ledger);
	send_message(w, &m, &state_fd);
}

void worker_rest(struct worker *w)
{
	w->begins = false;
	if (w->state != WORKER_RUNS)
		return;
	say(w, LINK_CLOSE);
	if (w->state != WORKER_RUNS)
		return;
	hear(w, false);
	loop_disarm(w->loop, &w->ask);
	w->state = WORKER_ENDS;
	loop_arm(w->loop, &w->rest, REST_NS);
}

static void rest_over(struct loop_timer *timer)
{
	struct worker *w = container_of(timer, struct worker, rest);

	log_warning("the worker of domain %u does not end; it is killed",
		    w->domid);
	worker_starter_kill(w->starter);
}

void worker_begin(struct worker *w, unsigned int domid, int state_fd)
{
	loop_undefer(w->loop, &w->lost);
	if (w->state == WORKER_RUNS && w->domid != domid)
		worker_rest(w);
	if (w->state == WORKER_NONE || w->state == WORKER_RUNS) {
		begin(w, domid, state_fd);
		return;
	}
	memset(&w->ledger, 0, sizeof(w->ledger));
	w->begins = true;
	w->next_domid = domid;
	w->next_fd = state_fd;
}

static void gone(void *arg, const char *how)
{
	struct worker *w = arg;
	const bool was_to_run = w->state == WORKER_RUNS ||
				w->state == WORKER_DIES;

	if (was_to_run && !w->failed)
		log_error("the worker of domain %u has ended: %s", w->domid,
			  how);
	else
		log_debug("the worker of domain %u has ended: %s", w->domid,
			  how);
	loop_disarm(w->loop, &w->rest);
	cut(w);
	events_end(&w->events, was_to_run);
	w->state = WORKER_NONE;
	memset(&w->ledger, 0, sizeof(w->ledger));
	if (w->begins) {
		w->begins = false;
		begin(w, w->next_domid, w->next_fd);
	} else if (was_to_run) {
		w->owner->ops->lost(w->owner, false);
	}
}

/* ---- from the first to the last ---- */

int worker_open(struct worker **worker, struct loop *loop,
		struct worker_owner *owner, struct worker_starter *starter)
{
	struct worker *w = calloc(1, sizeof(*w));

	*worker = NULL;
	if (!w) {
		log_error("no memory for a worker");
		return -ENOMEM;
	}
	w->loop = loop;
	w->owner = owner;
	w->starter = starter;
	w->events = EVENTS_OF(DISKS_MAX);
	w->rest.due = rest_over;
	w->ask.due = ask_due;
	w->lost.run = lost;
	w->source = (struct loop_source){ .fd = -1, .ready = ready };
	starter->gone = gone;
	starter->arg = w;
	*worker = w;
	return 0;
}

static void end(struct worker **worker, enum link_type how)
{
	struct worker *w = *worker;

	if (!w)
		return;
	say(w, how);
	/* One that was killed has no time for more. */
	if (worker_starter_wait(w->starter,
				w->state == WORKER_DIES ? KILLED_NS : END_NS)) {
		log_error("the worker of domain %u does not end; it is killed",
			  w->domid);
		worker_starter_kill(w->starter);
		worker_starter_wait(w->starter, KILLED_NS);
	}
	loop_undefer(w->loop, &w->lost);
	loop_disarm(w->loop, &w->rest);
	cut(w);
	events_end(&w->events, false);
	*worker = NULL;
	free(w);
}

void worker_close(struct worker **worker)
{
	end(worker, LINK_CLOSE);
}

void worker_leave(struct worker **worker)
{
	end(worker, LINK_LEAVE);
}

void worker_abandon(struct worker *w)
{
	worker_starter_abandon(w->starter);
}
