/* SPDX-License-Identifier: MIT */
/*
 * What one daemon has after many sessions and many requests: as many
 * descriptors and mappings as before, and no more memory.
 *
 * Sessions end in each way that a front end has: before its first message,
 * within the handshake, with queues that run, with requests under way. What is
 * measured is between two sessions, after the first ones, since a daemon keeps
 * what its first queue made.
 *
 * usage: leaks program=FILE socket=PATH image=FILE disk=KEYS [KEY=VALUE]...
 *
 *	connects=N ios=N seed=N packed=1
 *	kib=N		how much larger it may have become
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon.h"
#include "load.h"

#define PAUSE_NS NS_PER_MS
#define PROGRESS_NS (5 * NS_PER_SECOND)

enum {
	NQUEUES = 4,
	FIRST_CONNECTS = 200, /* before the first look */
	FIRST_IOS = 20000,
	SMALL_SECTORS = 8, /* of the many requests */
	DEPTH = 32,
};

struct usage {
	unsigned int descriptors, mappings, threads;
	uint64_t resident_kib, virtual_kib;
};

struct leaks {
	struct daemon daemon;
	struct front front;
	struct load load;
	const char *image;
	unsigned int connects, ios, seed, packed, kib;
	uint64_t said_ns;
};

/* ---- the daemon's usage ---- */

static unsigned int count_entries(const struct leaks *l, const char *what)
{
	char path[64];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)l->daemon.pid, what);
	dir = opendir(path);
	if (!dir)
		die("%s: %s", path, strerror(errno));
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static FILE *open_proc(const struct leaks *l, const char *what)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)l->daemon.pid, what);
	f = fopen(path, "re");
	if (!f)
		die("%s: %s", path, strerror(errno));
	return f;
}

static void look_at_status(const struct leaks *l, struct usage *u)
{
	FILE *f = open_proc(l, "status");
	char line[256];

	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmRSS:", 6))
			u->resident_kib = strtoull(line + 6, NULL, 10);
		if (!strncmp(line, "VmSize:", 7))
			u->virtual_kib = strtoull(line + 7, NULL, 10);
	}
	fclose(f);
}

static struct usage look(const struct leaks *l)
{
	struct usage u = { .descriptors = count_entries(l, "fd"),
			   .threads = count_entries(l, "task") };
	FILE *f = open_proc(l, "maps");
	int c;

	while ((c = fgetc(f)) != EOF)
		u.mappings += c == '\n';
	fclose(f);
	look_at_status(l, &u);
	return u;
}

static bool same(const struct usage *a, const struct usage *b, unsigned int kib)
{
	return a->descriptors == b->descriptors && a->mappings == b->mappings &&
	       a->threads == b->threads &&
	       b->resident_kib <= a->resident_kib + kib &&
	       b->virtual_kib <= a->virtual_kib + kib;
}

static void tell(const char *when, const struct usage *u)
{
	printf("    %s: %u descriptors, %u mappings, %u threads, %" PRIu64
	       " KiB resident, %" PRIu64 " KiB virtual\n",
	       when, u->descriptors, u->mappings, u->threads, u->resident_kib,
	       u->virtual_kib);
}

/* Nobody is connected; the last session may need a moment to end. */
static void compare(const struct leaks *l, const struct usage *before,
		    const char *when)
{
	uint64_t until = clock_ns() + 5 * NS_PER_SECOND;
	struct usage now;

	do {
		pause_ns(10 * PAUSE_NS);
		now = look(l);
	} while (!same(before, &now, l->kib) && clock_ns() < until);
	tell(when, &now);
	if (!same(before, &now, l->kib))
		die("that is not what it had before");
}

/* ---- sessions ---- */

static void say(struct leaks *l, const char *what, uint64_t n)
{
	uint64_t now = clock_ns();

	if (now - l->said_ns < PROGRESS_NS)
		return;
	l->said_ns = now;
	printf("    %" PRIu64 " %s\n", n, what);
	fflush(stdout);
}

static void connect_daemon(struct leaks *l)
{
	uint64_t until = clock_ns() + WAIT_NS;

	while (front_connect(&l->front)) {
		if (clock_ns() > until || !daemon_is_alive(&l->daemon))
			die("nobody listens on %s", l->daemon.socket);
		pause_ns(PAUSE_NS);
	}
}

static void begin(struct leaks *l)
{
	connect_daemon(l);
	if (front_begin(&l->front))
		die("no session");
}

/* Requests until so many have completed. */
static void work(struct leaks *l, uint64_t n)
{
	uint64_t end = l->load.completed + n, last = clock_ns();

	while (l->load.completed < end) {
		load_fill(&l->load);
		load_kick(&l->load);
		front_wait(&l->front, NS_PER_SECOND);
		if (load_take(&l->load))
			last = clock_ns();
		if (clock_ns() - last > WAIT_NS || front_is_left(&l->front))
			die("requests do not complete");
		say(l, "requests", l->load.completed);
	}
}

/* The connection is given up after a message by chance. */
static void give_up(void *arg)
{
	shutdown(((struct front *)arg)->sock, SHUT_RDWR);
}

static void one_session(struct leaks *l)
{
	uint32_t dice = chance_below(&l->load.chance, 8);

	l->front.last_message = 0;
	if (dice == 0) {
		connect_daemon(l);
	} else if (dice < 4) {
		connect_daemon(l);
		l->front.last_message = 1 + chance_below(&l->load.chance, 30);
		front_begin(&l->front);
	} else {
		begin(l);
		/* What is under way then is found by the next one. */
		work(l, chance_below(&l->load.chance, 8));
	}
	front_disconnect(&l->front);
	load_take(&l->load);
}

static void drain(struct leaks *l)
{
	uint64_t until = clock_ns() + WAIT_NS;

	l->front.last_message = 0;
	begin(l);
	while (load_busy(&l->load)) {
		load_kick(&l->load);
		front_wait(&l->front, PAUSE_NS);
		load_take(&l->load);
		if (clock_ns() > until)
			die("requests do not complete");
	}
	front_disconnect(&l->front);
}

static void many_sessions(struct leaks *l, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		one_session(l);
		say(l, "sessions", i);
	}
	drain(l);
}

static void many_requests(struct leaks *l, unsigned int n)
{
	begin(l);
	work(l, n);
	front_disconnect(&l->front);
	drain(l);
}

/* ---- life ---- */

static void open_disk(struct leaks *l)
{
	uint64_t features = load_features() |
			    VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD) |
			    VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);
	struct stat st;

	if (stat(l->image, &st) || st.st_size < 1 << 20)
		die("%s: no image of a MiB or more", l->image);
	if (l->packed)
		features |= VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	front_init(&l->front, l->daemon.path, NQUEUES, features,
		   load_bytes(NQUEUES));
	l->front.sent_last = give_up;
	l->front.arg = &l->front;
	load_init(&l->load, &l->front, (uint32_t)(st.st_size / SECTOR),
		  l->seed);
	l->load.discards = true;
	l->load.most = SMALL_SECTORS;
	for (unsigned int q = 0; q < NQUEUES; q++)
		l->load.queue[q].depth = DEPTH;
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static void run(struct leaks *l)
{
	struct usage before;

	daemon_start(&l->daemon);
	open_disk(l);
	many_sessions(l, least(FIRST_CONNECTS, l->connects));
	many_requests(l, least(FIRST_IOS, l->ios));
	pause_ns(100 * PAUSE_NS);
	before = look(l);
	tell("at first", &before);
	many_sessions(l, l->connects);
	compare(l, &before, "after the sessions");
	many_requests(l, l->ios);
	compare(l, &before, "after the requests");
	daemon_stop(&l->daemon);
	if (oracle_check_image(&l->load.oracle, l->image))
		die("the image is wrong");
	printf("    %u sessions and %u requests (%" PRIu64 " in all)\n",
	       l->connects, l->ios, l->load.completed);
}

int main(int argc, char **argv)
{
	static struct leaks l = { .daemon.foreground = 1,
				  .connects = 2000,
				  .ios = 100000,
				  .seed = 1,
				  .kib = 64 };
	const struct key keys[] = {
		{ "program", NULL, &l.daemon.program },
		{ "socket", NULL, &l.daemon.socket },
		{ "disk", NULL, &l.daemon.disk },
		{ "image", NULL, &l.image },
		{ "connects", &l.connects, NULL },
		{ "ios", &l.ios, NULL },
		{ "seed", &l.seed, NULL },
		{ "packed", &l.packed, NULL },
		{ "kib", &l.kib, NULL },
	};

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!l.daemon.program || !l.daemon.socket || !l.daemon.disk || !l.image)
		die("leaks: program=, socket=, image=, disk= are needed");
	l.said_ns = clock_ns();
	run(&l);
	load_finish(&l.load);
	front_finish(&l.front);
	return 0;
}
