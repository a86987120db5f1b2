/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user client on libblkio that knows what it has written.
 *
 * The disk is a row of 4 KiB blocks. A state file says for each block which
 * generation of data was written to it and which is on its way; the data is
 * made of block, generation and sector, so that each sector can be told. When a
 * client or the daemon is killed, a write that was not answered may have
 * happened, and nothing tells whether until a later one is answered. So what
 * is accepted is the last generation that was answered and any that was begun
 * after it, by whichever client. A generation may be zeroes, by a write of
 * zeroes or by a discard: the images of this test read so after both.
 *
 * Each queue has a thread of its own and every n-th block.
 *
 * usage: blkio_check SOCKET STATE [queues=N] [depth=N] [ops=N] [seed=N]
 *                    [poll=1] [readonly=1]
 *	  blkio_check --image FILE STATE	look at the image itself
 *	  blkio_check --zeroes SOCKET BYTES	one request, from the start on
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_NAME "blkio_check"
#include "disk_client.h"

enum {
	BLOCK = 4096,
	SECTOR = 512,
	WORDS = SECTOR / 8,
	RUN_MAX = 8, /* blocks of one request */
	DEPTH_MAX = 128,
	QUEUES_MAX = 16,
};

struct block_state {
	uint32_t done;   /* generation that was answered; 0: zeroes */
	uint32_t begun;  /* the same, or the last one begun since */
	uint32_t zeroed; /* the last one that is zeroes */
};

struct request {
	enum { READ, WRITE, FLUSH, ZERO, DISCARD, OPS } op;
	bool busy;
	uint64_t first; /* block */
	unsigned int n; /* blocks */
	uint8_t *buffer;
};

struct worker {
	pthread_t thread;
	struct blkioq *queue;
	unsigned int index;
	unsigned int seed;
	struct request request[DEPTH_MAX];
	uint64_t counts[OPS];
};

static unsigned int nqueues = 1, depth = 16, seed = 1, poll_queues, readonly;
static uint64_t ops = 20000, nblocks;
static struct block_state *states;
static struct worker workers[QUEUES_MAX];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

/* ---- data ---- */

/* Word 0 of a sector: block, generation; all others follow from it. */
static uint64_t stamp(uint64_t block, uint32_t generation)
{
	return block << 32 | generation;
}

static void fill_sector(uint64_t words[WORDS], unsigned int s, uint64_t block,
			uint32_t generation)
{
	words[0] = stamp(block, generation);
	for (unsigned int i = 1; i < WORDS; i++)
		words[i] = mix(words[0] + i + s * WORDS);
}

static void fill(uint8_t *data, uint64_t block, uint32_t generation)
{
	uint64_t words[WORDS];

	for (unsigned int s = 0; s < BLOCK / SECTOR; s++) {
		fill_sector(words, s, block, generation);
		memcpy(data + s * SECTOR, words, SECTOR);
	}
}

static bool sector_is_right(const uint8_t *data, unsigned int s, uint64_t block)
{
	const struct block_state *b = &states[block];
	static const uint8_t zeroes[SECTOR];
	uint64_t words[WORDS];

	if (b->zeroed >= b->done && !memcmp(data, zeroes, SECTOR))
		return true;
	for (uint32_t g = b->done ? b->done : 1; g <= b->begun; g++) {
		fill_sector(words, s, block, g);
		if (!memcmp(data, words, SECTOR))
			return true;
	}
	return false;
}

static void check_block(const uint8_t *data, uint64_t block)
{
	for (unsigned int s = 0; s < BLOCK / SECTOR; s++) {
		const uint8_t *sector = data + s * SECTOR;
		uint64_t found;

		if (sector_is_right(sector, s, block))
			continue;
		memcpy(&found, sector, sizeof(found));
		fprintf(stderr,
			"blkio_check: block %llu sector %u: %#llx; "
			"generations %u to %u were written, %u zeroed\n",
			(unsigned long long)block, s, (unsigned long long)found,
			states[block].done, states[block].begun,
			states[block].zeroed);
		exit(1);
	}
}

/* ---- requests ---- */

static unsigned int pick(struct worker *w, unsigned int n)
{
	return (unsigned int)rand_r(&w->seed) % n;
}

/* Whether no request of this worker touches the blocks. */
static bool is_free(const struct worker *w, uint64_t first, unsigned int n)
{
	for (unsigned int i = 0; i < depth; i++) {
		const struct request *r = &w->request[i];

		if (r->busy && r->op != FLUSH && first < r->first + r->n &&
		    r->first < first + n)
			return false;
	}
	return true;
}

static void begin_write(struct worker *w, struct request *r)
{
	for (unsigned int i = 0; i < r->n; i++)
		fill(r->buffer + i * BLOCK, r->first + i,
		     ++states[r->first + i].begun);
	blkioq_write(w->queue, r->first * BLOCK, r->buffer, r->n * BLOCK, r, 0);
}

static void begin_zeroes(struct worker *w, struct request *r)
{
	uint64_t start = r->first * BLOCK, bytes = r->n * (uint64_t)BLOCK;

	for (unsigned int i = 0; i < r->n; i++) {
		struct block_state *b = &states[r->first + i];

		b->zeroed = ++b->begun;
	}
	if (r->op == DISCARD)
		blkioq_discard(w->queue, start, bytes, r, 0);
	else
		blkioq_write_zeroes(w->queue, start, bytes, r,
				    pick(w, 2) ? BLKIO_REQ_NO_UNMAP : 0);
}

static unsigned int choose_op(struct worker *w)
{
	unsigned int dice = pick(w, 100);

	if (dice < 45 || readonly)
		return READ;
	if (dice < 81)
		return WRITE;
	if (dice < 93)
		return dice < 88 ? ZERO : DISCARD;
	return FLUSH;
}

/* Each worker has a share of the disk of its own. */
static void choose(struct worker *w, struct request *r)
{
	uint64_t share = nblocks / nqueues;

	r->op = choose_op(w);
	do {
		r->n = 1 + pick(w, RUN_MAX);
		r->first = w->index * share +
			   pick(w, (unsigned int)share - r->n);
	} while (!is_free(w, r->first, r->n));
}

static void begin(struct worker *w, struct request *r)
{
	choose(w, r);
	r->busy = true;
	switch (r->op) {
	case READ:
		memset(r->buffer, 0xaa, r->n * BLOCK);
		blkioq_read(w->queue, r->first * BLOCK, r->buffer, r->n * BLOCK,
			    r, 0);
		break;
	case FLUSH:
		blkioq_flush(w->queue, r, 0);
		break;
	case WRITE:
		begin_write(w, r);
		break;
	default:
		begin_zeroes(w, r);
	}
}

static void end(struct worker *w, struct request *r)
{
	for (unsigned int i = 0; r->op != FLUSH && i < r->n; i++) {
		struct block_state *b = &states[r->first + i];

		if (r->op == READ)
			check_block(r->buffer + i * BLOCK, r->first + i);
		else
			b->done = b->begun;
	}
	w->counts[r->op]++;
	r->busy = false;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct blkio_completion done[DEPTH_MAX];
	uint64_t begun = 0, ended = 0;

	while (ended < ops) {
		int n;

		for (unsigned int i = 0; i < depth && begun < ops; i++)
			if (!w->request[i].busy) {
				begin(w, &w->request[i]);
				begun++;
			}
		n = disk_wait(w->queue, done, depth);
		for (int i = 0; i < n; i++)
			end(w, done[i].user_data);
		ended += (uint64_t)n;
	}
	return NULL;
}

/* ---- the disk ---- */

static void give_buffers(struct blkio *b)
{
	uint8_t *at = disk_memory(b, (size_t)nqueues * depth * RUN_MAX * BLOCK);

	for (unsigned int q = 0; q < nqueues; q++)
		for (unsigned int i = 0; i < depth; i++) {
			workers[q].request[i].buffer = at;
			at += RUN_MAX * BLOCK;
		}
}

static void open_states(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)(nblocks * sizeof(*states))))
		die(path, strerror(errno));
	states = mmap(NULL, nblocks * sizeof(*states), PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd, 0);
	if (states == MAP_FAILED)
		die(path, strerror(errno));
	close(fd);
}

static int check_image(const char *image, const char *state)
{
	uint8_t data[BLOCK];
	struct stat st;
	int fd = open(image, O_RDONLY);

	if (fd < 0 || fstat(fd, &st))
		die(image, strerror(errno));
	nblocks = (uint64_t)st.st_size / BLOCK;
	open_states(state);
	for (uint64_t i = 0; i < nblocks; i++) {
		if (pread(fd, data, BLOCK, (off_t)(i * BLOCK)) != BLOCK)
			die(image, "short read");
		check_block(data, i);
	}
	printf("%llu blocks of the image are right\n",
	       (unsigned long long)nblocks);
	return 0;
}

/* In one request, whatever the device says of its limits: some drivers do. */
static int zero_at_once(const char *path, uint64_t bytes)
{
	struct blkio_completion done;
	uint64_t capacity;
	struct blkio *b = disk_connect(path, 1, false, false, &capacity);
	struct blkioq *queue = disk_queue(b, false, 0);

	blkioq_write_zeroes(queue, 0, bytes, NULL, 0);
	disk_wait(queue, &done, 1);
	blkio_destroy(&b);
	return 0;
}

static void parse(char *arg)
{
	static const struct number_key keys[] = {
		{ "queues", &nqueues, 1, QUEUES_MAX },
		{ "depth", &depth, 1, DEPTH_MAX },
		{ "seed", &seed, 0, ~0u },
		{ "poll", &poll_queues, 0, 1 },
		{ "readonly", &readonly, 0, 1 },
	};
	const char *value = split_argument(arg);

	if (!strcmp(arg, "ops"))
		ops = strtoull(value, NULL, 0);
	else
		set_number(keys, sizeof(keys) / sizeof(keys[0]), arg, value);
}

int main(int argc, char **argv)
{
	struct blkio *b;
	uint64_t capacity;
	uint64_t counts[OPS] = { 0 };

	if (argc == 4 && !strcmp(argv[1], "--image"))
		return check_image(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "--zeroes"))
		return zero_at_once(argv[2], strtoull(argv[3], NULL, 0));
	if (argc < 3)
		die("usage", "blkio_check SOCKET STATE [KEY=VALUE]...");
	for (int i = 3; i < argc; i++)
		parse(argv[i]);
	b = disk_connect(argv[1], nqueues, poll_queues, readonly, &capacity);
	nblocks = capacity / BLOCK;
	open_states(argv[2]);
	give_buffers(b);
	for (unsigned int q = 0; q < nqueues; q++) {
		struct worker *w = &workers[q];

		w->index = q;
		w->seed = seed * 1000 + q;
		w->queue = disk_queue(b, poll_queues, q);
		if (pthread_create(&w->thread, NULL, work, w))
			die("a thread", "cannot be started");
	}
	for (unsigned int q = 0; q < nqueues; q++) {
		pthread_join(workers[q].thread, NULL);
		for (unsigned int i = 0; i < OPS; i++)
			counts[i] += workers[q].counts[i];
	}
	blkio_destroy(&b);
	printf("%llu reads, %llu writes, %llu flushes, %llu zeroings, "
	       "%llu discards\n",
	       (unsigned long long)counts[READ],
	       (unsigned long long)counts[WRITE],
	       (unsigned long long)counts[FLUSH],
	       (unsigned long long)counts[ZERO],
	       (unsigned long long)counts[DISCARD]);
	return 0;
}
