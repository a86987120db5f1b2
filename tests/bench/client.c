/* SPDX-License-Identifier: MIT */
/*
 * A load on a vhost-user disk by libblkio, measured: operations per second,
 * their times, and what the daemon spent meanwhile.
 *
 * One queue, one thread, `depth` requests that are started again as soon as
 * they are done. All completions of one wait get one time stamp, as do the
 * requests that follow them, so that the client costs the same at any depth and
 * for any daemon. The warm-up is not measured.
 *
 * usage: client SOCKET [KEY=VALUE]...
 *	  client --idle SOCKET...	connect to all, one request each, and
 *					wait for the end of standard input
 *
 *	rw=randread|randwrite|mixed|seqread|seqwrite	mixed: 70 % reads
 *	bs=BYTES depth=N seconds=S warmup=S cpu=N seed=N
 *	poll=1		spin for completions instead of sleeping
 *	daemon=PID	whose expenses to tell
 *	tracefs=PATH	count its system calls too; makes it slower
 */
#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_NAME "bench client"
#include "../vhost/disk_client.h"
#include "histogram.h"
#include "watch.h"

enum {
	DEPTH_MAX = 256,
	BLOCK_MAX = 1 << 20, /* bytes */
	MIXED_READS = 70,    /* percent */
	IDLE_SECONDS = 600,  /* at most */
	IDLE_DISKS_MAX = 1024,
};

#define NS_PER_SECOND UINT64_C(1000000000)

enum load { RANDREAD, RANDWRITE, MIXED, SEQREAD, SEQWRITE, LOADS };

static const char *const load_names[LOADS] = {
	"randread", "randwrite", "mixed", "seqread", "seqwrite",
};

struct options {
	enum load load;
	unsigned int block, depth, poll, cpu, pid, seed;
	double seconds, warmup;
	const char *tracefs;
};

struct request {
	uint64_t begun_ns;
	uint8_t *buffer;
};

struct client {
	struct options o;
	struct blkio *disk;
	struct blkioq *queue;
	struct request request[DEPTH_MAX];
	uint64_t nblocks, next, random;
	struct histogram times;
	struct watch watch;
};

static uint64_t clock_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

/* xorshift */
static uint64_t next_random(struct client *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random;
}

/* ---- the disk ---- */

static void connect_disk(struct client *c, const char *path, bool readonly)
{
	uint64_t capacity;

	c->disk = disk_connect(path, 1, c->o.poll, readonly, &capacity);
	c->queue = disk_queue(c->disk, c->o.poll, 0);
	c->nblocks = capacity / c->o.block;
	if (!c->nblocks)
		die(path, "smaller than a block");
}

static void give_buffers(struct client *c)
{
	size_t bytes = (size_t)c->o.depth * c->o.block;
	uint8_t *at = disk_memory(c->disk, bytes);

	memset(at, 0x5a, bytes);
	for (unsigned int i = 0; i < c->o.depth; i++)
		c->request[i].buffer = at + (size_t)i * c->o.block;
}

/* ---- the load ---- */

static uint64_t choose_block(struct client *c)
{
	if (c->o.load != SEQREAD && c->o.load != SEQWRITE)
		/* Bits from the upper half, scaled: no division. */
		return (uint64_t)(((unsigned __int128)(next_random(c) >> 16) *
				   c->nblocks) >>
				  48);
	if (c->next == c->nblocks)
		c->next = 0;
	return c->next++;
}

static bool choose_read(struct client *c)
{
	if (c->o.load == MIXED)
		return (next_random(c) >> 16) % 100 < MIXED_READS;
	return c->o.load == RANDREAD || c->o.load == SEQREAD;
}

static void begin(struct client *c, struct request *r, uint64_t now)
{
	uint64_t at = choose_block(c) * c->o.block;

	r->begun_ns = now;
	if (choose_read(c))
		blkioq_read(c->queue, at, r->buffer, c->o.block, r, 0);
	else
		blkioq_write(c->queue, at, r->buffer, c->o.block, r, 0);
}

/* Keep all requests going until `end`: when it really ended. */
static uint64_t run_until(struct client *c, uint64_t end)
{
	struct blkio_completion done[DEPTH_MAX];
	uint64_t now;

	do {
		int n = disk_wait(c->queue, done, c->o.depth);

		now = clock_of(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++) {
			struct request *r = done[i].user_data;

			histogram_add(&c->times, now - r->begun_ns);
			begin(c, r, now);
		}
	} while (now < end);
	return now;
}

static void drain(struct client *c)
{
	struct blkio_completion done[DEPTH_MAX];

	for (unsigned int left = c->o.depth; left;)
		left -= (unsigned int)disk_wait(c->queue, done, c->o.depth);
}

static void print(const struct client *c, double seconds,
		  const struct watch_sample *spent, uint64_t client_ns)
{
	double n = (double)c->times.n;

	printf("ops=%llu seconds=%.6f iops=%.1f p50_ns=%llu p99_ns=%llu "
	       "p999_ns=%llu client_cpu_ns=%llu",
	       (unsigned long long)c->times.n, seconds, n / seconds,
	       (unsigned long long)histogram_at(&c->times, 0.5),
	       (unsigned long long)histogram_at(&c->times, 0.99),
	       (unsigned long long)histogram_at(&c->times, 0.999),
	       (unsigned long long)client_ns);
	if (c->watch.pid)
		printf(" daemon_cpu_ns=%llu switches_per_io=%.6f",
		       (unsigned long long)spent->cpu_ns,
		       (double)spent->switches / n);
	if (c->watch.counting)
		printf(" syscalls_per_io=%.6f calls_per_io=%.6f",
		       (double)spent->syscalls / n, (double)spent->calls / n);
	printf("\n");
}

static void measure(struct client *c)
{
	struct watch_sample before, after;
	uint64_t start = clock_of(CLOCK_MONOTONIC);
	uint64_t end, cpu;

	for (unsigned int i = 0; i < c->o.depth; i++)
		begin(c, &c->request[i], start);
	run_until(c, start + (uint64_t)(c->o.warmup * (double)NS_PER_SECOND));
	watch_read(&c->watch, &before);
	memset(&c->times, 0, sizeof(c->times));
	cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	start = clock_of(CLOCK_MONOTONIC);
	end = start + (uint64_t)(c->o.seconds * (double)NS_PER_SECOND);
	end = run_until(c, end);
	cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	watch_read(&c->watch, &after);
	drain(c);
	after.cpu_ns -= before.cpu_ns;
	after.switches -= before.switches;
	after.syscalls -= before.syscalls;
	after.calls -= before.calls;
	print(c, (double)(end - start) / (double)NS_PER_SECOND, &after, cpu);
}

/* ---- many idle disks ---- */

static int stay_idle(char **paths, int n)
{
	static struct client clients[IDLE_DISKS_MAX];
	struct blkio_completion done[DEPTH_MAX];
	char byte;

	if (n > IDLE_DISKS_MAX)
		die("usage", "too many sockets");
	for (int i = 0; i < n; i++) {
		struct client *c = &clients[i];

		c->o = (struct options){ .block = 4096, .depth = 1 };
		c->random = 1;
		connect_disk(c, paths[i], true);
		give_buffers(c);
		begin(c, &c->request[0], 0);
		disk_wait(c->queue, done, c->o.depth);
	}
	printf("ready\n");
	fflush(stdout);
	alarm(IDLE_SECONDS);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	return 0;
}

/* ---- the command line ---- */

static void set_load(struct options *o, const char *value)
{
	for (unsigned int i = 0; i < LOADS; i++)
		if (!strcmp(load_names[i], value)) {
			o->load = (enum load)i;
			return;
		}
	die(value, "no such load");
}

static void set_count(struct options *o, const char *key, const char *value)
{
	const struct number_key keys[] = {
		{ "bs", &o->block, 512, BLOCK_MAX },
		{ "depth", &o->depth, 1, DEPTH_MAX },
		{ "poll", &o->poll, 0, 1 },
		{ "cpu", &o->cpu, 0, CPU_SETSIZE - 1 },
		{ "daemon", &o->pid, 1, 1u << 30 },
		{ "seed", &o->seed, 1, ~0u },
	};

	set_number(keys, sizeof(keys) / sizeof(keys[0]), key, value);
}

static void set(struct options *o, char *arg)
{
	const char *value = split_argument(arg);

	if (!strcmp(arg, "rw"))
		set_load(o, value);
	else if (!strcmp(arg, "seconds"))
		o->seconds = strtod(value, NULL);
	else if (!strcmp(arg, "warmup"))
		o->warmup = strtod(value, NULL);
	else if (!strcmp(arg, "tracefs"))
		o->tracefs = value;
	else
		set_count(o, arg, value);
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cpu", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct client c = {
		.o = {
			.block = 4096, .depth = 32, .cpu = ~0u, .seed = 1,
			.seconds = 2, .warmup = 0.3,
		},
	};

	if (argc > 2 && !strcmp(argv[1], "--idle"))
		return stay_idle(argv + 2, argc - 2);
	if (argc < 2)
		die("usage", "client SOCKET [KEY=VALUE]...");
	for (int i = 2; i < argc; i++)
		set(&c.o, argv[i]);
	if (c.o.cpu != ~0u)
		pin(c.o.cpu);
	c.random = UINT64_C(0x9e3779b97f4a7c15) * c.o.seed;
	connect_disk(&c, argv[1], c.o.load == RANDREAD || c.o.load == SEQREAD);
	give_buffers(&c);
	watch_open(&c.watch, (pid_t)c.o.pid, c.o.tracefs);
	measure(&c);
	blkio_destroy(&c.disk);
	return 0;
}
