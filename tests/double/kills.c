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
 *	victims=N	who is killed: 1 the monitor, 2 its worker, 4 both, 8
 *			the nursery; the sum of those that may be
 *	swap=N		at one kill in N there is another file where the image
 *			was, for a while
 *	hangs=N		so many workers stand still, each until the monitor is
 *			told to ask it for something, and has found it out
 *	patience=1	workers are killed as they begin until the disk is given
 *			up: it needs a reset, and is served as before after one
 *	control=FILE data=FILE min=MS max=MS
 *			the image is a slow store's (tests/torture): at each
 *			kill it holds writes back, and nothing may complete
 *			before those are done
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"
#include "load.h"
#include "program.h"
#include "rest.h"
#include "store.h"
#include "toolstack.h"
#include "virtio/mmio_wire.h"

#define KILL_WITHIN_NS (30 * NS_PER_MS)
#define KILL_EARLY_NS (15 * NS_PER_MS)
#define PROGRESS_NS (5 * NS_PER_SECOND)
#define LOOK_NS (100 * NS_PER_MS)
/* How long a monitor may have what it closes soon. */
#define SETTLED_NS (300 * NS_PER_MS)
#define SWAPPED_NS (300 * NS_PER_MS)
#define DEATHS_NS (12 * NS_PER_SECOND)
/* What completes without being held back need not be waited for. */
#define HELD_WITHIN_NS (500 * NS_PER_MS)

enum {
	RESTART_ONE_IN = 12,
	EARLY_ONE_IN = 10,
	DEATHS_MAX = 4, /* of workers, in so long, that are no reason to wait */
	RESET_ONE_IN = 2000,
	/*
	 * Deaths of workers until a monitor's patience ends: at once, and after
	 * the pauses, which take most of a minute (monitor/worker_lives.h).
	 */
	PATIENCE = 5 + 8 + 1,
};

enum victim { MONITOR, WORKER, BOTH, NURSERY, VICTIMS };

struct test {
	struct program program;
	struct driver driver;
	struct load load;
	const char *directory, *image, *disk;
	unsigned int kills, seed, nqueues, depth, packed, check, resets;
	struct chance chance; /* of the killer's */
	unsigned int killed, restarts, checks, begun_anew, of[VICTIMS];
	unsigned int victims; /* a bit for each */
	unsigned int swap, swaps, hangs, hung, patience;
	uint64_t lost_ns[DEATHS_MAX]; /* of this monitor's workers */
	unsigned int nlost;
	const char *control; /* of a slow store, or NULL */
	struct store_control *store;
	const char *data; /* where what is written to it is in the end */
	unsigned int min_ms, max_ms, held;
	pid_t monitors_pid;
	unsigned int monitors_kb, last_kb;
	struct rest first, monitors; /* after the first death of each */
	pthread_t thread;
	/* Between the two threads; atomic. */
	uint64_t completed;
	uint32_t hold, drained, stop, given_up;
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
	    load_busy(&t->load), t->driver.irqs_seen,
	    domain_irqs(TOOLSTACK_IRQ), (int)t->program.pid, log);
}

/* What one that is dead now has left is not the next one's. */
static void note_time(struct test *t)
{
	uint64_t killed_ns = get(t->killed_ns);

	if (!killed_ns || get(host.binds) == get(t->binds))
		return;
	if (t->store && store_read(&t->store->held))
		die("%u writes of the dead one are held by the store, and the "
		    "next one has gone on",
		    store_read(&t->store->held));
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

/* Nothing is under way: it is as a driver is told to do. */
static void reset_given_up(struct test *t)
{
	if (!(driver_read(&t->driver, VIRTIO_MMIO_STATUS) &
	      VIRTIO_STATUS_NEEDS_RESET))
		die("a disk that was given up does not need a reset");
	begin_anew(t);
	if (driver_read(&t->driver, VIRTIO_MMIO_STATUS) &
	    VIRTIO_STATUS_NEEDS_RESET)
		die("a disk that was reset needs a reset");
	set(t->given_up, 0);
}

static void work(struct test *t)
{
	bool hold = get(t->hold), idle;

	driver_step(&t->driver);
	if (t->driver.told)
		take(t);
	idle = !load_busy(&t->load) && driver_is_quiet(&t->driver);
	set(t->drained, hold && idle);
	if (get(t->given_up) && idle)
		reset_given_up(t);
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

static void start(struct test *t)
{
	program_start(&t->program);
	t->load.start = t->program.starts;
}

static bool one_in(struct test *t, uint32_t n)
{
	return chance_below(&t->chance, n) == 0;
}

/* A monitor starts so many workers at once, and the next ones ever later. */
static bool may_lose_worker(struct test *t)
{
	uint64_t *oldest = &t->lost_ns[t->nlost % DEATHS_MAX];
	uint64_t now = clock_ns();

	if (t->nlost >= DEATHS_MAX && now - *oldest < DEATHS_NS)
		return false;
	*oldest = now;
	t->nlost++;
	return true;
}

static void kill_monitor(struct test *t)
{
	program_kill(&t->program);
	t->nlost = 0;
	t->of[MONITOR]++;
}

static enum victim any_victim(struct test *t)
{
	uint32_t victim = chance_below(&t->chance, VICTIMS);

	while (!(t->victims >> victim & 1))
		victim = (victim + 1) % VICTIMS;
	return (enum victim)victim;
}

/* Whoever is there; the monitor, where it is all that there is. */
static void kill_any(struct test *t)
{
	enum victim victim = any_victim(t);
	pid_t worker = program_worker(&t->program);
	pid_t nursery = program_nursery(&t->program);

	if (!worker || victim == MONITOR || !may_lose_worker(t)) {
		kill_monitor(t);
		return;
	}
	t->of[victim]++;
	if (victim == NURSERY && nursery) {
		t->program.may_fail = true;
		kill(nursery, SIGKILL);
		return;
	}
	if (victim == BOTH && one_in(t, 2)) {
		kill_monitor(t);
		pause_ns(chance_ns(&t->chance, NS_PER_MS));
	}
	kill(worker, SIGKILL);
	if (victim == BOTH && t->program.pid) {
		pause_ns(chance_ns(&t->chance, NS_PER_MS));
		kill_monitor(t);
	}
}

/* What is written from now on waits; until some does. */
static void hold_writes(struct test *t)
{
	uint64_t until = clock_ns() + HELD_WITHIN_NS;

	if (!t->store)
		return;
	store_set(&t->store->hold, 1);
	while (!store_read(&t->store->held) && clock_ns() < until)
		pause_ns(NS_PER_MS);
}

/* The dead one's wait on, the next one's do not. */
static void let_writes(struct test *t)
{
	if (!t->store)
		return;
	t->held += store_read(&t->store->held);
	store_set(&t->store->hold, 0);
}

/* Another file of that size where the image was, or the image again. */
static void swap_image(struct test *t, bool away)
{
	char other[256], kept[256];
	struct stat st;
	int fd;

	snprintf(other, sizeof(other), "%s.other", t->image);
	snprintf(kept, sizeof(kept), "%s.kept", t->image);
	if (!away) {
		if (rename(kept, t->image))
			die("%s: %s", kept, strerror(errno));
		return;
	}
	fd = open(other, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || stat(t->image, &st) || ftruncate(fd, st.st_size) ||
	    link(t->image, kept) || rename(other, t->image))
		die("%s: cannot be swapped: %s", t->image, strerror(errno));
	close(fd);
}

/* A program that finds another image waits for the right one. */
static void kill_without_image(struct test *t)
{
	swap_image(t, true);
	kill_any(t);
	note_death(t);
	if (!program_lives(&t->program))
		start(t);
	pause_ns(chance_ns(&t->chance, SWAPPED_NS));
	swap_image(t, false);
	t->killed++;
	t->swaps++;
}

static void kill_now(struct test *t)
{
	if (t->swap && one_in(t, t->swap)) {
		kill_without_image(t);
		return;
	}
	if (one_in(t, RESTART_ONE_IN)) {
		program_stop(&t->program);
		t->nlost = 0;
		t->restarts++;
		return;
	}
	hold_writes(t);
	kill_any(t);
	note_death(t);
	let_writes(t);
	t->killed++;
}

/* Until anything has completed; the driver has the limit. */
static void wait_progress(struct test *t)
{
	uint64_t completed = get(t->completed);
	unsigned int seen = 0;

	while (get(t->completed) == completed || get(t->killed_ns)) {
		if (!program_lives(&t->program))
			start(t);
		seen = host_wait(seen, LOOK_NS);
	}
}

/* Whether the program that runs has said so. */
static bool has_said(struct test *t, const char *text)
{
	char log[256], line[512];
	bool any = false;
	FILE *file;

	program_log(&t->program, log, sizeof(log));
	file = fopen(log, "r");
	while (file && fgets(line, sizeof(line), file))
		any |= strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return any;
}

static void wait_said(struct test *t, const char *text)
{
	uint64_t until = clock_ns() + WAIT_NS;

	while (!has_said(t, text)) {
		if (!program_lives(&t->program) || clock_ns() > until)
			die("the program does not say: %s", text);
		pause_ns(10 * NS_PER_MS);
	}
}

/* The next one that begins, which is not `last`. */
static pid_t kill_beginner(struct test *t, pid_t last)
{
	uint64_t until = clock_ns() + WAIT_NS;
	pid_t worker;

	while (!(worker = program_worker(&t->program)) || worker == last) {
		if (!program_lives(&t->program) || clock_ns() > until)
			die("no worker begins");
		pause_ns(10 * NS_PER_MS);
	}
	kill(worker, SIGKILL);
	return worker;
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

static void check_image(struct test *t)
{
	uint32_t wrong = oracle_check_image(&t->load.oracle,
					    t->data ? t->data : t->image);

	if (wrong)
		die("%u sectors of the image are wrong", wrong);
}

/* Drained, and dead: nothing is left but what the next one needs. */
static void check_dead(struct test *t)
{
	struct rest now;

	kill_monitor(t);
	reap_all(t);
	now = rest_look(0, t->program.state_dir);
	if (!t->first.descriptors)
		t->first = now;
	rest_compare(&t->first, &now, "by the dead");
	check_image(t);
}

/* As soon as it is as before; or what it is after a while. */
static struct rest settled(struct test *t)
{
	uint64_t until = clock_ns() + SETTLED_NS;
	struct rest now;

	do {
		now = rest_look(t->program.pid, t->program.state_dir);
		if (t->monitors_pid == t->program.pid &&
		    memcmp(&now, &t->monitors, sizeof(now)) == 0)
			break;
		pause_ns(NS_PER_MS);
	} while (clock_ns() < until);
	return now;
}

/* The monitor has another worker, and nothing of the one before. */
static void check_monitor(struct test *t)
{
	struct rest now;

	kill(program_worker(&t->program), SIGKILL);
	note_death(t);
	set(t->hold, 0);
	wait_progress(t);
	drain(t);
	now = settled(t);
	if (t->monitors_pid != t->program.pid) {
		t->monitors = now;
		t->monitors_kb = rest_memory_kb(t->program.pid);
	}
	t->monitors_pid = t->program.pid;
	t->last_kb = rest_memory_kb(t->program.pid);
	rest_compare(&t->monitors, &now, "by a worker");
}

static void check_rest(struct test *t)
{
	if (get(t->killed_ns))
		wait_progress(t);
	drain(t);
	while (t->victims == 1 << WORKER && !may_lose_worker(t))
		pause_ns(LOOK_NS);
	if (program_worker(&t->program) &&
	    (t->victims == 1 << WORKER || may_lose_worker(t)))
		check_monitor(t);
	else
		check_dead(t);
	t->checks++;
	set(t->hold, 0);
}

/* It does not die: who waits for that waits for ever. */
static void hang_worker(struct test *t)
{
	pid_t worker;

	wait_progress(t);
	worker = program_worker(&t->program);
	if (!worker)
		die("the program has no worker");
	kill(worker, SIGSTOP);
	note_death(t);
	kill(t->program.pid, SIGUSR1);
	t->hung++;
	wait_progress(t);
	if (program_worker(&t->program) == worker)
		die("a worker that stands still has completed requests");
}

/* Workers die as long as a monitor has patience. */
static void end_patience(struct test *t)
{
	pid_t worker = 0;

	wait_progress(t);
	drain(t);
	for (unsigned int i = 0; i < PATIENCE; i++) {
		if (has_said(t, "it needs a reset"))
			die("a disk is given up after %u deaths", i);
		worker = kill_beginner(t, worker);
	}
	wait_said(t, "it needs a reset");
	set(t->given_up, 1);
	while (get(t->given_up))
		pause_ns(NS_PER_MS);
	set(t->hold, 0);
	wait_progress(t);
	printf("    %u workers died, the disk was given up and reset\n",
	       PATIENCE);
}

static void torture(struct test *t)
{
	if (t->patience)
		end_patience(t);
	while (t->hung < t->hangs)
		hang_worker(t);
	while (t->killed < t->kills) {
		if (!program_lives(&t->program))
			start(t);
		if (one_in(t, EARLY_ONE_IN)) {
			pause_ns(chance_ns(&t->chance, KILL_EARLY_NS));
		} else {
			wait_progress(t);
			pause_ns(chance_ns(&t->chance, KILL_WITHIN_NS));
		}
		if (t->check && t->killed % t->check == t->check - 1) {
			t->killed++;
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
	while (rest_files(t->program.state_dir)) {
		if (clock_ns() > until)
			die("%s is not empty", t->program.state_dir);
		pause_ns(NS_PER_MS);
	}
	check_image(t);
}

/* The guest's own end, or that of the disk and then of the program. */
static void finish(struct test *t)
{
	if (!program_lives(&t->program))
		start(t);
	if (t->kills || t->hangs || t->patience || !get(t->completed))
		wait_progress(t);
	drain(t);
	set(t->stop, 1);
	pthread_join(t->thread, NULL);
	toolstack_detach(&t->program);
	domain_die(LIFE_DYING);
	domain_destroy();
	program_stop(&t->program);
	wait_end(t);
}

static void report(struct test *t)
{
	const uint64_t *n = t->load.counts;

	sort_times(t->times_us, t->ntimes);
	if (t->of[WORKER] || t->of[BOTH])
		printf("    killed: %u monitors, %u workers, %u both, %u "
		       "nurseries\n",
		       t->of[MONITOR], t->of[WORKER], t->of[BOTH],
		       t->of[NURSERY]);
	if (t->monitors_pid)
		printf("    the last monitor: %u KiB of its own, after the "
		       "first of its workers %u\n",
		       t->last_kb, t->monitors_kb);
	if (t->hung)
		printf("    %u workers stood still, and were found out\n",
		       t->hung);
	if (t->swaps)
		printf("    %u times another image was there\n", t->swaps);
	if (t->store)
		printf("    %u writes were held at a death\n", t->held);
	printf("    %u kills, %u restarts, %u starts, %u checks, %u drivers; "
	       "%" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
	       " flushes, %" PRIu64 " zeroings, %" PRIu64 " discards, %" PRIu64
	       " accesses; death to completion: p50 %.1f ms, p99 %.1f ms, "
	       "most %.1f ms (%u)\n",
	       t->killed, t->restarts, t->program.starts, t->checks,
	       t->begun_anew + 1, n[LOAD_READ], n[LOAD_WRITE], n[LOAD_FLUSH],
	       n[LOAD_ZERO], n[LOAD_DISCARD], host.answers,
	       percentile_ms(t->times_us, t->ntimes, 50),
	       percentile_ms(t->times_us, t->ntimes, 99),
	       percentile_ms(t->times_us, t->ntimes, 100), t->ntimes);
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
	driver_init(&t->driver, t->nqueues, TOOLSTACK_BASE, TOOLSTACK_IRQ);
	load_init(&t->load, &t->driver.front, (uint32_t)(st.st_size / SECTOR),
		  t->seed);
	chance_seed(&t->chance, t->seed + 1000);
	t->load.discards = true;
	for (unsigned int q = 0; q < t->nqueues; q++)
		t->load.queue[q].depth = 1u << q * 6 / t->nqueues;
	t->load.queue[t->nqueues - 1].depth = t->depth;
	t->said_ns = clock_ns();
}

static void open_store(struct test *t)
{
	int fd = open(t->control, O_RDWR | O_CLOEXEC);

	t->store = fd < 0 ? MAP_FAILED :
			    mmap(NULL, sizeof(*t->store),
				 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->store == MAP_FAILED)
		die("%s: %s", t->control, strerror(errno));
	close(fd);
	store_set(&t->store->min_ms, t->min_ms);
	store_set(&t->store->max_ms, t->max_ms);
}

static void begin(struct test *t)
{
	if (t->control)
		open_store(t);
	domain_create(TOOLSTACK_DOMID);
	program_start(&t->program);
	toolstack_offer(t->image);
	toolstack_wait(&t->program, "state", "2");
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
		.victims = (1u << VICTIMS) - 1,
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
		{ "victims", &t.victims, NULL },
		{ "swap", &t.swap, NULL },
		{ "hangs", &t.hangs, NULL },
		{ "patience", &t.patience, NULL },
		{ "control", NULL, &t.control },
		{ "data", NULL, &t.data },
		{ "min", &t.min_ms, NULL },
		{ "max", &t.max_ms, NULL },
	};

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!t.program.path || !t.program.libraries || !t.program.state_dir ||
	    !t.directory || !t.image || !t.nqueues || !t.victims ||
	    t.victims >> VICTIMS || t.nqueues > FRONT_QUEUES_MAX || !t.depth ||
	    t.depth > RING_SLOTS)
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
