/* SPDX-License-Identifier: MIT */
/*
 * Loads a block device with asynchronous direct I/O and says in one line what
 * came of it. Runs in a guest; uses the kernel's AIO calls without a library.
 *
 * With the modes fill, check and mixed every block carries its number, a seed,
 * how many times it was written, and a checksum of the whole; a read that
 * brings anything but the newest content is an error. One block has at most one
 * I/O in flight.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_DEPTH = 256,
	MAX_LATENCY_US = 1000000,
	ALIGNMENT = 4096,
	MAX_COMPLAINTS = 32,
	MAGIC = 0x76646c64,
};

enum mode { RANDREAD, RANDWRITE, SEQREAD, SEQWRITE, SCAN, FILL, CHECK, MIXED };

static const char *const mode_names[] = { "randread", "randwrite", "seqread",
					  "seqwrite", "scan",      "fill",
					  "check",    "mixed" };

struct header {
	uint32_t magic, crc;
	uint64_t block, seed;
	uint32_t generation, unused;
};

/* One I/O that may be in flight, with a buffer of its own. */
struct slot {
	struct iocb iocb;
	unsigned char *buffer;
	uint64_t block, start_us;
	bool write;
};

static struct {
	int fd;
	aio_context_t context;
	enum mode mode;
	uint32_t block_size, depth;
	uint64_t blocks, first, next, seed, random;
	uint64_t end_us;
	uint32_t *generations;
	unsigned char *busy;
	struct slot slots[MAX_DEPTH];
	uint32_t latencies[MAX_LATENCY_US + 1];
	uint64_t ops, errors;
} load = { .block_size = 4096, .depth = 16, .seed = 1 };

static void die(const char *what)
{
	fprintf(stderr, "blkload: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* xorshift64*: the same sequence with the same seed. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static uint32_t crc32_of(const unsigned char *data, size_t length)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
		table[i] = value;
	}
	for (size_t i = 0; i < length; i++)
		crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

/* ---- the content of blocks ---------------------------------------------- */

static bool verifies(void)
{
	return load.mode >= FILL;
}

static uint32_t content_crc(const unsigned char *buffer)
{
	size_t skip = offsetof(struct header, block);

	return crc32_of(buffer + skip, load.block_size - skip);
}

static void fill_block(unsigned char *buffer, uint64_t block, uint32_t count)
{
	struct header header = { .magic = MAGIC,
				 .block = block,
				 .seed = load.seed,
				 .generation = count };
	uint64_t state = (load.seed << 40 ^ block << 16 ^ count) | 1;

	for (size_t at = sizeof(header); at < load.block_size; at += 8) {
		uint64_t word = next_random(&state);

		memcpy(buffer + at, &word, 8);
	}
	memcpy(buffer, &header, sizeof(header));
	header.crc = content_crc(buffer);
	memcpy(buffer, &header, sizeof(header));
}

static bool block_is_right(const unsigned char *buffer, uint64_t block)
{
	struct header header;

	memcpy(&header, buffer, sizeof(header));
	return header.magic == MAGIC && header.block == block &&
	       header.seed == load.seed &&
	       header.generation == load.generations[block] &&
	       header.crc == content_crc(buffer);
}

/* ---- which I/O comes next ----------------------------------------------- */

static bool sequential(void)
{
	return load.mode != RANDREAD && load.mode != RANDWRITE &&
	       load.mode != MIXED;
}

static bool is_write(void)
{
	if (load.mode == MIXED)
		return next_random(&load.random) & 1;
	return load.mode == RANDWRITE || load.mode == SEQWRITE ||
	       load.mode == FILL;
}

/* False when there is nothing more to start. */
static bool pick_block(uint64_t *block)
{
	if (load.mode == SCAN || load.mode == FILL || load.mode == CHECK) {
		*block = load.next++;
		return *block < load.blocks;
	}
	if (now_us() >= load.end_us)
		return false;
	do {
		*block = sequential() ? load.next++ % load.blocks :
					next_random(&load.random) % load.blocks;
	} while (load.busy[*block]);
	return true;
}

static bool prepare(struct slot *slot)
{
	if (!pick_block(&slot->block))
		return false;
	load.busy[slot->block] = 1;
	slot->write = is_write();
	if (slot->write && verifies())
		fill_block(slot->buffer, slot->block,
			   load.generations[slot->block] + 1);
	slot->iocb = (struct iocb){
		.aio_data = (uintptr_t)slot,
		.aio_lio_opcode = slot->write ? IOCB_CMD_PWRITE :
						IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)load.fd,
		.aio_buf = (uintptr_t)slot->buffer,
		.aio_nbytes = load.block_size,
		.aio_offset =
			(int64_t)((load.first + slot->block) * load.block_size),
	};
	slot->start_us = now_us();
	return true;
}

/* ---- going on ----------------------------------------------------------- */

static void submit(struct iocb **list, long count)
{
	while (count > 0) {
		long done = syscall(SYS_io_submit, load.context, count, list);

		if (done < 0 && errno != EAGAIN)
			die("io_submit");
		if (done > 0) {
			list += done;
			count -= done;
		}
	}
}

static void complain(const struct slot *slot, const char *what)
{
	if (load.errors++ < MAX_COMPLAINTS)
		fprintf(stderr, "blkload: block %llu: %s\n",
			(unsigned long long)(load.first + slot->block), what);
}

static void complete(struct slot *slot, int64_t result)
{
	uint64_t took = now_us() - slot->start_us;

	load.busy[slot->block] = 0;
	load.ops++;
	load.latencies[took < MAX_LATENCY_US ? took : MAX_LATENCY_US]++;
	if (result != load.block_size) {
		complain(slot, result < 0 ? strerror((int)-result) : "short");
	} else if (slot->write && verifies()) {
		load.generations[slot->block]++;
	} else if (verifies() && !block_is_right(slot->buffer, slot->block)) {
		complain(slot, "wrong content");
	}
}

static void run_pass(enum mode mode, double seconds)
{
	struct iocb *list[MAX_DEPTH];
	struct io_event events[MAX_DEPTH];
	long in_flight = 0, count = 0;

	load.mode = mode;
	load.next = 0;
	load.end_us = now_us() + (uint64_t)(seconds * 1e6);
	for (uint32_t i = 0; i < load.depth && prepare(&load.slots[i]); i++)
		list[count++] = &load.slots[i].iocb;
	for (;;) {
		long got;

		submit(list, count);
		in_flight += count;
		if (!in_flight)
			break;
		got = syscall(SYS_io_getevents, load.context, 1L,
			      (long)load.depth, events, NULL);
		if (got < 0)
			die("io_getevents");
		in_flight -= got;
		count = 0;
		for (long i = 0; i < got; i++) {
			struct slot *slot = (void *)(uintptr_t)events[i].data;

			complete(slot, events[i].res);
			if (prepare(slot))
				list[count++] = &slot->iocb;
		}
	}
}

/* ---- start and end ------------------------------------------------------ */

static uint32_t percentile(double part)
{
	uint64_t wanted = (uint64_t)((double)load.ops * part), seen = 0;
	uint32_t us = 0;

	while (us < MAX_LATENCY_US && (seen += load.latencies[us]) <= wanted)
		us++;
	return us;
}

static void report(const char *mode, uint64_t took_us)
{
	double seconds = (double)took_us / 1e6;

	printf("mode=%s bs=%u qd=%u ops=%llu seconds=%.2f iops=%.0f "
	       "p50=%u p99=%u errors=%llu\n",
	       mode, load.block_size, load.depth, (unsigned long long)load.ops,
	       seconds, seconds > 0 ? (double)load.ops / seconds : 0,
	       percentile(0.5), percentile(0.99),
	       (unsigned long long)load.errors);
}

static void open_device(const char *path, enum mode mode, uint64_t span_mb)
{
	bool reads = mode == RANDREAD || mode == SEQREAD || mode == SCAN ||
		     mode == CHECK;
	uint64_t bytes;

	load.fd = open(path, (reads ? O_RDONLY : O_RDWR) | O_DIRECT);
	if (load.fd < 0)
		die(path);
	if (ioctl(load.fd, BLKGETSIZE64, &bytes))
		die("BLKGETSIZE64");
	load.blocks = bytes / load.block_size - load.first;
	if (span_mb && load.blocks > (span_mb << 20) / load.block_size)
		load.blocks = (span_mb << 20) / load.block_size;
	if (load.blocks <= load.depth) {
		errno = ENOSPC;
		die("fewer blocks than the depth");
	}
}

static void set_up(void)
{
	load.random = load.seed * 0x9e3779b97f4a7c15ULL | 1;
	load.generations = calloc(load.blocks, sizeof(*load.generations));
	load.busy = calloc(load.blocks, 1);
	if (!load.generations || !load.busy)
		die("memory");
	for (uint32_t i = 0; i < load.depth; i++) {
		if (posix_memalign((void **)&load.slots[i].buffer, ALIGNMENT,
				   load.block_size))
			die("memory");
		memset(load.slots[i].buffer, (int)i, load.block_size);
	}
	if (syscall(SYS_io_setup, (long)load.depth, &load.context))
		die("io_setup");
}

static enum mode mode_of(const char *name)
{
	for (int i = 0; i <= MIXED; i++)
		if (!strcmp(name, mode_names[i]))
			return (enum mode)i;
	errno = EINVAL;
	die(name);
	return RANDREAD;
}

static void usage(void)
{
	fprintf(stderr,
		"usage: blkload [-m MODE] [-b BLOCKSIZE] [-q DEPTH] "
		"[-t SECONDS] [-s SEED] [-o FIRSTBLOCK] [-n MEGABYTES] "
		"DEVICE\n"
		"modes: randread randwrite seqread seqwrite for SECONDS; once\n"
		"over the device: scan (reads), fill and check (content);\n"
		"mixed: fill, reads and writes for SECONDS, check\n");
	exit(2);
}

/* The words of the command line. */
struct options {
	enum mode mode;
	double seconds;
	uint64_t span_mb;
};

static void take_option(struct options *options, int option)
{
	switch (option) {
	case 'm':
		options->mode = mode_of(optarg);
		break;
	case 'b':
		load.block_size = (uint32_t)atoi(optarg);
		break;
	case 'q':
		load.depth = (uint32_t)atoi(optarg);
		break;
	case 't':
		options->seconds = atof(optarg);
		break;
	case 's':
		load.seed = strtoull(optarg, NULL, 0);
		break;
	case 'o':
		load.first = strtoull(optarg, NULL, 0);
		break;
	case 'n':
		options->span_mb = strtoull(optarg, NULL, 0);
		break;
	default:
		usage();
	}
}

static void run_mode(const struct options *options)
{
	if (options->mode == CHECK)
		for (uint64_t i = 0; i < load.blocks; i++)
			load.generations[i] = 1;
	if (options->mode == MIXED)
		run_pass(FILL, 0);
	run_pass(options->mode, options->seconds);
	if (options->mode == MIXED)
		run_pass(CHECK, 0);
}

int main(int argc, char **argv)
{
	struct options options = { .mode = RANDREAD, .seconds = 4 };
	uint64_t start;
	int option;

	while ((option = getopt(argc, argv, "m:b:q:t:s:o:n:")) != -1)
		take_option(&options, option);
	if (optind != argc - 1 || !load.depth || load.depth > MAX_DEPTH ||
	    load.block_size < 512 || load.block_size % 512)
		usage();
	open_device(argv[optind], options.mode, options.span_mb);
	set_up();
	start = now_us();
	run_mode(&options);
	report(mode_names[options.mode], now_us() - start);
	return load.errors ? 1 : 0;
}
