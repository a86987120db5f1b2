/* SPDX-License-Identifier: MIT */
/*
 * The program serves a Xen guest on any machine, and is killed while it does.
 *
 * The program is what is built, unchanged: it loads Xen's libraries when it
 * needs them, and finds ours (library.c). Our host (host.h) is the hypervisor,
 * xenstored and the toolstack; the guest has a driver (driver.h) that goes by
 * interrupts, with the load and the oracle of tests/torture. So it runs as
 * processes, which can be killed at any instruction:
 *
 *	this process                              the program's processes
 *	driver -> vCPU -> slot, event channel ->  IOREQ server, device, image
 *	       <- interrupt <- slot, notification <-
 *
 * One thread is the driver, which knows nothing of deaths: its vCPU stands
 * still until the next program answers. This one kills and starts the program,
 * within 30 ms of the first completion of its life, or while it begins; now and
 * then it ends it by SIGTERM, which leaves the disk as a death does. At the end
 * all requests have to be done, and the image has to be what was written.
 *
 * usage: kills program=FILE libraries=DIR states=DIR directory=DIR image=FILE
 *		[KEY=VALUE]...
 *
 *	kills=N seed=N queues=N depth=N packed=1
 *	disk=KEYS	of --disk, without id=
 *	states=DIR	of --state-dir
 *	option=WORD	one more for the program
 *	check=N		after each N-th kill look for what was left behind
 *	resets=1	the driver begins anew now and then
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"
#include "load.h"
#include "program.h"

#define KILL_WITHIN_NS (30 * NS_PER_MS)
#define KILL_EARLY_NS (15 * NS_PER_MS)
#define PROGRESS_NS (5 * NS_PER_SECOND)
#define LOOK_NS (100 * NS_PER_MS)

enum {
	DOMID = 5,
	DEVID = 51712,
	BASE = 0x2000000,
	IRQ = 33,
	RESTART_ONE_IN = 12,
	EARLY_ONE_IN = 10,
	RESET_ONE_IN = 2000,
};

struct test {
	struct program program;
	struct driver driver;
	struct load load;
	const char *directory, *image, *disk;
	unsigned int kills, seed, nqueues, depth, packed, check, resets;
	struct chance chance; /* of the killer's */
	unsigned int killed, restarts, checks, begun_anew;
	pthread_t thread;
	/* Between the two threads; atomic. */
	uint64_t completed;
	uint32_t hold, drained, stop;
	uint64_t killed_ns; /* since when nothing has completed; 0: now */
	uint32_t binds;     /* ... and of ports by then */
	/* Of the driver's. */
	bool anew;
	uint64_t last_ns;
	uint64_t *times_us;
	unsigned int ntimes;
	uint64_t said_ns;
};

#define get(word) __atomic_load_n(&(word), __ATOMIC_SEQ_CST)
#define set(word, value) __atomic_store_n(&(word), value, __ATOMIC_SEQ_CST)

/* ---- the driver's thread ------------------------------------------------- */

static void hangs(struct test *t)
{
	char log[256];

	program_log(&t->program, log, sizeof(log));
	load_tell(&t->load);
	for (unsigned int v = 0; v < HOST_VCPUS; v++)
		fprintf(stderr, "    vCPU %u: op %u, busy %d, slot %u\n", v,
			t->driver.op[v], host.vcpu[v].busy,
			host.server.exists ? host.server.page[v].state : 99);
	die("%u requests do not complete, interrupts %" PRIu64 " of %" PRIu64
	    ", program %d, log %s",
	    load_busy(&t->load), t->driver.irqs_seen, domain_irqs(IRQ),
	    (int)t->program.pid, log);
}

/* What one that is dead now has left is not the next one's. */
static void note_time(struct test *t)
{
	uint64_t killed_ns = get(t->killed_ns);

	if (!killed_ns || get(host.binds) == get(t->binds))
		return;
	t->times_us[t->ntimes++] = (clock_ns() - killed_ns) / NS_PER_US;
	set(t->killed_ns, 0);
}

static void take(struct test *t)
{
	unsigned int n;

	t->driver.told = false;
	n = load_take(&t->load);
	if (!n)
		return;
	t->last_ns = clock_ns();
	note_time(t);
	set(t->completed, get(t->completed) + n);
}

static uint64_t features_of(struct test *t)
{
	uint64_t features = load_features() |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);

	if (t->nqueues > 1)
		features |= VIRTIO_FEATURE(VIRTIO_BLK_F_MQ);
	if (t->packed)
		features |= VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	if ((t->seed + t->begun_anew) & 1)
		features |= VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	return features;
}

/* A driver that begins, as after the guest's kexec. */
static void begin_anew(struct test *t)
{
	t->anew = false;
	t->begun_anew++;
	driver_begin(&t->driver, features_of(t));
	t->last_ns = clock_ns();
}

static void work(struct test *t)
{
	bool hold = get(t->hold), idle;

	driver_step(&t->driver);
	if (t->driver.told)
		take(t);
	idle = !load_busy(&t->load) && driver_is_quiet(&t->driver);
	set(t->drained, hold && idle);
	if (t->anew && idle)
		begin_anew(t);
	if (hold || t->anew)
		return;
	t->anew = t->resets && !chance_below(&t->load.chance, RESET_ONE_IN);
	load_fill(&t->load);
	load_kick(&t->load);
	driver_step(&t->driver);
}

static void *drive(void *arg)
{
	struct test *t = arg;

	driver_begin(&t->driver, features_of(t));
	t->last_ns = clock_ns();
	while (!get(t->stop)) {
		work(t);
		driver_wait(&t->driver, LOOK_NS);
		if (!load_busy(&t->load))
			t->last_ns = clock_ns();
		if (clock_ns() - t->last_ns > WAIT_NS)
			hangs(t);
	}
	return NULL;
}

/* ---- the toolstack ------------------------------------------------------- */

static const char *node(const char *name)
{
	static char path[4][WIRE_PATH_MAX];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, WIRE_PATH_MAX, "backend/virtio_disk/%u/%u%s%s", DOMID,
		 DEVID, *name ? "/" : "", name);
	return p;
}

static void wait_node(struct test *t, const char *name, const char *value)
{
	uint64_t until = clock_ns() + WAIT_NS;
	char log[256];

	program_log(&t->program, log, sizeof(log));
	while (!tool_is(node(name), value)) {
		if (clock_ns() > until)
			die("%s does not become %s, see %s", name, value, log);
		program_lives(&t->program);
		pause_ns(NS_PER_MS);
	}
}

static void attach(struct test *t)
{
	host_lock();
	tool_write(node("params"), "%s", t->image);
	tool_write(node("dev"), "xvda");
	tool_write(node("mode"), "w");
	tool_write(node("base"), "%u", BASE);
	tool_write(node("irq"), "%u", IRQ);
	tool_write(node("grant_usage"), "0");
	tool_write(node("discard-enable"), "1");
	tool_write(node("online"), "1");
	tool_write(node("state"), "1");
	host_unlock();
	wait_node(t, "state", "2");
}

static void detach(struct test *t)
{
	host_lock();
	tool_write(node("online"), "0");
	tool_write(node("state"), "5");
	host_unlock();
	wait_node(t, "state", "6");
	tool_remove(node(""));
}

/* ---- kills --------------------------------------------------------------- */

static void say_progress(struct test *t)
{
	uint64_t now = clock_ns();

	if (now - t->said_ns < PROGRESS_NS)
		return;
	t->said_ns = now;
	printf("    %u of %u kills, %" PRIu64 " requests\n", t->killed,
	       t->kills, get(t->completed));
	fflush(stdout);
}

static void note_death(struct test *t)
{
	if (get(t->killed_ns))
		return;
	set(t->binds, get(host.binds));
	set(t->killed_ns, clock_ns());
}

static void kill_now(struct test *t)
{
	if (chance_below(&t->chance, RESTART_ONE_IN) == 0) {
		program_stop(&t->program);
		t->restarts++;
		return;
	}
	program_kill(&t->program);
	note_death(t);
	t->killed++;
}

/* Until anything has completed; the driver has the limit. */
static void wait_progress(struct test *t)
{
	uint64_t completed = get(t->completed);
	unsigned int seen = 0;

	while (get(t->completed) == completed || get(t->killed_ns)) {
		program_lives(&t->program);
		seen = host_wait(seen, LOOK_NS);
	}
}

/* Nobody answers any more, and nothing is under way. */
static void drain(struct test *t)
{
	uint64_t until = clock_ns() + WAIT_NS;

	set(t->hold, 1);
	while (!get(t->drained)) {
		if (clock_ns() > until)
			hangs(t);
		pause_ns(NS_PER_MS);
	}
}

static void reap_all(struct test *t)
{
	uint64_t until = clock_ns() + WAIT_NS;

	while (program_reap() || host_peers()) {
		if (clock_ns() > until)
			die("processes of the program do not end");
		pause_ns(NS_PER_MS);
	}
	(void)t;
}

static unsigned int count_files(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned int n = 0;
	struct dirent *e;

	if (!dir)
		die("%s: %s", directory, strerror(errno));
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static unsigned int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:") != NULL;
	if (f)
		fclose(f);
	return n;
}

/* What has to be as it was after each death. */
struct rest {
	unsigned int descriptors, mappings, states, nodes, ranges;
};

static unsigned int count_nodes(void)
{
	unsigned int n = 0;

	host_lock();
	for (const struct store_node *s = host.nodes; s; s = s->next)
		n++;
	host_unlock();
	return n;
}

static struct rest look_at_rest(struct test *t)
{
	char states[128];

	snprintf(states, sizeof(states), "%s/%u", t->program.state_dir, DOMID);
	return (struct rest){
		.descriptors = count_files("/proc/self/fd"),
		.mappings = count_mappings(),
		.states = count_files(states),
		.nodes = count_nodes(),
		.ranges = host.server.nranges,
	};
}

static void check_image(struct test *t)
{
	uint32_t wrong = oracle_check_image(&t->load.oracle, t->image);

	if (wrong)
		die("%u sectors of the image are wrong", wrong);
}

/* Drained, and dead: nothing is left but what the next one needs. */
static void check_rest(struct test *t)
{
	static struct rest first;
	struct rest now;

	drain(t);
	program_kill(&t->program);
	reap_all(t);
	now = look_at_rest(t);
	if (t->checks++ == 0)
		first = now;
	if (memcmp(&first, &now, sizeof(now)))
		die("left behind: %u descriptors, %u mappings, %u files of "
		    "state, %u nodes, %u ranges; first it was %u, %u, %u, %u, "
		    "%u",
		    now.descriptors, now.mappings, now.states, now.nodes,
		    now.ranges, first.descriptors, first.mappings, first.states,
		    first.nodes, first.ranges);
	check_image(t);
	set(t->hold, 0);
}

static void torture(struct test *t)
{
	while (t->killed < t->kills) {
		if (!t->program.pid) {
			program_start(&t->program);
			t->load.start = t->program.starts;
		}
		if (chance_below(&t->chance, EARLY_ONE_IN) == 0) {
			pause_ns(chance_ns(&t->chance, KILL_EARLY_NS));
		} else {
			wait_progress(t);
			pause_ns(chance_ns(&t->chance, KILL_WITHIN_NS));
		}
		if (t->check && t->killed % t->check == t->check - 1) {
			t->killed++;
			if (get(t->killed_ns))
				wait_progress(t);
			check_rest(t);
		} else {
			kill_now(t);
		}
		say_progress(t);
	}
}

/* ---- the end ------------------------------------------------------------- */

static void wait_end(struct test *t)
{
	uint64_t until = clock_ns() + WAIT_NS;

	reap_all(t);
	while (count_files(t->program.state_dir)) {
		if (clock_ns() > until)
			die("%s is not empty", t->program.state_dir);
		pause_ns(NS_PER_MS);
	}
	check_image(t);
}

/* The guest's own end, or that of the disk and then of the program. */
static void finish(struct test *t)
{
	if (!t->program.pid)
		program_start(&t->program);
	if (t->kills || !get(t->completed))
		wait_progress(t);
	drain(t);
	set(t->stop, 1);
	pthread_join(t->thread, NULL);
	detach(t);
	domain_die(LIFE_DYING);
	domain_destroy();
	program_stop(&t->program);
	wait_end(t);
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile(const struct test *t, unsigned int percent)
{
	unsigned int i = t->ntimes * percent / 100;

	if (!t->ntimes)
		return 0;
	return (double)t->times_us[i < t->ntimes ? i : t->ntimes - 1] / 1000;
}

static void report(struct test *t)
{
	const uint64_t *n = t->load.counts;

	qsort(t->times_us, t->ntimes, sizeof(*t->times_us), by_time);
	printf("    %u kills, %u restarts, %u starts, %u checks, %u drivers; "
	       "%" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
	       " flushes, %" PRIu64 " zeroings, %" PRIu64 " discards, %" PRIu64
	       " accesses; death to completion: p50 %.1f ms, p99 %.1f ms, "
	       "most %.1f ms (%u)\n",
	       t->killed, t->restarts, t->program.starts, t->checks,
	       t->begun_anew + 1, n[LOAD_READ], n[LOAD_WRITE], n[LOAD_FLUSH],
	       n[LOAD_ZERO], n[LOAD_DISCARD], host.answers, percentile(t, 50),
	       percentile(t, 99), percentile(t, 100), t->ntimes);
}

/* ---- the beginning ------------------------------------------------------- */

static void prepare(struct test *t)
{
	size_t bytes = (size_t)t->nqueues * RING_BYTES + load_bytes(t->nqueues);
	static char disk[256];
	struct stat st;

	if (stat(t->image, &st) || st.st_size < 1 << 20)
		die("%s: no image of a MiB or more", t->image);
	snprintf(disk, sizeof(disk),
		 "id=xvda,queues=%u,queue-size=%u,packed=%s%s%s", t->nqueues,
		 RING_SIZE, t->packed ? "on" : "off", *t->disk ? "," : "",
		 t->disk);
	t->program.disk = disk;
	t->program.directory = t->directory;
	t->times_us = calloc(2 * t->kills + 2, sizeof(*t->times_us));
	if (!t->times_us)
		die("no memory");
	/* Whole chunks, as the program maps them. */
	host_start(t->directory, (bytes + (1 << 21)) >> 20 << 20);
	driver_init(&t->driver, t->nqueues, BASE, IRQ);
	load_init(&t->load, &t->driver.front, (uint32_t)(st.st_size / SECTOR),
		  t->seed);
	chance_seed(&t->chance, t->seed + 1000);
	t->load.discards = true;
	for (unsigned int q = 0; q < t->nqueues; q++)
		t->load.queue[q].depth = 1u << q * 6 / t->nqueues;
	t->load.queue[t->nqueues - 1].depth = t->depth;
	t->said_ns = clock_ns();
}

static void begin(struct test *t)
{
	domain_create(DOMID);
	program_start(&t->program);
	attach(t);
	if (pthread_create(&t->thread, NULL, drive, t))
		die("no thread");
}

int main(int argc, char **argv)
{
	static struct test t = {
		.kills = 25,
		.seed = 1,
		.nqueues = 3,
		.depth = RING_SLOTS,
		.disk = "",
		.resets = 1,
		.check = 10,
	};
	const struct key keys[] = {
		{ "program", NULL, &t.program.path },
		{ "libraries", NULL, &t.program.libraries },
		{ "states", NULL, &t.program.state_dir },
		{ "option", NULL, &t.program.option },
		{ "directory", NULL, &t.directory },
		{ "disk", NULL, &t.disk },
		{ "image", NULL, &t.image },
		{ "kills", &t.kills, NULL },
		{ "seed", &t.seed, NULL },
		{ "queues", &t.nqueues, NULL },
		{ "depth", &t.depth, NULL },
		{ "packed", &t.packed, NULL },
		{ "check", &t.check, NULL },
		{ "resets", &t.resets, NULL },
	};

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!t.program.path || !t.program.libraries || !t.program.state_dir ||
	    !t.directory || !t.image || !t.nqueues ||
	    t.nqueues > FRONT_QUEUES_MAX || !t.depth || t.depth > RING_SLOTS)
		die("kills: program=, libraries=, states=, directory=, image= "
		    "are needed");
	prepare(&t);
	begin(&t);
	torture(&t);
	finish(&t);
	report(&t);
	load_finish(&t.load);
	host_stop();
	free(t.times_us);
	return 0;
}
