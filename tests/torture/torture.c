/* SPDX-License-Identifier: MIT */
/*
 * Kills the daemon again and again under load, and looks whether its driver
 * notices more than a pause.
 *
 * A kill comes within 30 ms of the first completion of its generation, or
 * while the next one starts, or after a message of the handshake by chance; now
 * and then SIGTERM instead, which has to end it well. The driver goes on
 * meanwhile: its rings fill up, and the next daemon finds them so. At the end
 * all requests have to complete, and the image has to be what was written.
 *
 * usage: torture program=FILE socket=PATH image=FILE disk=KEYS [KEY=VALUE]...
 *
 *	kills=N seed=N queues=N packed=1
 *	depth=N		of the last queue; those before it have fewer
 *	inherit=1	the socket listens for all daemons, as systemd's does
 *	times=FILE	add the times from a kill to the next completion, in
 *			microseconds, a line each
 *	check=N		look at the image after each n-th kill as well
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "load.h"

#define KILL_WITHIN_NS (30 * NS_PER_MS)
#define KILL_EARLY_NS (8 * NS_PER_MS)
#define PROGRESS_NS (5 * NS_PER_SECOND)
/* Between two attempts to connect, and to start a daemon that was refused. */
#define CONNECT_PAUSE_NS (NS_PER_MS / 2)
#define START_PAUSE_NS (20 * NS_PER_MS)

enum {
	QUEUE_MESSAGES = 6, /* of a handshake, for each queue */
	OTHER_MESSAGES = 8,
	UNKNOWN_MODE = 0xff,
	RESTART_ONE_IN = 12,
	LOST_MAX = 4, /* more workers in ten seconds are started later */
};

struct torture {
	struct daemon daemon;
	struct front front;
	struct load load;
	const char *image, *times_file;
	unsigned int kills, seed, nqueues, depth, packed, check;
	unsigned int killed, restarts; /* so far */
	unsigned int lost;             /* workers of this daemon, so far */
	uint64_t *times_us;
	unsigned int ntimes;
	unsigned int sessions; /* connections on which queues ran */
	uint8_t mode;          /* the cache's, as the driver knows it */
	uint64_t killed_ns;    /* since when nothing was completed; 0: now */
	uint64_t said_ns;
};

/* One in so many ends by SIGTERM, which is no kill but a restart. */
static bool is_restart(struct torture *t)
{
	return chance_below(&t->load.chance, RESTART_ONE_IN) == 0;
}

static void kill_now(struct torture *t)
{
	if (!t->daemon.pid)
		return;
	if (is_restart(t)) {
		daemon_stop(&t->daemon);
		t->restarts++;
		return;
	}
	/* All of it, or who moves the data alone: it goes on with another. */
	if (chance_below(&t->load.chance, 2) || t->lost == LOST_MAX ||
	    !daemon_kill_worker(&t->daemon))
		daemon_kill(&t->daemon);
	else
		t->lost++;
	t->killed++;
	if (!t->killed_ns)
		t->killed_ns = clock_ns();
}

static void start(struct torture *t)
{
	daemon_start(&t->daemon);
	t->lost = 0;
	t->load.start = t->daemon.starts;
}

/* Who waits for an answer in the queue of a socket that stays has no other. */
static void sent_last(void *arg)
{
	struct torture *t = arg;

	kill_now(t);
	/* One that has lost its worker alone goes on. */
	if (t->daemon.inherit && !t->daemon.pid)
		start(t);
}

/* As systemd would: one that found something still in use is started again. */
static void look_after(void *arg)
{
	struct torture *t = arg;

	if (t->daemon.inherit && t->daemon.pid && !daemon_is_alive(&t->daemon))
		start(t);
}

static void say_progress(struct torture *t)
{
	uint64_t now = clock_ns();

	if (now - t->said_ns < PROGRESS_NS)
		return;
	t->said_ns = now;
	printf("    %u of %u kills, %" PRIu64 " requests\n", t->killed,
	       t->kills, t->load.completed);
	fflush(stdout);
}

/* ---- what completes ---- */

static unsigned int take(struct torture *t)
{
	unsigned int n = load_take(&t->load);

	/* What one that is dead now has left is not the next one's. */
	if (!n || !t->killed_ns || t->front.sock < 0)
		return n;
	t->times_us[t->ntimes++] = (clock_ns() - t->killed_ns) / NS_PER_US;
	t->killed_ns = 0;
	return n;
}

static void hangs(struct torture *t)
{
	load_tell(&t->load);
	die("%u requests do not complete (%u messages refused, daemon %d, log "
	    "%s.%u.log)",
	    load_busy(&t->load), t->front.refused, (int)t->daemon.pid,
	    t->daemon.socket, t->daemon.starts % 2);
}

/* ---- the cache mode, which the driver chooses now and then ---- */

static int change_mode(struct torture *t)
{
	uint8_t wanted = (uint8_t)chance_below(&t->load.chance, 2);

	t->mode = UNKNOWN_MODE;
	if (front_set_mode(&t->front, wanted))
		return -1;
	return front_get_mode(&t->front, &t->mode);
}

static int check_mode(struct torture *t)
{
	uint8_t mode;

	if (front_get_mode(&t->front, &mode))
		return -1;
	if (t->mode == UNKNOWN_MODE)
		t->mode = mode;
	if (mode != t->mode)
		die("the cache mode is %u, and was %u before the kill", mode,
		    t->mode);
	return chance_below(&t->load.chance, 4) ? 0 : change_mode(t);
}

/* ---- one generation ---- */

/* A daemon that runs, and a connection to it: false once it was killed. */
static bool connected(struct torture *t, uint64_t kill_ns)
{
	uint64_t until = clock_ns() + WAIT_NS;

	while (front_connect(&t->front)) {
		if (clock_ns() >= kill_ns) {
			kill_now(t);
			return false;
		}
		if (clock_ns() > until)
			die("nobody listens on %s", t->daemon.socket);
		pause_ns(CONNECT_PAUSE_NS);
		if (!daemon_is_alive(&t->daemon)) {
			pause_ns(START_PAUSE_NS);
			start(t);
		}
	}
	return true;
}

/* Requests until `kill_ns`, which the first completion sets: or -1. */
static int run(struct torture *t, uint64_t within_ns)
{
	uint64_t now = clock_ns(), begun = now, kill_ns = UINT64_MAX;

	while (now < kill_ns) {
		if (take(t) && kill_ns == UINT64_MAX)
			kill_ns = clock_ns() + within_ns;
		load_fill(&t->load);
		load_kick(&t->load);
		now = clock_ns();
		front_wait(&t->front, kill_ns == UINT64_MAX ? NS_PER_SECOND :
				      kill_ns > now         ? kill_ns - now :
							      0);
		now = clock_ns();
		if (front_is_left(&t->front))
			return -1;
		if (kill_ns == UINT64_MAX && now - begun > WAIT_NS)
			hangs(t);
	}
	kill_now(t);
	return -1;
}

/* Until the daemon is dead, or has closed the connection by itself. */
static void serve(struct torture *t)
{
	uint32_t dice = chance_below(&t->load.chance, 10);
	uint64_t kill_ns = UINT64_MAX, within_ns;
	unsigned int messages = OTHER_MESSAGES + QUEUE_MESSAGES * t->nqueues;

	within_ns = chance_ns(&t->load.chance, KILL_WITHIN_NS);
	t->front.last_message = 0;
	t->front.acks = chance_below(&t->load.chance, 2);
	if (dice == 0)
		t->front.last_message = 1 +
					chance_below(&t->load.chance, messages);
	else if (dice == 1)
		kill_ns = clock_ns() +
			  chance_ns(&t->load.chance, KILL_EARLY_NS);
	if (!connected(t, kill_ns))
		return;
	if (front_begin(&t->front) == 0 && check_mode(t) == 0) {
		t->sessions++;
		run(t, within_ns);
	}
	front_disconnect(&t->front);
}

static void check_image(struct torture *t)
{
	uint32_t wrong = oracle_check_image(&t->load.oracle, t->image);

	if (wrong)
		die("%u sectors of the image are wrong", wrong);
}

/* With a session that is left by the daemon itself, nothing was killed. */
static void torture(struct torture *t)
{
	uint64_t until = 0;
	unsigned int killed = t->killed;

	while (t->killed < t->kills) {
		if (!t->daemon.pid)
			start(t);
		serve(t);
		take(t);
		say_progress(t);
		if (t->killed != killed) {
			until = clock_ns() + WAIT_NS;
			killed = t->killed;
		} else if (clock_ns() > until && until) {
			die("no session is served");
		}
		if (t->check && !t->daemon.pid && t->killed % t->check == 0)
			check_image(t);
		if (chance_below(&t->load.chance, 2))
			load_fill(&t->load);
	}
}

/* ---- the end ---- */

/* All that is under way completes, with a daemon that nobody kills. */
static void finish(struct torture *t)
{
	uint64_t until = clock_ns() + WAIT_NS;

	t->front.last_message = 0;
	while (load_busy(&t->load) || t->front.sock < 0) {
		if (!t->daemon.pid)
			start(t);
		if (t->front.sock < 0 &&
		    (!connected(t, UINT64_MAX) || front_begin(&t->front))) {
			front_disconnect(&t->front);
			pause_ns(START_PAUSE_NS);
		}
		load_kick(&t->load);
		take(t);
		if (t->front.sock >= 0) {
			front_wait(&t->front, START_PAUSE_NS);
			if (front_is_left(&t->front))
				front_disconnect(&t->front);
		}
		if (clock_ns() > until)
			hangs(t);
	}
	front_disconnect(&t->front);
	daemon_stop(&t->daemon);
	check_image(t);
}

static void save_times(const struct torture *t)
{
	FILE *f = fopen(t->times_file, "a");

	if (!f)
		die("%s: cannot be written", t->times_file);
	for (unsigned int i = 0; i < t->ntimes; i++)
		fprintf(f, "%" PRIu64 "\n", t->times_us[i]);
	fclose(f);
}

static void report(struct torture *t)
{
	const uint64_t *n = t->load.counts;

	sort_times(t->times_us, t->ntimes);
	printf("    %u kills, %u restarts, %u starts, %u of them refused, "
	       "%u sessions; %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
	       " flushes, %" PRIu64 " zeroings, %" PRIu64 " discards; "
	       "death to completion: p50 %.1f ms, p99 %.1f ms, most %.1f ms\n",
	       t->killed, t->restarts, t->daemon.starts, t->daemon.refusals,
	       t->sessions, n[LOAD_READ], n[LOAD_WRITE], n[LOAD_FLUSH],
	       n[LOAD_ZERO], n[LOAD_DISCARD],
	       percentile_ms(t->times_us, t->ntimes, 50),
	       percentile_ms(t->times_us, t->ntimes, 99),
	       percentile_ms(t->times_us, t->ntimes, 100));
	if (t->times_file)
		save_times(t);
}

/* ---- the beginning ---- */

static void open_disk(struct torture *t)
{
	uint64_t features = load_features() |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD);
	struct stat st;

	if (stat(t->image, &st) || st.st_size < 1 << 20)
		die("%s: no image of a MiB or more", t->image);
	if (t->packed)
		features |= VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	if (t->seed & 1)
		features |= VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	front_init(&t->front, t->daemon.path, t->nqueues, features,
		   load_bytes(t->nqueues));
	t->front.sent_last = sent_last;
	t->front.waits = look_after;
	t->front.arg = t;
	load_init(&t->load, &t->front, (uint32_t)(st.st_size / SECTOR),
		  t->seed);
	t->load.discards = true;
	/* From one at a time to as many as there is room for. */
	for (unsigned int q = 0; q < t->nqueues; q++)
		t->load.queue[q].depth = 1u << q * 6 / t->nqueues;
	t->load.queue[t->nqueues - 1].depth = t->depth;
	t->mode = UNKNOWN_MODE;
}

int main(int argc, char **argv)
{
	static struct torture t = {
		.kills = 25, .seed = 1, .nqueues = 3, .depth = RING_SLOTS
	};
	const struct key keys[] = {
		{ "program", NULL, &t.daemon.program },
		{ "socket", NULL, &t.daemon.socket },
		{ "disk", NULL, &t.daemon.disk },
		{ "image", NULL, &t.image },
		{ "times", NULL, &t.times_file },
		{ "kills", &t.kills, NULL },
		{ "seed", &t.seed, NULL },
		{ "queues", &t.nqueues, NULL },
		{ "depth", &t.depth, NULL },
		{ "packed", &t.packed, NULL },
		{ "check", &t.check, NULL },
		{ "inherit", &t.daemon.inherit, NULL },
	};

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!t.daemon.program || !t.daemon.socket || !t.daemon.disk ||
	    !t.image || !t.nqueues || t.nqueues > FRONT_QUEUES_MAX ||
	    !t.depth || t.depth > RING_SLOTS)
		die("torture: program=, socket=, disk=, image= are needed");
	t.times_us = calloc(t.kills + 1, sizeof(*t.times_us));
	if (!t.times_us)
		die("no memory");
	t.said_ns = clock_ns();
	open_disk(&t);
	torture(&t);
	finish(&t);
	report(&t);
	load_finish(&t.load);
	front_finish(&t.front);
	free(t.times_us);
	return 0;
}
