/* SPDX-License-Identifier: MIT */
/*
 * Serving one Xen guest; see daemon/guest.h.
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
 * There is one way for a disk to end, whoever wants it: the toolstack, the end of
 * the domain, or that of the program.
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
#include "daemon/guest.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/xen.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/guest_disk.h"
#include "xen/domctl.h"

/* How long to wait for the successor of a guest that is gone. */
#define GRACE_NS (3 * NS_PER_SECOND)
#define GRACE_REBOOT_NS (60 * NS_PER_SECOND)

enum { NO_DOMAIN = -1 };

struct guest {
	const struct options *options;
	struct loop *loop;
	struct store store;
	struct xen_handles xen;
	struct xen_domctl *ctl;
	char *name;		/* of the domain; once known */
	int domid;		/* or NO_DOMAIN */
	int former;		/* the last domain that is gone */
	bool leaving;		/* the domain is gone; disks are drained */
	bool ending;		/* the program ends; disks are drained */
	bool look_again;	/* xenstore may have changed meanwhile */
	bool returns;		/* it ended in a way that makes it come back */
	bool up;		/* server and cache are there */
	struct ioreq_server server;
	struct mapcache cache;
	struct guest_disk disk[DISKS_MAX];
	struct loop_poller poller;
	struct loop_timer grace;
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
	r = mapcache_init(&g->cache, g->xen.memory, (uint32_t)g->domid,
			  MAPCACHE_CHUNKS_DEFAULT);
	if (r) {
		log_error("%s: no memory for the map cache", g->name);
		return r;
	}
	memset(&g->server, 0, sizeof(g->server));
	g->server.invalidate = invalidate;
	r = ioreq_server_open(&g->server, &g->xen, g->loop,
			      (domid_t)g->domid);
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

static void finish_close(struct guest *g, struct guest_disk *gd)
{
	char name[DISK_NAME_MAX];

	memcpy(name, gd->disk.name, sizeof(name));
	guest_disk_close(gd);
	take_down(g);
	guest_disk_closed(gd, &g->store);
	log_info("%s: closed", name);
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
	log_info("%s: domain %d is gone%s", g->name, g->domid,
		 g->returns ? "; waiting for it to come back" : "");
	memset(g->disk, 0, sizeof(g->disk));
	g->former = g->domid;
	g->domid = NO_DOMAIN;
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

	log_info("%s: it has not come back; ending", g->name);
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

/* A directory that is not known yet. */
static void new_disk(struct guest *g, uint64_t devid, const char *path)
{
	struct guest_disk *gd = free_entry(g);

	if (!gd) {
		log_error("%s: more than %d disks; %s is not served", g->name,
			  DISKS_MAX, path);
		return;
	}
	memset(gd, 0, sizeof(*gd));
	gd->devid = devid;
	snprintf(gd->path, sizeof(gd->path), "%s", path);
	gd->phase = GUEST_DISK_DONE;
	if (!guest_disk_is_new(&g->store, path)) {
		log_error("%s: %s belongs to another or an earlier instance; "
			  "the guest has to be restarted", g->name, path);
		return;
	}
	if (bring_up(g)) {
		guest_disk_refuse(gd, &g->store, "no IOREQ server");
		return;
	}
	if (guest_disk_open(gd, &g->store, g->options->disk,
			    g->options->ndisks, g->name, g->loop, &g->server,
			    &g->cache.memory))
		take_down(g);
}

static void review_directory(struct guest *g, const char *devid_text)
{
	char path[sizeof(g->disk[0].path)];
	struct guest_disk *gd;
	uint64_t devid;
	char *end;

	devid = strtoull(devid_text, &end, 10);
	if (!isdigit((unsigned char)devid_text[0]) || *end)
		return;
	snprintf(path, sizeof(path), "backend/virtio_disk/%d/%" PRIu64,
		 g->domid, devid);
	gd = find_disk(g, devid);
	if (!gd)
		new_disk(g, devid, path);
	else if (gd->phase == GUEST_DISK_DONE &&
		 guest_disk_is_new(&g->store, path))
		gd->phase = GUEST_DISK_NONE; /* made anew: at the next review */
}

static void review_disks(struct guest *g)
{
	unsigned int n;
	char **names;

	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		struct guest_disk *gd = &g->disk[i];

		if (gd->phase == GUEST_DISK_SERVED &&
		    guest_disk_is_unwanted(&g->store, gd->path))
			begin_close(g, gd);
	}
	names = store_list(&g->store, &n, "backend/virtio_disk/%d", g->domid);
	for (unsigned int i = 0; i < n; i++)
		review_directory(g, names[i]);
	free(names);
}

static enum domain_life life_of(struct guest *g, int domid,
				enum domain_shutdown *reason)
{
	enum domain_life life = xen_domctl_life(g->ctl, (uint32_t)domid,
						reason);

	if (life != DOMAIN_UNKNOWN)
		return life;
	return xs_is_domain_introduced(g->store.xs, (unsigned int)domid) ?
	       DOMAIN_RUNS : DOMAIN_GONE;
}

static void review_life(struct guest *g)
{
	enum domain_shutdown reason = DOMAIN_POWEROFF;

	switch (life_of(g, g->domid, &reason)) {
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

/* A domain id, or NO_DOMAIN for what is none. */
static int parse_domid(const char *text)
{
	char *end;
	long n;

	if (!isdigit((unsigned char)*text))
		return NO_DOMAIN;
	n = strtol(text, &end, 10);
	return *end == '\0' && n < DOMID_FIRST_RESERVED ? (int)n : NO_DOMAIN;
}

static bool lives(struct guest *g, int domid)
{
	enum domain_shutdown reason;
	enum domain_life life = life_of(g, domid, &reason);

	return life == DOMAIN_RUNS || life == DOMAIN_SHUT_DOWN;
}

/* The newest living domain called `name`, or NO_DOMAIN. */
static int find_by_name(struct guest *g, const char *name)
{
	unsigned int n;
	char **ids = store_list(&g->store, &n, "/local/domain");
	int found = NO_DOMAIN;

	for (unsigned int i = 0; i < n; i++) {
		int domid = parse_domid(ids[i]);
		char *other = store_read(&g->store, "/local/domain/%d/name",
					 domid);

		if (other && !strcmp(other, name) && domid > found &&
		    domid != g->former && lives(g, domid))
			found = domid;
		free(other);
	}
	free(ids);
	return found;
}

/* Look for the domain; remember its name, which outlives its id. */
static void find_domain(struct guest *g)
{
	const char *wanted = g->options->domain;

	int domid = g->name ? NO_DOMAIN : parse_domid(wanted);

	if (domid != NO_DOMAIN) {
		if (!lives(g, domid))
			return;
		g->name = store_read(&g->store, "/local/domain/%d/name", domid);
		g->domid = g->name ? domid : NO_DOMAIN;
	} else {
		g->domid = find_by_name(g, g->name ? g->name : wanted);
		if (g->domid != NO_DOMAIN && !g->name)
			g->name = strdup(wanted);
	}
	if (g->domid == NO_DOMAIN)
		return;
	loop_disarm(g->loop, &g->grace);
	g->returns = false;
	log_info("%s: serving domain %d", g->name, g->domid);
}

static void review(struct store *store)
{
	struct guest *g = container_of(store, struct guest, store);

	if (g->ending)
		return;
	if (g->domid == NO_DOMAIN)
		find_domain(g);
	if (g->domid != NO_DOMAIN && !g->leaving)
		review_disks(g);
	if (g->domid != NO_DOMAIN)
		review_life(g);
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
		"@introduceDomain", "@releaseDomain", "backend/virtio_disk",
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
	g->domid = NO_DOMAIN;
	g->former = NO_DOMAIN;
	g->grace.due = grace_over;
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
	g->ctl = xen_domctl_open();
	r = watch_all(g);
	if (r)
		return r;
	log_info("waiting for domain %s", options->domain);
	return 0;
}

/*
 * The program ends: close all disks. In the loop, for the vCPUs that access them
 * meanwhile must not stand still until a slow store is done.
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
	loop_remove_poller(g->loop, &g->poller);
	xen_domctl_close(g->ctl);
	store_close(&g->store);
	xen_handles_close(&g->xen);
	free(g->name);
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
 * waits for a reset must never go on. The others get a fault instead of standing
 * still.
 */
void guest_abandon(void)
{
	struct guest *g = served;

	for (unsigned int i = 0; g && i < DISKS_MAX; i++) {
		const struct disk *disk = &g->disk[i].disk;

		if (disk_in_flight(disk))
			log_error("%s: given up with %u requests in flight; "
				  "destroy the guest, it waits for them",
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
		for (unsigned int q = 0; q < gd->disk.nqueues; q++) {
			requests += gd->disk.blk.queue[q].requests;
			failed += gd->disk.blk.queue[q].failed;
		}
	}
	log_info("stats requests=%" PRIu64 " failed=%" PRIu64 " ioreqs=%" PRIu64
		 " notifications=%" PRIu64 " maps=%" PRIu64 " pages=%" PRIu64
		 " sleeps=%" PRIu64, requests, failed, g->server.requests,
		 interrupts, g->cache.maps, g->cache.pages, g->loop->sleeps);
}
