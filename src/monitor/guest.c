/* SPDX-License-Identifier: MIT */
/*
 * Serving one Xen guest; see monitor/guest.h.
 *
 * Every change in xenstore leads to one review: what is there now is held
 * against what is served, whatever the event was. The guest's life:
 *
 *	state	  event				what is done		next
 *	AWAITED	  its domain is there		stop the grace time	SERVED
 *		  the grace time is over	leave the loop		ENDING
 *	SERVED	  a review			see guest_disk.c	SERVED
 *		  it has shut down		note whether it will	SERVED
 *						come back
 *		  it is dying or gone		detach all disks	LEAVING
 *	LEAVING	  the last disk has ended	forget the domain,	AWAITED
 *						start the grace time
 *	any	  the loop is left: a signal,	detach all disks	ENDING
 *		  or the grace time
 *	ENDING	  the last disk has ended	leave the loop again	-
 *
 * The grace time is long after a reboot or crash, short otherwise, and there is
 * none before the first domain. Without a disk «the last has ended» at once.
 *
 * Failure modes: what cannot be known is looked at again, later each time. A
 * xenstored that has forgotten everything takes no disk away. A guest found
 * running with disks of a vanished instance cannot be taken over: its next life
 * is served.
 */
#include "monitor/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "monitor/guest_disks.h"
#include "toolstack/domain.h"
#include "xen/logger.h"

/* How long to wait for the successor of a guest that is gone. */
#define GRACE_NS (3 * NS_PER_SECOND)
#define GRACE_REBOOT_NS (60 * NS_PER_SECOND)

/*
 * How long until xenstore is asked again what it has not answered: twice as
 * long each time. libxl waits for 10 s.
 */
#define AGAIN_MIN_NS (100 * NS_PER_MS)
#define AGAIN_MAX_NS (2 * NS_PER_SECOND)

enum guest_state {
	GUEST_AWAITED, /* there is no domain, or no more */
	GUEST_SERVED,
	GUEST_LEAVING, /* the domain is gone, its disks end */
	GUEST_ENDING,  /* the program ends, and the disks */
};

struct guest {
	struct worker_owner owner;
	enum guest_state state;
	const struct options *options;
	struct loop *loop;
	struct store store;
	struct domain domain;
	bool returns; /* it ended in a way that makes it come back */
	struct worker *worker;
	struct guest_disks disks;
	struct loop_deferred look; /* a review that is due */
	struct loop_timer grace;
	struct loop_timer again;
	uint64_t again_ns; /* how long it was armed for last; 0: it is not */
	int trouble;       /* errno of xenstore's last refusal, or 0 */
	struct log_limit errors; /* of xenstore */
};

static struct guest *served;

/* ---- the end of a domain ---- */

/* All disks have ended and the domain is gone: wait for its successor. */
static void left(struct guest *g)
{
	log_info("%s: domain %d is gone%s", g->domain.name, g->domain.id,
		 g->returns ? "; waiting for it to come back" : "");
	guest_disks_forget(&g->disks);
	domain_forget(&g->domain);
	g->state = GUEST_AWAITED;
	loop_arm(g->loop, &g->grace, g->returns ? GRACE_REBOOT_NS : GRACE_NS);
	/* It may have come back while its disks were being drained. */
	loop_defer(g->loop, &g->look);
}

static void leave(struct guest *g)
{
	g->state = GUEST_LEAVING;
	guest_disks_detach(&g->disks);
	if (!guest_disks_active(&g->disks))
		left(g);
}

static void grace_over(struct loop_timer *timer)
{
	struct guest *g = container_of(timer, struct guest, grace);

	log_info("%s: it has not come back; ending", g->domain.name);
	loop_quit(g->loop);
}

static void ended(struct worker_owner *owner, uint64_t id)
{
	struct guest *g = container_of(owner, struct guest, owner);

	guest_disks_ended(&g->disks, id);
	if (!guest_disks_active(&g->disks)) {
		if (g->state == GUEST_LEAVING)
			left(g);
		else if (g->state == GUEST_ENDING)
			loop_quit(g->loop);
	}
	/* There may be another one in its place. */
	loop_defer(g->loop, &g->look);
}

static const struct worker_owner_ops owner_ops = { .ended = ended };

/* ---- the review ---- */

static void look_for_domain(struct guest *g)
{
	char error[BLOCK_ERROR_MAX];

	if (!domain_find(&g->domain))
		return;
	/* Nothing that could fail is taken over. */
	worker_begin(g->worker, (unsigned int)g->domain.id, -1, error);
	loop_disarm(g->loop, &g->grace);
	g->returns = false;
	g->state = GUEST_SERVED;
	g->disks.host.guest = g->domain.name;
	g->disks.host.domid = g->domain.id;
	log_info("%s: serving domain %d", g->domain.name, g->domain.id);
}

static void review_life(struct guest *g)
{
	enum domain_shutdown reason = DOMAIN_POWEROFF;

	switch (domain_life(&g->domain, &reason)) {
	case DOMAIN_SHUT_DOWN:
		g->returns = reason == DOMAIN_REBOOT ||
			     reason == DOMAIN_CRASH ||
			     reason == DOMAIN_WATCHDOG;
		break;
	case DOMAIN_DYING:
	case DOMAIN_GONE:
		leave(g);
		break;
	case DOMAIN_RUNS:
	case DOMAIN_UNKNOWN:
		break;
	}
}

/*
 * What could not be known is looked at again; `error` is why, or 0. Where there
 * is no news of the domain in xenstore, only looking tells of its end.
 */
static void look_again_later(struct guest *g, int error, bool forgotten)
{
	if (error && error != g->trouble)
		log_limited(&g->errors, LOG_LEVEL_WARNING,
			    "%s: xenstore does not answer: %s; looking again",
			    g->options->domain, strerror(error));
	g->trouble = error;
	g->again_ns = error || forgotten ? 2 * g->again_ns : 0;
	if (!error && !forgotten)
		return;
	if (g->again_ns < AGAIN_MIN_NS)
		g->again_ns = AGAIN_MIN_NS;
	if (g->again_ns > AGAIN_MAX_NS)
		g->again_ns = AGAIN_MAX_NS;
	loop_arm(g->loop, &g->again, g->again_ns);
}

static void review(struct guest *g)
{
	bool forgotten = false;

	if (g->state == GUEST_ENDING)
		return;
	if (g->state == GUEST_AWAITED)
		look_for_domain(g);
	if (g->state == GUEST_SERVED) {
		forgotten = domain_is_forgotten(&g->domain);
		if (!forgotten)
			guest_disks_review(&g->disks);
		review_life(g);
	}
	look_again_later(g, store_take_trouble(&g->store), forgotten);
}

static void store_changed(struct store *store)
{
	review(container_of(store, struct guest, store));
}

static void again_due(struct loop_timer *timer)
{
	review(container_of(timer, struct guest, again));
}

static void look_due(struct loop_deferred *deferred)
{
	review(container_of(deferred, struct guest, look));
}

/* ---- from the first to the last ---- */

static int watch_all(struct guest *g)
{
	static const char *const paths[] = {
		"@introduceDomain",
		"@releaseDomain",
		"backend/virtio_disk",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int r = store_watch(&g->store, paths[i]);

		if (r) {
			log_error("cannot watch %s in xenstore: %s", paths[i],
				  strerror(-r));
			return r;
		}
	}
	return 0;
}

static int guest_open(struct guest *g, struct loop *loop,
		      const struct options *options)
{
	int r;

	g->options = options;
	g->loop = loop;
	g->owner.ops = &owner_ops;
	domain_init(&g->domain, &g->store, options->domain);
	g->grace.due = grace_over;
	g->again.due = again_due;
	g->look.run = look_due;
	g->store.changed = store_changed;
	r = worker_open(&g->worker, loop, &g->owner);
	if (r)
		return r;
	g->disks.host = (struct guest_disk_host){
		.store = &g->store,
		.worker = g->worker,
		.loop = loop,
		.overrides = options->disk,
		.noverrides = options->ndisks,
		.domid = NO_DOMAIN,
	};
	r = store_open(&g->store, loop);
	if (r)
		return r;
	g->domain.ctl = xen_domctl_open(xen_logger());
	r = watch_all(g);
	if (r)
		return r;
	log_info("waiting for domain %s", options->domain);
	return 0;
}

/*
 * The program ends: end all disks. In the loop, for the vCPUs that access them
 * meanwhile must not stand still until a slow store is done.
 */
static int drain(struct guest *g)
{
	int r = 0;

	g->state = GUEST_ENDING;
	guest_disks_detach(&g->disks);
	while (r == 0 && guest_disks_active(&g->disks))
		r = loop_run(g->loop);
	return r;
}

static void guest_close(struct guest *g)
{
	/* Without a loop, where that has failed. */
	worker_close(&g->worker);
	guest_disks_forget(&g->disks);
	loop_disarm(g->loop, &g->grace);
	loop_disarm(g->loop, &g->again);
	loop_undefer(g->loop, &g->look);
	domain_finish(&g->domain);
	store_close(&g->store);
}

int guest_serve(struct loop *loop, const struct options *options)
{
	struct guest *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return 1;
	r = guest_open(g, loop, options);
	served = g;
	if (r == 0)
		r = loop_run(loop);
	if (r == 0)
		r = drain(g);
	guest_close(g);
	served = NULL;
	free(g);
	return r ? 1 : 0;
}

void guest_abandon(void)
{
	struct guest *g = served;

	/* There is no worker at the very beginning and end. */
	if (g && g->worker)
		worker_abandon(g->worker);
	log_flush();
	_exit(1);
}

void guest_log_stats(void)
{
	if (served && served->worker)
		worker_log_stats(served->worker);
}
