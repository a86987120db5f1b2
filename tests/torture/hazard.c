/* SPDX-License-Identifier: MIT */
/*
 * The hazard of a successor: the daemon is killed while a slow store holds its
 * writes back, the next one does them again, the driver goes on and overwrites
 * the same sectors. An old write that lands then, lands on new data.
 *
 * For each kill: some writes are held back, each for a time of its own; kill;
 * start the next one; as soon as one of the writes has completed its sectors
 * are written anew, at once. When the store holds nothing any more, what is on
 * it has to be the newer ones. And nothing may complete while the store still
 * holds a write of the dead one.
 *
 * usage: hazard program=FILE socket=PATH file=FILE data=FILE control=FILE
 *		 disk=KEYS [KEY=VALUE]...
 *
 *	file, data, control	as of slow_store
 *	kills=N seed=N packed=1
 *	min=MS max=MS		how long writes are held back
 *	early=1			completions while a write is held are no fault:
 *				who holds it may be the page cache
 *	leave=1			the front end goes and comes back instead, the
 *				daemon stays
 *	preload=FILE find=1	a library for the daemon that takes something
 *				away: the test is to find a fault, then it ends
 *	all=1			find=1 goes on to the last kill
 *	paths=1			each daemon has a socket of its own: one that
 *				cannot end yet still listens on its own
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "load.h"
#include "store.h"

#define PAUSE_NS NS_PER_MS
#define START_PAUSE_NS (20 * NS_PER_MS)
#define KILL_WITHIN_NS (5 * NS_PER_MS)
/* What completes without being held back need not be waited for. */
#define HELD_WITHIN_NS (500 * NS_PER_MS)

enum { NQUEUES = 2, RANGES_MAX = 24, RANGE_SECTORS_MAX = 128 };

struct range {
	uint32_t first, n;
	bool again; /* it was written anew since the kill */
};

struct hazard {
	struct daemon daemon;
	struct front front;
	struct load load;
	struct store_control *store;
	const char *file, *data, *control;
	unsigned int kills, seed, packed, min_ms, max_ms, early_ok, find, all,
		leave;
	struct range range[RANGES_MAX];
	unsigned int nranges;
	unsigned int killed, with_held, early;
	uint32_t stale;
	uint64_t held_writes, most_ns;
};

static void hangs(struct hazard *h, const char *what)
{
	load_tell(&h->load);
	die("%s: %u requests under way, %u held by the store, %u dead daemons "
	    "left, %u messages refused, log %s.%u.log",
	    what, load_busy(&h->load), store_read(&h->store->held),
	    daemon_reap(), h->front.refused, h->daemon.socket,
	    h->daemon.starts % 2);
}

/* ---- the daemon ---- */

static void start(struct hazard *h)
{
	daemon_start(&h->daemon);
	h->load.start = h->daemon.starts;
}

/* One attempt to have a session: true if there is one. */
static bool reach(struct hazard *h)
{
	struct front *f = &h->front;

	if (f->sock >= 0) {
		if (!front_is_left(f))
			return true;
		front_disconnect(f);
	}
	if (!daemon_is_alive(&h->daemon)) {
		pause_ns(h->daemon.starts ? START_PAUSE_NS : 0);
		start(h);
	}
	if (front_connect(f))
		return false;
	f->acks = chance_below(&h->load.chance, 2);
	if (front_begin(f) == 0 &&
	    (chance_below(&h->load.chance, 4) ||
	     front_set_mode(f, (uint8_t)chance_below(&h->load.chance, 2)) == 0))
		return true;
	/* Its queues could not start: the image is not free yet. */
	front_disconnect(f);
	pause_ns(START_PAUSE_NS);
	return false;
}

/* Let it work for a moment: how much has completed. */
static unsigned int turn(struct hazard *h)
{
	if (!reach(h)) {
		pause_ns(PAUSE_NS);
		return 0;
	}
	load_kick(&h->load);
	front_wait(&h->front, PAUSE_NS);
	return load_take(&h->load);
}

/* ---- the old writes ---- */

static void begin_old(struct hazard *h)
{
	struct chance *c = &h->load.chance;
	unsigned int n = 1 + chance_below(c, RANGES_MAX);

	h->nranges = 0;
	while (h->nranges < n) {
		struct range *r = &h->range[h->nranges];
		bool zero = !chance_below(c, 8);
		uint32_t align = zero ? 8 : h->load.align;

		r->n = align * (1 + chance_below(c, RANGE_SECTORS_MAX / align));
		r->first = chance_below(c, (h->load.oracle.nsectors - r->n) /
						   align) *
			   align;
		r->again = false;
		if (load_begin(&h->load, chance_below(c, NQUEUES),
			       zero ? LOAD_ZERO : LOAD_WRITE, r->first, r->n))
			h->nranges++;
	}
	if (h->early_ok || chance_below(c, 2))
		load_begin(&h->load, 0, LOAD_FLUSH, 0, 0);
}

/* Until the store holds something of it, and a moment more. */
static void wait_held(struct hazard *h)
{
	uint64_t until = clock_ns() + HELD_WITHIN_NS;

	while (!store_read(&h->store->held) && clock_ns() < until)
		turn(h);
	pause_ns(chance_ns(&h->load.chance, KILL_WITHIN_NS));
	h->with_held += store_read(&h->store->held) > 0;
	h->held_writes += store_read(&h->store->held);
}

/* ---- the new ones ---- */

static void write_anew(struct hazard *h)
{
	for (unsigned int i = 0; i < h->nranges; i++) {
		struct range *r = &h->range[i];

		if (!r->again && load_begin(&h->load, i % NQUEUES, LOAD_WRITE,
					    r->first, r->n))
			r->again = true;
	}
}

static bool all_anew(const struct hazard *h)
{
	for (unsigned int i = 0; i < h->nranges; i++)
		if (!h->range[i].again)
			return false;
	return true;
}

static void overwrite(struct hazard *h)
{
	uint64_t begun = clock_ns();
	bool first = true;

	while (load_busy(&h->load) || !all_anew(h)) {
		uint32_t held;

		if (clock_ns() - begun > WAIT_NS + h->max_ms * NS_PER_MS)
			hangs(h, "what was under way does not complete");
		/* Before it completed, so not less than it was then. */
		write_anew(h);
		if (!turn(h) || !first)
			continue;
		held = store_read(&h->store->held);
		h->early += held && !h->early_ok;
		if (clock_ns() - begun > h->most_ns)
			h->most_ns = clock_ns() - begun;
		first = false;
	}
}

static void wait_none_held(struct hazard *h)
{
	uint64_t until = clock_ns() + WAIT_NS + h->max_ms * NS_PER_MS;

	while (store_read(&h->store->held)) {
		if (clock_ns() > until)
			hangs(h, "the store does not answer");
		pause_ns(PAUSE_NS);
	}
}

/* ---- the verdict ---- */

/* What the kernel has of it, to the store. */
static void flush_file(const struct hazard *h)
{
	int fd = open(h->file, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fsync(fd))
		die("%s: %s", h->file, strerror(errno));
	close(fd);
}

static void read_again(struct hazard *h)
{
	uint64_t until = clock_ns() + WAIT_NS;

	for (unsigned int i = 0; i < h->nranges; i++)
		load_begin(&h->load, i % NQUEUES, LOAD_READ, h->range[i].first,
			   h->range[i].n);
	while (load_busy(&h->load)) {
		if (clock_ns() > until)
			hangs(h, "a read does not complete");
		turn(h);
	}
}

static void judge(struct hazard *h)
{
	flush_file(h);
	h->stale += oracle_check_image(&h->load.oracle, h->data);
	if (!h->find && (h->stale || h->early))
		die("%u stale sectors; served %u times while a write of the "
		    "dead daemon was under way",
		    h->stale, h->early);
	if (!h->find)
		read_again(h);
}

/* A disk with a fault that was looked for: whatever it has is right again. */
static void forget(struct hazard *h)
{
	uint32_t n = h->load.oracle.nsectors;

	for (uint32_t at = 0; at < n; at += LOAD_SECTORS_MAX) {
		load_begin(&h->load, 0, LOAD_WRITE, at, LOAD_SECTORS_MAX);
		while (load_busy(&h->load))
			turn(h);
	}
}

/* What a start does with the image is not held back. */
static void wait_session(struct hazard *h)
{
	uint64_t until = clock_ns() + WAIT_NS;

	while (!reach(h)) {
		if (clock_ns() > until)
			hangs(h, "no session");
		pause_ns(PAUSE_NS);
	}
}

static void one_kill(struct hazard *h)
{
	wait_session(h);
	store_set(&h->store->hold, 1);
	begin_old(h);
	wait_held(h);
	store_set(&h->store->hold, 0);
	if (!h->leave)
		daemon_kill(&h->daemon);
	h->killed++;
	front_disconnect(&h->front);
	load_take(&h->load);
	if (!h->leave)
		start(h);
	overwrite(h);
	wait_none_held(h);
	judge(h);
}

/* ---- life ---- */

static void open_store(struct hazard *h)
{
	int fd = open(h->control, O_RDWR | O_CLOEXEC);
	uint64_t until = clock_ns() + WAIT_NS;

	h->store = fd < 0 ? MAP_FAILED :
			    mmap(NULL, sizeof(*h->store),
				 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h->store == MAP_FAILED)
		die("%s: %s", h->control, strerror(errno));
	close(fd);
	store_set(&h->store->min_ms, h->min_ms);
	store_set(&h->store->max_ms, h->max_ms);
	while (!store_read(&h->store->ready)) {
		if (clock_ns() > until)
			die("the store does not begin");
		pause_ns(PAUSE_NS);
	}
}

static void open_disk(struct hazard *h)
{
	uint64_t features = load_features();
	struct stat st;

	if (stat(h->data, &st) || st.st_size < 1 << 20)
		die("%s: no image of a MiB or more", h->data);
	/* With a cache that is written later the kernel goes by its own. */
	if (h->early_ok && truncate(h->file, st.st_size))
		die("%s: %s", h->file, strerror(errno));
	if (h->packed)
		features |= VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	if (h->seed & 1)
		features |= VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	front_init(&h->front, h->daemon.path, NQUEUES, features,
		   load_bytes(NQUEUES));
	load_init(&h->load, &h->front, (uint32_t)(st.st_size / SECTOR),
		  h->seed);
}

static void run(struct hazard *h)
{
	while (h->killed < h->kills) {
		one_kill(h);
		if (!h->find || !h->stale)
			continue;
		if (!h->all)
			return;
		forget(h);
	}
}

int main(int argc, char **argv)
{
	static struct hazard h = {
		.kills = 5, .seed = 1, .min_ms = 200, .max_ms = 400
	};
	const struct key keys[] = {
		{ "program", NULL, &h.daemon.program },
		{ "socket", NULL, &h.daemon.socket },
		{ "disk", NULL, &h.daemon.disk },
		{ "preload", NULL, &h.daemon.preload },
		{ "foreground", &h.daemon.foreground, NULL },
		{ "file", NULL, &h.file },
		{ "data", NULL, &h.data },
		{ "control", NULL, &h.control },
		{ "kills", &h.kills, NULL },
		{ "seed", &h.seed, NULL },
		{ "packed", &h.packed, NULL },
		{ "min", &h.min_ms, NULL },
		{ "max", &h.max_ms, NULL },
		{ "early", &h.early_ok, NULL },
		{ "find", &h.find, NULL },
		{ "paths", &h.daemon.paths, NULL },
		{ "all", &h.all, NULL },
		{ "leave", &h.leave, NULL },
	};

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!h.daemon.program || !h.daemon.socket || !h.daemon.disk ||
	    !h.file || !h.data || !h.control)
		die("hazard: program=, socket=, file=, data=, control=, disk= "
		    "are needed");
	open_store(&h);
	open_disk(&h);
	run(&h);
	front_disconnect(&h.front);
	daemon_stop(&h.daemon);
	printf("%u kills, %u of them with %" PRIu64 " writes held back; "
	       "%u starts and %u messages refused, "
	       "%.1f s to the first completion at most; "
	       "%u stale sectors, served early %u times\n",
	       h.killed, h.with_held, h.held_writes, h.daemon.refusals,
	       h.front.refused, (double)h.most_ns / NS_PER_SECOND, h.stale,
	       h.early);
	load_finish(&h.load);
	front_finish(&h.front);
	return h.find && !h.stale;
}
