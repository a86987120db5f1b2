/* SPDX-License-Identifier: MIT */
/*
 * Serving one Xen guest; see monitor/guest.h.
 *
 * Every change in xenstore leads to one review: what is there now is held
 * against what is served, whatever the event was. The guest's life:
 *
 *	no domain   wait for one of that name (or id)
 *	a domain    serve its disks as their directories appear; the first one
 *		    brings up the IOREQ server and the map cache, the last one
 *		    that ends takes them down
 *	it dies     drain, give everything up; then wait for its successor: long
 *		    after a reboot or crash, briefly otherwise, and end
 *
 * There is one way for a disk to end, whoever wants it: the toolstack, the end
 * of the domain, or that of the program.
 *
 *	mark dead   guest_disk_begin_close(): nothing more is taken from its
 *	   |        queues, its registers read as no device
 *	drain       the loop goes on; accesses of vCPUs are answered. Only who
 *	   |        waits for a reset still waits: the store may write to memory
 *	   |        that it would use for something else
 *	unmap       finish_close(): rings, then the window; who waits is let go
 *	   |
 *	answer      with the last disk, take_down(): Xen sends no more accesses,
 *	   |        and those that it has sent are answered
 *	destroy     the server, and then the guest's mappings
 *
 * Failure modes: a disk that cannot be served is logged and refused; the others
 * and the guest's next life are not affected. A guest found running with disks
 * of a vanished instance cannot be taken over: its next life is served.
 */
#include "monitor/guest.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "toolstack/domain.h"
#include "monitor/guest_disk.h"
#include "monitor/settled.h"

/* How long to wait for the successor of a guest that is gone. */
#define GRACE_NS (3 * NS_PER_SECOND)
#define GRACE_REBOOT_NS (60 * NS_PER_SECOND)

/*
 * How long until xenstore is asked again what it has not answered: twice as
 * long each time. libxl waits for 10 s.
 */
#define AGAIN_MIN_NS (100 * NS_PER_MS)
#define AGAIN_MAX_NS (2 * NS_PER_SECOND)

struct guest {
	const struct options *options;
	struct loop *loop;
	struct store store;
	struct xen_handles xen;
	struct domain domain;
	bool leaving;    /* the domain is gone; disks are drained */
	bool ending;     /* the program ends; disks are drained */
	bool look_again; /* xenstore may have changed meanwhile */
	bool returns;    /* it ended in a way that makes it come back */
	bool up;         /* server and cache are there */
	struct ioreq_server server;
	struct mapcache cache;
	struct guest_disk disk[DISKS_MAX]; /* that are served or closing */
	struct settled *settled;           /* directories that are not; owned */
	struct loop_poller poller;
	struct loop_timer grace;
	struct loop_timer again;
	uint64_t again_ns; /* how long it was armed for last; 0: it is not */
	int trouble;       /* errno of xenstore's last refusal, or 0 */
	struct log_limit errors; /* of xenstore */
};

static struct guest *served;

static void invalidate(struct ioreq_server *server)
{
	struct guest *g = container_of(server, struct guest, server);

	mapcache_invalidate(&g->cache);
}

/* Server and map cache, for the first disk. 0 or a negative errno, logged. */
static int bring_up(struct guest *g)
{
	int r;

	if (g->up)
		return 0;
	r = mapcache_init(&g->cache, g->xen.memory, (uint32_t)g->domain.id,
			  MAPCACHE_CHUNKS_DEFAULT);
	if (r) {
		log_error("%s: no memory for the map cache", g->domain.name);
		return r;
	}
	memset(&g->server, 0, sizeof(g->server));
	g->server.invalidate = invalidate;
	r = ioreq_server_open(&g->server, &g->xen, g->loop,
			      (domid_t)g->domain.id);
	if (r) {
		ioreq_server_close(&g->server);
		mapcache_finish(&g->cache);
		return r;
	}
	g->up = true;
	return 0;
}

static unsigned int count(const struct guest *g, enum guest_disk_phase phase)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < DISKS_MAX; i++)
		n += g->disk[i].phase == phase;
	return n;
}

/* Give server and map cache up, unless there is a disk that needs them. */
static void take_down(struct guest *g)
{
	if (!g->up || count(g, GUEST_DISK_SERVED) ||
	    count(g, GUEST_DISK_CLOSING))
		return;
	/* Its last answers may invalidate the cache. */
	ioreq_server_close(&g->server);
	mapcache_finish(&g->cache);
	g->up = false;
}

static void path_of(const struct guest *g, char path[GUEST_DISK_PATH_MAX],
		    uint64_t devid)
{
	snprintf(path, GUEST_DISK_PATH_MAX, "backend/virtio_disk/%d/%" PRIu64,
		 g->domain.id, devid);
}

static void tell_closed(struct guest *g, uint64_t devid)
{
	struct settled *s = settled_add(&g->settled, devid);
	char path[GUEST_DISK_PATH_MAX];
	bool untold;

	path_of(g, path, devid);
	untold = guest_disk_closed(&g->store, path) != 0;
	if (s)
		s->untold = untold;
}

static void finish_close(struct guest *g, struct guest_disk *gd)
{
	char name[DISK_NAME_MAX];

	memcpy(name, gd->disk.name, sizeof(name));
	guest_disk_close(gd);
	take_down(g);
	log_info("%s: closed", name);
	tell_closed(g, gd->devid);
	/* There may be another one in its place. */
	g->look_again = true;
}

static void begin_close(struct guest *g, struct guest_disk *gd)
{
	guest_disk_begin_close(gd);
	if (guest_disk_is_drained(gd))
		finish_close(g, gd);
}

/* All disks are closed and the domain is gone: wait for its successor. */
static void left(struct guest *g)
{
	log_info("%s: domain %d is gone%s", g->domain.name, g->domain.id,
		 g->returns ? "; waiting for it to come back" : "");
	settled_forget_all(&g->settled);
	domain_forget(&g->domain);
	g->leaving = false;
	loop_arm(g->loop, &g->grace, g->returns ? GRACE_REBOOT_NS : GRACE_NS);
	/* It may have come back while its disks were being drained. */
	g->look_again = true;
}

static void close_all(struct guest *g)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (g->disk[i].phase == GUEST_DISK_SERVED)
			begin_close(g, &g->disk[i]);
}

static void leave(struct guest *g)
{
	g->leaving = true;
	close_all(g);
	if (!count(g, GUEST_DISK_CLOSING))
		left(g);
}

static void grace_over(struct loop_timer *timer)
{
	struct guest *g = container_of(timer, struct guest, grace);

	log_info("%s: it has not come back; ending", g->domain.name);
	loop_quit(g->loop);
}

static struct guest_disk *find_disk(struct guest *g, uint64_t devid)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (g->disk[i].phase != GUEST_DISK_NONE &&
		    g->disk[i].devid == devid)
			return &g->disk[i];
	return NULL;
}

static struct guest_disk *free_entry(struct guest *g)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (g->disk[i].phase == GUEST_DISK_NONE)
			return &g->disk[i];
	return NULL;
}

/*
 * Open a disk in an entry of its own: 0, -EAGAIN to be tried again, or another
 * negative errno: libxl was told.
 */
static int open_disk(struct guest *g, struct guest_disk *gd, uint64_t devid,
		     const char *path)
{
	int r = bring_up(g);

	if (r) {
		guest_disk_refuse(&g->store, path, "no IOREQ server");
		return -EINVAL;
	}
	memset(gd, 0, sizeof(*gd));
	gd->devid = devid;
	snprintf(gd->path, sizeof(gd->path), "%s", path);
	r = guest_disk_open(gd, &g->store, g->options->disk, g->options->ndisks,
			    g->domain.name, g->loop, &g->server,
			    &g->cache.memory);
	if (r)
		take_down(g);
	return r;
}

/* A directory that asks for a disk. */
static void new_disk(struct guest *g, uint64_t devid, const char *path)
{
	struct guest_disk *gd = free_entry(g);
	int r = -E2BIG;

	if (gd) {
		r = open_disk(g, gd, devid, path);
	} else {
		log_error("%s: more than %d disks; %s is not served",
			  g->domain.name, DISKS_MAX, path);
		guest_disk_refuse(&g->store, path, "too many disks");
	}
	if (r && r != -EAGAIN)
		settled_add(&g->settled, devid);
}

/* A directory that asks for nothing, seen for the first time. */
static void settle_found(struct guest *g, uint64_t devid, const char *path,
			 int state)
{
	struct settled *s = settled_add(&g->settled, devid);

	if (state == -ENOENT || state == XENBUS_CLOSED)
		return;
	if (s)
		s->others = true;
	log_error("%s: %s belongs to another or an earlier instance; the guest "
		  "has to be restarted",
		  g->domain.name, path);
}

static void review_directory(struct guest *g, const char *devid_text)
{
	char path[GUEST_DISK_PATH_MAX];
	struct settled *s;
	uint64_t devid;
	char *end;
	int state;

	devid = strtoull(devid_text, &end, 10);
	if (!isdigit((unsigned char)devid_text[0]) || *end)
		return;
	s = settled_find(g->settled, devid);
	if (s)
		s->seen = true;
	if (find_disk(g, devid))
		return;
	path_of(g, path, devid);
	state = guest_disk_state(&g->store, path);
	if (state == XENBUS_INITIALISING) {
		if (s)
			s->others = false;
		new_disk(g, devid, path);
	} else if ((s && s->untold) ||
		   (state == XENBUS_CLOSING && !(s && s->others))) {
		/* Also one that ends before it was looked at. */
		tell_closed(g, devid);
	} else if (!s && (state >= 0 || state == -ENOENT)) {
		settle_found(g, devid, path, state);
	}
}

/* The directories that there are: new ones, and those that are no more. */
static void review_directories(struct guest *g)
{
	unsigned int n;
	char **names;
	int r = store_list(&g->store, &names, &n, "backend/virtio_disk/%d",
			   g->domain.id);

	if (r && r != -ENOENT)
		return;
	settled_unsee(g->settled);
	for (unsigned int i = 0; i < n; i++)
		review_directory(g, names[i]);
	settled_forget_unseen(&g->settled);
	free(names);
}

static void review_disks(struct guest *g)
{
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		struct guest_disk *gd = &g->disk[i];

		if (gd->phase != GUEST_DISK_SERVED)
			continue;
		guest_disk_tell(gd, &g->store);
		if (guest_disk_is_unwanted(gd, &g->store))
			begin_close(g, gd);
	}
	review_directories(g);
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
		if (!g->leaving)
			leave(g);
		break;
	case DOMAIN_RUNS:
	case DOMAIN_UNKNOWN:
		break;
	}
}

static void look_for_domain(struct guest *g)
{
	if (!domain_find(&g->domain))
		return;
	loop_disarm(g->loop, &g->grace);
	g->returns = false;
	log_info("%s: serving domain %d", g->domain.name, g->domain.id);
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

static void review(struct store *store)
{
	struct guest *g = container_of(store, struct guest, store);
	bool forgotten;

	if (g->ending)
		return;
	if (g->domain.id == NO_DOMAIN)
		look_for_domain(g);
	forgotten = g->domain.id != NO_DOMAIN &&
		    domain_is_forgotten(&g->domain);
	if (g->domain.id != NO_DOMAIN && !g->leaving && !forgotten)
		review_disks(g);
	if (g->domain.id != NO_DOMAIN)
		review_life(g);
	look_again_later(g, store_take_trouble(store), forgotten);
}

static void again_due(struct loop_timer *timer)
{
	struct guest *g = container_of(timer, struct guest, again);

	review(&g->store);
}

static bool closing_poll(struct loop_poller *poller)
{
	struct guest *g = container_of(poller, struct guest, poller);
	bool any = false;

	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		struct guest_disk *gd = &g->disk[i];

		if (gd->phase != GUEST_DISK_CLOSING ||
		    !guest_disk_is_drained(gd))
			continue;
		finish_close(g, gd);
		any = true;
	}
	if (g->ending && !count(g, GUEST_DISK_CLOSING))
		loop_quit(g->loop);
	if (any && g->leaving && !count(g, GUEST_DISK_CLOSING))
		left(g);
	if (g->look_again) {
		g->look_again = false;
		review(&g->store);
		any = true;
	}
	return any;
}

static bool closing_rest(struct loop_poller *poller)
{
	(void)poller;
	return true;
}

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

	memset(g, 0, sizeof(*g));
	g->options = options;
	g->loop = loop;
	domain_init(&g->domain, &g->store, options->domain);
	g->grace.due = grace_over;
	g->again.due = again_due;
	g->store.changed = review;
	g->poller = (struct loop_poller){ .poll = closing_poll,
					  .rest = closing_rest };
	loop_add_poller(loop, &g->poller);
	r = xen_handles_open(&g->xen);
	if (r)
		return r;
	r = store_open(&g->store, loop);
	if (r)
		return r;
	g->domain.ctl = xen_domctl_open();
	r = watch_all(g);
	if (r)
		return r;
	log_info("waiting for domain %s", options->domain);
	return 0;
}

/*
 * The program ends: close all disks. In the loop, for the vCPUs that access
 * them meanwhile must not stand still until a slow store is done.
 */
static int drain(struct guest *g)
{
	int r = 0;

	g->ending = true;
	close_all(g);
	while (r == 0 && count(g, GUEST_DISK_CLOSING))
		r = loop_run(g->loop);
	return r;
}

static void guest_close(struct guest *g)
{
	/* Without a loop, where that has failed. */
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		if (g->disk[i].phase == GUEST_DISK_SERVED ||
		    g->disk[i].phase == GUEST_DISK_CLOSING)
			guest_disk_close(&g->disk[i]);
	take_down(g);
	loop_disarm(g->loop, &g->grace);
	loop_disarm(g->loop, &g->again);
	loop_remove_poller(g->loop, &g->poller);
	settled_forget_all(&g->settled);
	domain_finish(&g->domain);
	store_close(&g->store);
	xen_handles_close(&g->xen);
}

int guest_serve(struct loop *loop, const struct options *options)
{
	struct guest *g = calloc(1, sizeof(*g));
	int r = -ENOMEM;

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

/*
 * What is in flight may still be written to the guest's memory, so a vCPU that
 * waits for a reset must never go on. The others get a fault instead of
 * standing still. Where the loop stands still this is another thread, which
 * touches only what a loop that stands in the store's system call does not.
 */
void guest_abandon(void)
{
	struct guest *g = served;

	for (unsigned int i = 0; g && i < DISKS_MAX; i++) {
		const struct disk *disk = &g->disk[i].disk;

		if (!disk_in_flight(disk))
			continue;
		g->server.in_flight = true;
		log_error("%s: given up with %u requests in flight; destroy "
			  "the guest, it waits for them",
			  disk->name, disk_in_flight(disk));
	}
	if (g && g->up)
		ioreq_server_end(&g->server);
	log_flush();
	_exit(1);
}

void guest_log_stats(void)
{
	uint64_t requests = 0, failed = 0, interrupts = 0;
	const struct guest *g = served;

	if (!g)
		return;
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		const struct guest_disk *gd = &g->disk[i];

		if (gd->phase != GUEST_DISK_SERVED)
			continue;
		interrupts += gd->device.interrupts;
		for (unsigned int q = 0; q < gd->disk.blk.dev.nqueues; q++) {
			requests += gd->disk.blk.queue[q].requests;
			failed += gd->disk.blk.queue[q].failed;
		}
	}
	log_info("stats requests=%" PRIu64 " failed=%" PRIu64 " ioreqs=%" PRIu64
		 " notifications=%" PRIu64 " maps=%" PRIu64 " pages=%" PRIu64
		 " sleeps=%" PRIu64,
		 requests, failed, g->server.requests, interrupts,
		 g->cache.maps, g->cache.pages, g->loop->sleeps);
}
