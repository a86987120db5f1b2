/* SPDX-License-Identifier: MIT */
/*
 * The watcher; see instances/watch.h.
 *
 * Every change in xenstore leads to one review, some milliseconds after the one
 * before at the earliest: which domains have disks now is held against those
 * that are known.
 *
 *	new		xenstored knows it, and a disk is to be served: an
 *			instance is wanted (instance.c). Of generic devices
 *			somebody has to say that they are disks (generic.c);
 *			else it is left alone
 *	known		its uuid is read: another guest may have the number
 *	not there	no instance is wanted; when the process that we have
 *	any more	started for it has ended, it is forgotten
 *
 * Of a guest nothing is believed: the lists and the states are of the back
 * end's directories, which it cannot write, and it is known by its number.
 *
 * Failure modes: what cannot be known is looked at again a second later, and
 * takes nothing away. A xenstored that has forgotten everything makes known
 * guests be forgotten, not their instances; those are found again by their
 * states. No memory: the guest is looked at again. There is one watcher for a
 * state directory.
 */
#include "instances/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "instances/children.h"
#include "instances/generic.h"
#include "instances/units.h"
#include "monitor/state_look.h"
#include "toolstack/backend_list.h"

/* Between two reviews: a guest's beginning is some hundred changes. */
#define SETTLE_NS (20 * NS_PER_MS)
/* ... of which the first could not be made wholly. */
#define AGAIN_NS NS_PER_SECOND

/* A domain that has disks, or has had. */
struct guest {
	struct guest *next;
	struct instance instance;
	char *vm;     /* NULL: the store does not say; owned */
	bool listed;  /* in this review */
	bool foreign; /* its generic devices are no disks of ours */
};

struct watch {
	struct instance_host host;
	const struct options *options;
	struct store store;
	struct state_dir dir;
	int lock_fd; /* or -1 */
	struct guest *guests;
	struct loop_timer due; /* a review */
	struct loop_deferred sweep;
	uint64_t looked_ns;
};

static struct watch *watching;

/* ---- the guests ---- */

static struct guest *find(struct watch *w, unsigned int domid)
{
	for (struct guest *g = w->guests; g; g = g->next)
		if (g->instance.domid == domid)
			return g;
	return NULL;
}

static struct guest *add(struct watch *w, unsigned int domid)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g) {
		w->store.trouble = ENOMEM;
		return NULL;
	}
	instance_init(&g->instance, &w->host, domid);
	g->next = w->guests;
	w->guests = g;
	return g;
}

static void unwant(struct guest *g)
{
	if (g->instance.wanted)
		log_debug("domain %u has no virtio disks any more",
			  g->instance.domid);
	instance_unwant(&g->instance);
	free(g->vm);
	g->vm = NULL;
	g->foreign = false;
}

static void free_guest(struct guest *g)
{
	instance_forget(&g->instance);
	free(g->vm);
	free(g);
}

static void count(const struct watch *w, unsigned int *guests,
		  unsigned int *served)
{
	*guests = 0;
	*served = 0;
	for (const struct guest *g = w->guests; g; g = g->next) {
		*guests += g->instance.wanted;
		*served += instance_serves(&g->instance);
	}
}

static void say_status(const struct watch *w)
{
	unsigned int guests, served;

	count(w, &guests, &served);
	if (served == guests)
		notify_status("%u guest%s", guests, log_plural(guests));
	else
		notify_status("%u guest%s, of which %u without an instance",
			      guests, log_plural(guests), guests - served);
}

/* Not from within a call of an instance. */
static void sweep(struct loop_deferred *deferred)
{
	struct watch *w = container_of(deferred, struct watch, sweep);
	struct guest **link = &w->guests;

	while (*link) {
		struct guest *g = *link;

		if (instance_is_over(&g->instance) && !g->foreign) {
			*link = g->next;
			free_guest(g);
		} else {
			link = &g->next;
		}
	}
	say_status(w);
}

static void changed(struct instance_host *host)
{
	struct watch *w = container_of(host, struct watch, host);

	loop_defer(host->loop, &w->sweep);
}

/* ---- the review ---- */

/* 0 and what tells the guest, NULL if nothing does; or a negative errno. */
static int read_vm(struct watch *w, unsigned int domid, char **vm)
{
	int r = store_read(&w->store, vm, "/local/domain/%u/vm", domid);

	return r == -ENOENT ? 0 : r;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void want(struct guest *g, char *vm)
{
	char *before = g->vm;

	g->vm = vm;
	g->foreign = false;
	instance_want(&g->instance, vm);
	free(before);
}

/* It is not asked again; another guest of that number is. */
static void leave_alone(struct guest *g, char *vm)
{
	log_debug("domain %u has generic devices, and nobody says that they "
		  "are disks",
		  g->instance.domid);
	free(g->vm);
	g->vm = vm;
	g->foreign = true;
}

/* A domain that is not known, or whose guest was gone. */
static void review_new(struct watch *w, struct guest *g, unsigned int domid)
{
	bool generic = backend_list_wants(&w->store, false, domid) != 1;
	char *vm;

	if ((generic && backend_list_wants(&w->store, true, domid) != 1) ||
	    read_vm(w, domid, &vm))
		return;
	if (!g)
		g = add(w, domid);
	if (!g) {
		free(vm);
		return;
	}
	g->listed = true;
	if (generic && g->foreign && is_same(vm, g->vm))
		free(vm);
	else if (!generic || generic_is_said(&w->store, domid, w->options))
		want(g, vm);
	else if (w->store.trouble)
		/* Who is meant could not be read: it is looked at again. */
		free(vm);
	else
		leave_alone(g, vm);
}

static void review_domain(struct watch *w, unsigned int domid)
{
	struct guest *g = find(w, domid);
	char *vm;

	if (!g || !g->instance.wanted) {
		review_new(w, g, domid);
		return;
	}
	g->listed = store_has_domain(&w->store, domid) != 0;
	if (!g->listed || read_vm(w, domid, &vm))
		return;
	if (is_same(vm, g->vm)) {
		free(vm);
		return;
	}
	log_info("domain %u is another guest now", domid);
	want(g, vm);
}

/* Of a domain that has both, the first list has said all. */
static void review_list(struct watch *w, const unsigned int *domids,
			unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct guest *g = find(w, domids[i]);

		if (!g || !g->listed)
			review_domain(w, domids[i]);
	}
}

static void review_all(struct watch *w, const unsigned int *disks,
		       unsigned int ndisks, const unsigned int *generic,
		       unsigned int ngeneric)
{
	for (struct guest *g = w->guests; g; g = g->next)
		g->listed = false;
	review_list(w, disks, ndisks);
	review_list(w, generic, ngeneric);
	for (struct guest *g = w->guests; g; g = g->next)
		if (!g->listed)
			unwant(g);
}

static void review(struct watch *w)
{
	unsigned int *disks, *generic = NULL, ndisks, ngeneric;

	w->looked_ns = clock_ns();
	if (backend_list_domains(&w->store, false, &disks, &ndisks) == 0 &&
	    backend_list_domains(&w->store, true, &generic, &ngeneric) == 0)
		review_all(w, disks, ndisks, generic, ngeneric);
	free(disks);
	free(generic);
	if (store_take_trouble(&w->store))
		loop_arm(w->host.loop, &w->due, AGAIN_NS);
	loop_defer(w->host.loop, &w->sweep);
}

static void review_due(struct loop_timer *timer)
{
	review(container_of(timer, struct watch, due));
}

static void store_changed(struct store *store)
{
	struct watch *w = container_of(store, struct watch, store);
	uint64_t since = clock_ns() - w->looked_ns;

	loop_arm(w->host.loop, &w->due,
		 since < SETTLE_NS ? SETTLE_NS - since : 0);
}

/* ---- from the first to the last ---- */

static const struct instance_kind *kind_of(const struct options *options)
{
	if (options->watch == OPTIONS_WATCH_AUTO)
		return units_can_be() ? &units : &children;
	return options->watch == OPTIONS_WATCH_UNITS ? &units : &children;
}

/* What is said here does not come to units. */
static void warn_of_options(const struct options *options)
{
	if (options->ndisks || options->end_given || options->user ||
	    options->foreground || options->no_sandbox || options->trace ||
	    options->config || options->poll_given)
		log_warning("systemd starts the instances: what --config, "
			    "--disk, --end, --poll-max-us, --trace, --user, "
			    "--foreground and --no-sandbox say does not come "
			    "to them");
}

/* There is one watcher. */
static int claim(struct watch *w, const char *path)
{
	char error[BLOCK_ERROR_MAX];
	int r = state_dir_open(&w->dir, path, error);

	if (r) {
		log_error("%s", error);
		return r;
	}
	w->lock_fd = state_look_claim(&w->dir);
	if (w->lock_fd >= 0)
		return 0;
	log_error("%s/watch cannot be locked: %s", path,
		  w->lock_fd == -EBUSY ? "another watcher runs" :
					 strerror(-w->lock_fd));
	return w->lock_fd;
}

static int watch_all(struct watch *w)
{
	static const char *const paths[] = { "@introduceDomain",
					     "@releaseDomain",
					     BACKEND_LIST_PATH,
					     BACKEND_LIST_GENERIC_PATH };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int r = store_watch(&w->store, paths[i]);

		if (r) {
			log_error("cannot watch %s in xenstore: %s", paths[i],
				  strerror(-r));
			return r;
		}
	}
	return 0;
}

static int watch_open(struct watch *w, struct loop *loop,
		      const struct options *options, char *const *args)
{
	int r;

	w->dir = STATE_DIR_CLOSED;
	w->lock_fd = -1;
	w->options = options;
	w->host = (struct instance_host){
		.kind = kind_of(options),
		.loop = loop,
		.dir = &w->dir,
		.args = args,
		.changed = changed,
	};
	w->due.due = review_due;
	w->sweep.run = sweep;
	w->store.changed = store_changed;
	if (!w->host.kind->is_instance)
		warn_of_options(options);
	r = claim(w, options->state_dir);
	if (r == 0)
		r = store_open(&w->store, loop);
	if (r == 0)
		r = watch_all(w);
	if (r)
		return r;
	log_info("waiting for guests with virtio disks, to start %s for each",
		 w->host.kind->name);
	say_status(w);
	notify_ready();
	return 0;
}

/* Whoever watches next finds them served. */
static void watch_close(struct watch *w)
{
	unsigned int guests, served;

	count(w, &guests, &served);
	if (served)
		log_info("ending; the instance%s of %u guest%s go%s on",
			 log_plural(served), served, log_plural(served),
			 served == 1 ? "es" : "");
	loop_disarm(w->host.loop, &w->due);
	loop_undefer(w->host.loop, &w->sweep);
	while (w->guests) {
		struct guest *g = w->guests;

		w->guests = g->next;
		free_guest(g);
	}
	store_close(&w->store);
	if (w->lock_fd >= 0)
		close(w->lock_fd);
	state_dir_close(&w->dir);
}

int watch_serve(struct loop *loop, const struct options *options,
		char *const *args)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		log_error("no memory for a watcher");
		return 1;
	}
	r = watch_open(w, loop, options, args);
	watching = w;
	if (r == 0)
		r = loop_run(loop);
	watching = NULL;
	watch_close(w);
	free(w);
	return r ? 1 : 0;
}

void watch_log_stats(void)
{
	unsigned int guests, served;

	if (!watching)
		return;
	count(watching, &guests, &served);
	log_info("stats guests=%u served=%u", guests, served);
}

void watch_look(void)
{
	if (watching)
		review(watching);
}

void watch_abandon(void)
{
	log_flush();
	_exit(1);
}
