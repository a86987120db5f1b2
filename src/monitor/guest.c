/* SPDX-License-Identifier: MIT */
/*
 * Serving one Xen guest; see monitor/guest.h.
 *
 * Every change in xenstore leads to one review: what is there now is held
 * against what is served, whatever the event was. The guest's life:
 *
 *	state	  event				what is done		next
 *	AWAITED	  its domain is there		no grace time, take	BEGINS
 *						its states, begin
 *		  the grace time is over	leave the loop		ENDING
 *	BEGINS	  the worker has begun		find what was left	SERVED,
 *							again		ENDING
 *		  it cannot with the states	begin without		BEGINS
 *		  it cannot			leave the loop		AWAITED
 *	SERVED	  a review			see guest_disk.c	SERVED
 *		  it has shut down		note whether it will	SERVED
 *						come back
 *		  it is dying or gone		detach all disks	LEAVING
 *	LEAVING	  the last disk has ended	forget the domain,	AWAITED
 *						remove its states,
 *						start the grace time
 *		  ... by number, and a watcher	leave the loop		ENDING
 *		  runs
 *	SERVED	  the loop is left: a signal	leave all disks to the	-
 *		  (unless --end=detach)		next process
 *	any	  the loop is left: a signal,	detach all disks	ENDING
 *		  or the grace time
 *	ENDING	  the last disk has ended	leave the loop again	-
 *	BEGINS,	  the worker is gone		begin again, at once	BEGINS
 *	SERVED,					or after a pause
 *	ENDING	  ... and so is the domain,	detach all disks	LEAVING
 *		  or in the pause
 *	LEAVING	  the worker is gone		see guest_disk.c	LEAVING
 *
 * While it BEGINS nothing else is done, whatever happens: that is looked at
 * when the worker has begun, also where the program ends. It begins again with
 * the states, so its disks are LEFT as those of another process are. A guest
 * without states is lost with its worker, unless it has had no disk yet.
 *
 * The grace time is long after a reboot or crash, short otherwise, and there is
 * none before the first domain. Without a disk «the last has ended» at once.
 * Where a watcher runs (src/instances) an instance that was given a number ends
 * with its domain, and at once where that is not there or another one serves
 * it: the watcher sees to whoever has disks.
 *
 * Disks that another process has left, or was killed with, are taken up in the
 * first review, or later, as their images get free.
 *
 * Failure modes: what cannot be known is looked at again, later each time. A
 * xenstored that has forgotten everything takes no disk away. Where states
 * cannot be had, the guest is served without, and is lost with the process; of
 * a guest that is found running so only the next life is served. One that
 * another process serves is not served. A state that cannot be gone on with is
 * left as it is: where another try may do better the program ends, else it goes
 * on for the guest's next life. Where workers die again and again a disk is
 * given up, and needs a reset: that which they die of, or else all of them.
 * Where that does not help the program ends as well, and leaves the guest to
 * the next one.
 */
#include "monitor/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "monitor/guest_disks.h"
#include "monitor/guest_lives.h"
#include "monitor/guest_pace.h"
#include "monitor/guest_states.h"
#include "monitor/state_look.h"
#include "toolstack/domain.h"
#include "xen/logger.h"

/* How long to wait for the successor of a guest that is gone. */
#define GRACE_NS (3 * NS_PER_SECOND)
#define GRACE_REBOOT_NS (60 * NS_PER_SECOND)

enum guest_state {
	GUEST_AWAITED, /* there is no domain, or no more */
	GUEST_BEGINS,  /* the worker is asked to begin */
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
	bool failed;  /* the program ends with status 1 */
	bool over;    /* the program ends: the watcher has what comes next */
	bool lost;    /* the worker is, and there is to be no other one */
	bool kept;    /* the worker was asked to begin with the states */
	bool resumes; /* ... once more, after another one */
	bool ends;    /* the program does, as soon as the worker has begun */
	bool drains;  /* it ends, and all disks first */
	struct worker *worker;
	struct guest_lives lives; /* of workers */
	struct guest_states states;
	struct guest_disks disks;
	bool watches_generic;           /* the devices of lines virtio=[...] */
	struct config_files late_files; /* those of a guest named by its id */
	struct loop_deferred look;      /* a review that is due */
	struct loop_timer grace;
	struct guest_pace pace;
};

static struct guest *served;

/* For people, who see it in systemctl status. */
static void say_status(const struct guest *g)
{
	unsigned int n = guest_disks_active(&g->disks);

	if (g->state == GUEST_AWAITED)
		notify_status("0 disks, waiting for %s", g->options->domain);
	else
		notify_status("%u disk%s, 1 guest: %s, domain %d", n,
			      log_plural(n), g->domain.name, g->domain.id);
}

/* ---- the end of a domain ---- */

/*
 * An instance that was given a number is for that domain, where a watcher has
 * another one started for the next: neither waits for what the other has.
 */
static bool is_for_one_domain(const struct guest *g)
{
	return domain_is_by_number(&g->domain) &&
	       state_look_is_watched(&g->states.dir);
}

static void leave_to_watcher(struct guest *g, const char *why)
{
	log_info("domain %s %s; ending, for there is a watcher",
		 g->domain.wanted, why);
	g->over = true;
	loop_quit(g->loop);
}

/*
 * One that serves it is there for good. What one that has died has left is gone
 * some time, and who then starts this one anew has to know that it failed.
 */
static bool is_served_by_other(const struct guest *g)
{
	return is_for_one_domain(g) &&
	       !state_look_is_left(&g->states.dir, (unsigned int)g->domain.id);
}

/* All disks have ended and the domain is gone: wait for its successor. */
static void left(struct guest *g)
{
	log_info("%s: domain %d is gone%s", g->domain.name, g->domain.id,
		 g->returns ? "; waiting for it to come back" : "");
	guest_disks_forget(&g->disks);
	g->disks.host.states = NULL;
	g->disks.host.vm = NULL;
	worker_rest(g->worker);
	state_dir_remove(&g->states.dir);
	domain_forget(&g->domain);
	g->state = GUEST_AWAITED;
	g->resumes = false;
	if (is_for_one_domain(g)) {
		leave_to_watcher(g, "is gone");
		return;
	}
	loop_arm(g->loop, &g->grace, g->returns ? GRACE_REBOOT_NS : GRACE_NS);
	/* It may have come back while its disks were being drained. */
	loop_defer(g->loop, &g->look);
}

/* Whether the last disk has ended, whose end was waited for. */
static void look_for_end(struct guest *g)
{
	if (guest_disks_active(&g->disks))
		return;
	if (g->state == GUEST_LEAVING)
		left(g);
	else if (g->state == GUEST_ENDING)
		loop_quit(g->loop);
}

static void leave(struct guest *g)
{
	g->state = GUEST_LEAVING;
	guest_disks_detach(&g->disks);
	look_for_end(g);
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
	look_for_end(g);
	say_status(g);
	/* There may be another one in its place. */
	loop_defer(g->loop, &g->look);
}

/* ---- its beginning ---- */

/* The program cannot do what it is there for: it ends with status 1. */
static void fail(struct guest *g)
{
	g->failed = true;
	loop_quit(g->loop);
}

/* Whether a state is no state that we know, and will not be one later. */
static bool is_unknown_state(int error)
{
	return error == -EOPNOTSUPP || error == -EINVAL || error == -ENODATA;
}

static void begin(struct guest *g, bool kept)
{
	g->state = GUEST_BEGINS;
	g->kept = kept;
	guest_lives_began(&g->lives);
	worker_begin(g->worker, (unsigned int)g->domain.id,
		     kept ? g->states.dir.server_fd : -1);
}

/* Before anything is served; it is not looked at again. */
static int read_late_files(struct guest *g)
{
	if (g->options->files.guest_is_read)
		return 0;
	g->disks.host.file = &g->late_files.guest;
	return config_files_read_guest(&g->late_files, g->options->config,
				       g->domain.name);
}

/* Only where somebody has said that there are disks. */
static int watch_generic(struct guest *g)
{
	static const char path[] = "backend/virtio";
	int r;

	if (g->watches_generic || !guest_disks_wants_generic(&g->disks))
		return 0;
	r = store_watch(&g->store, path);
	g->watches_generic = r == 0;
	if (r)
		log_error("cannot watch %s in xenstore: %s", path,
			  strerror(-r));
	return r;
}

static void look_for_domain(struct guest *g)
{
	int r;

	if (g->failed || g->over)
		return;
	if (!domain_find(&g->domain)) {
		/*
		 * What could not be read may be there, and is looked at again.
		 */
		if (!g->store.trouble && is_for_one_domain(g))
			leave_to_watcher(g, "is not there");
		return;
	}
	if (read_late_files(g) || watch_generic(g)) {
		fail(g);
		return;
	}
	r = guest_states_take(&g->states);
	if (r == -EBUSY && is_served_by_other(g))
		leave_to_watcher(g, "is served by another instance");
	else if (r && r != -EAGAIN)
		fail(g);
	if (r)
		return;
	loop_disarm(g->loop, &g->grace);
	begin(g, state_dir_has_guest(&g->states.dir));
}

static void serve_domain(struct guest *g)
{
	g->returns = false;
	g->state = g->drains ? GUEST_ENDING : GUEST_SERVED;
	g->disks.host.guest = g->domain.name;
	g->disks.host.domid = g->domain.id;
	g->disks.host.states = g->kept ? &g->states.dir : NULL;
	g->disks.host.vm = g->kept ? g->states.vm : NULL;
	guest_disks_find_left(&g->disks);
	log_info("%s: %s domain %d", g->domain.name,
		 g->resumes ? "going on with" : "serving", g->domain.id);
}

/* ---- a worker is gone ---- */

static void next_life_due(struct guest_lives *lives)
{
	struct guest *g = container_of(lives, struct guest, lives);

	begin(g, g->kept);
}

static void no_next_life(struct guest *g, const char *why)
{
	log_error("%s: %s; ending", g->domain.name, why);
	g->lost = true;
	fail(g);
}

static void next_life(struct guest *g)
{
	enum worker_lives_next next;

	if (guest_disks_were_reset(&g->disks))
		guest_lives_forget(&g->lives);
	next = guest_lives_next(&g->lives);
	if (next == WORKER_LIVES_END) {
		no_next_life(g, "worker after worker has died");
		return;
	}
	if (next == WORKER_LIVES_BREAK)
		guest_disks_break(&g->disks, guest_lives_breaks(&g->lives) > 1);
	if (!guest_lives_pause(&g->lives))
		begin(g, g->kept);
}

/* The guest waits for the next one, which begins as after another process. */
static void begin_again(struct guest *g, bool can)
{
	guest_lives_died(&g->lives,
			 g->state != GUEST_BEGINS && !g->disks.suspect);
	g->resumes |= g->state != GUEST_BEGINS;
	g->state = GUEST_BEGINS;
	if (g->ends && !g->drains && g->options->end == OPTIONS_LEAVE) {
		/* It waits as well for the next process. */
		g->lost = true;
		loop_quit(g->loop);
	} else if (!can) {
		no_next_life(g, "there will be no next worker");
	} else {
		next_life(g);
	}
}

/*
 * Of a domain that is gone there is nothing to begin with; its images may be in
 * use still.
 */
static void go_on(struct guest *g, bool can)
{
	if (g->state == GUEST_LEAVING || domain_is_over(&g->domain)) {
		leave(g);
		loop_defer(g->loop, &g->look);
	} else {
		begin_again(g, can);
	}
}

static void lost(struct worker_owner *owner, bool last)
{
	struct guest *g = container_of(owner, struct guest, owner);

	/* Its next life has another one. */
	if (g->state == GUEST_AWAITED)
		return;
	if (!g->kept && guest_disks_active(&g->disks) &&
	    g->state != GUEST_LEAVING && !domain_is_over(&g->domain)) {
		g->lost = true;
		fail(g);
		return;
	}
	guest_disks_lost(&g->disks);
	go_on(g, !last);
}

/*
 * What cannot be taken over stays as it is, for who can: the next process, or
 * another version.
 */
static void not_begun(struct guest *g, int error, const char *why)
{
	if (g->kept)
		log_error("%s: what another process has left of domain %d "
			  "cannot be taken over: %s",
			  g->domain.name, g->domain.id, why);
	else
		log_error("%s: domain %d cannot be served: %s", g->domain.name,
			  g->domain.id, why);
	if (g->resumes) {
		go_on(g, true);
		return;
	}
	g->state = GUEST_AWAITED;
	if (!g->kept || !is_unknown_state(error))
		fail(g);
	else if (!g->ends)
		/* The guest's next life can be served. */
		begin(g, false);
}

static void begun(struct worker_owner *owner, int result, const char *error)
{
	struct guest *g = container_of(owner, struct guest, owner);

	if (result)
		not_begun(g, result, error);
	else
		serve_domain(g);
	if (g->ends && !g->drains)
		loop_quit(g->loop);
	else
		loop_defer(g->loop, &g->look);
}

static void attached(struct worker_owner *owner, uint64_t id, int result,
		     const char *error)
{
	struct guest *g = container_of(owner, struct guest, owner);

	/* Of what has changed meanwhile nothing was looked at. */
	if (!guest_disks_attached(&g->disks, id, result, error))
		loop_defer(g->loop, &g->look);
	look_for_end(g);
	say_status(g);
}

static const struct worker_owner_ops owner_ops = {
	.begun = begun,
	.attached = attached,
	.ended = ended,
	.lost = lost,
};

/* ---- the review ---- */

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

static void review_disks(struct guest *g)
{
	unsigned int before = guest_disks_left(&g->disks);

	guest_disks_review(&g->disks);
	/* One that has ended may have another one in its place. */
	if (guest_disks_left(&g->disks) != before)
		loop_defer(g->loop, &g->look);
	guest_pace_take_up(&g->pace, guest_disks_left(&g->disks) > 0);
}

static void review(struct guest *g)
{
	bool forgotten = false;

	if (g->state == GUEST_LEAVING || g->state == GUEST_ENDING) {
		guest_disks_take_up(&g->disks);
		guest_pace_take_up(&g->pace, guest_disks_left(&g->disks) > 0);
		look_for_end(g);
	}
	if (g->state == GUEST_ENDING)
		return;
	/* No worker is asked, nor need one be. */
	if (guest_lives_pause(&g->lives) && domain_is_over(&g->domain)) {
		guest_lives_stop(&g->lives);
		leave(g);
		loop_defer(g->loop, &g->look);
	}
	if (g->state == GUEST_AWAITED)
		look_for_domain(g);
	if (g->state == GUEST_SERVED) {
		forgotten = domain_is_forgotten(&g->domain);
		if (!forgotten)
			review_disks(g);
		review_life(g);
	}
	guest_pace_look(&g->pace, store_take_trouble(&g->store), forgotten);
	say_status(g);
}

static void store_changed(struct store *store)
{
	review(container_of(store, struct guest, store));
}

static void look_again(struct guest_pace *pace)
{
	review(container_of(pace, struct guest, pace));
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
		      const struct options *options,
		      struct worker_starter *starter)
{
	int r;

	g->options = options;
	g->states = GUEST_STATES_CLOSED;
	g->loop = loop;
	g->owner.ops = &owner_ops;
	domain_init(&g->domain, &g->store, options->domain);
	g->grace.due = grace_over;
	guest_pace_init(&g->pace, loop, options->domain, look_again);
	g->look.run = look_due;
	guest_lives_init(&g->lives, loop, options->domain, next_life_due);
	g->store.changed = store_changed;
	r = worker_open(&g->worker, loop, &g->owner, starter);
	if (r)
		return r;
	worker_trace(g->worker, options->trace);
	g->disks.host = (struct guest_disk_host){
		.store = &g->store,
		.worker = g->worker,
		.loop = loop,
		.defaults = &options->files.defaults,
		.file = &options->files.guest,
		.overrides = options->disk,
		.noverrides = options->ndisks,
		.domid = NO_DOMAIN,
	};
	r = store_open(&g->store, loop);
	if (r)
		return r;
	g->domain.ctl = xen_domctl_open(xen_logger());
	guest_states_open(&g->states, options->state_dir, &g->domain);
	r = watch_all(g);
	if (r == 0)
		r = watch_generic(g);
	if (r)
		return r;
	log_info("waiting for domain %s", options->domain);
	say_status(g);
	notify_ready();
	return 0;
}

/* ---- the end of the program ---- */

/* Whether there is a guest that lives, and a next process can go on with. */
static bool can_leave(struct guest *g)
{
	if (g->options->end != OPTIONS_LEAVE && !g->lost)
		return false;
	/* Also where loop or worker have failed: it has begun with them. */
	if (g->state == GUEST_BEGINS)
		return g->kept;
	if (g->state != GUEST_SERVED || !g->disks.host.states ||
	    !guest_disks_active(&g->disks))
		return false;
	if (!domain_may_run(&g->domain))
		return false;
	if (state_dir_can_be_found(&g->states.dir))
		return true;
	log_error("%s: %s/%d has been removed: no next process can go on with "
		  "the guest's disks, which are taken away from it",
		  g->domain.name, g->states.dir.path, g->domain.id);
	return false;
}

static void leave_to_next(struct guest *g)
{
	unsigned int n = guest_disks_active(&g->disks);

	worker_leave(&g->worker);
	log_info("%s: left %u disk%s of domain %d to the next process; the "
		 "guest waits for it: systemctl start virtio-disk@%s",
		 g->domain.name, n, log_plural(n), g->domain.id,
		 g->options->domain);
}

/* Only then it is known what there is to leave, or to end. */
static int finish_beginning(struct guest *g)
{
	int r = 0;

	g->ends = true;
	/* To leave it no worker is needed that is not there. */
	if (guest_lives_pause(&g->lives) && g->options->end == OPTIONS_LEAVE)
		return 0;
	while (r == 0 && !g->lost && g->state == GUEST_BEGINS)
		r = loop_run(g->loop);
	return r;
}

/*
 * The program ends: end all disks. In the loop, for the vCPUs that access them
 * meanwhile must not stand still until a slow store is done.
 */
static int drain(struct guest *g)
{
	int r = 0;

	g->drains = true;
	g->state = GUEST_ENDING;
	guest_disks_detach(&g->disks);
	guest_pace_take_up(&g->pace, guest_disks_left(&g->disks) > 0);
	while (r == 0 && !g->lost && guest_disks_active(&g->disks))
		r = loop_run(g->loop);
	/* Those that could not be begun with are another one's still. */
	if (r == 0 && !g->lost && g->disks.host.states)
		state_dir_remove(&g->states.dir);
	return r;
}

static void guest_close(struct guest *g)
{
	/* Without a loop, where that has failed. */
	worker_close(&g->worker);
	guest_disks_forget(&g->disks);
	loop_disarm(g->loop, &g->grace);
	guest_pace_finish(&g->pace);
	guest_lives_stop(&g->lives);
	loop_undefer(g->loop, &g->look);
	domain_finish(&g->domain);
	store_close(&g->store);
	/* Whoever goes on finds all of it free. */
	guest_states_close(&g->states);
	config_files_finish(&g->late_files);
}

int guest_serve(struct loop *loop, const struct options *options,
		struct worker_starter *starter)
{
	struct guest *g = calloc(1, sizeof(*g));
	int r;

	if (!g) {
		log_error("no memory for a guest");
		return 1;
	}
	r = guest_open(g, loop, options, starter);
	served = g;
	if (r == 0)
		r = loop_run(loop);
	if (r == 0)
		r = finish_beginning(g);
	/* Also where the loop has failed. */
	if (can_leave(g))
		leave_to_next(g);
	else if (r == 0)
		r = drain(g);
	if (g->failed)
		r = -EBUSY;
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

void guest_log_events(void)
{
	if (served && served->worker)
		worker_log_events(served->worker);
}

void guest_trace(bool on)
{
	if (served && served->worker)
		worker_trace(served->worker, on);
}
