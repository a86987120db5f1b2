/* SPDX-License-Identifier: MIT */
/* What a disk has to read as; see oracle.h. */
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "common.h"

enum {
	WORDS = SECTOR / 8,
	TOLD_MAX = 8,     /* wrong sectors of an image */
	IMAGE_PART = 256, /* sectors, read at once */
};

struct stamp {
	uint64_t sector;
	uint64_t generation;
	uint64_t request;
	uint64_t place; /* start of the daemon, queue */
};

_Static_assert(sizeof(struct stamp) == 32, "four words");

static void *zeroes_of(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("no memory");
	return p;
}

void oracle_init(struct oracle *o, uint32_t nsectors)
{
	o->nsectors = nsectors;
	o->acked = zeroes_of(nsectors, sizeof(*o->acked));
	o->begun = zeroes_of(nsectors, sizeof(*o->begun));
	o->zeroed = zeroes_of(nsectors, sizeof(*o->zeroed));
	/* A new image. */
	for (uint32_t i = 0; i < nsectors; i++)
		o->zeroed[i] = 1;
}

void oracle_finish(struct oracle *o)
{
	free(o->acked);
	free(o->begun);
	free(o->zeroed);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	return x;
}

static uint64_t checksum(const struct stamp *s)
{
	return mix(s->sector ^
		   mix(s->generation ^ mix(s->request ^ mix(s->place))));
}

/* The words after the stamp: an odd step, so that each differs. */
static uint64_t word_of(uint64_t sum, unsigned int i)
{
	return sum + i * (sum | 1);
}

static void fill(uint64_t *words, const struct stamp *s)
{
	uint64_t sum = checksum(s);

	memcpy(words, s, sizeof(*s));
	for (unsigned int i = 4; i < WORDS; i++)
		words[i] = word_of(sum, i);
}

static bool is_whole(const uint64_t *words)
{
	struct stamp s;
	uint64_t sum, wrong = 0;

	memcpy(&s, words, sizeof(s));
	sum = checksum(&s);
	for (unsigned int i = 4; i < WORDS; i++)
		wrong |= words[i] ^ word_of(sum, i);
	return !wrong;
}

static bool is_zero(const uint64_t *words)
{
	uint64_t any = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		any |= words[i];
	return !any;
}

bool oracle_is_free(const struct oracle *o, uint32_t first, uint32_t n)
{
	return !memcmp(o->acked + first, o->begun + first,
		       n * sizeof(*o->acked));
}

static void begin(struct oracle *o, uint32_t sector, bool zeroes)
{
	uint32_t generation = ++o->begun[sector];
	uint64_t bit = UINT64_C(1) << generation % 64;

	if (zeroes)
		o->zeroed[sector] |= bit;
	else
		o->zeroed[sector] &= ~bit;
}

void oracle_write(struct oracle *o, uint32_t first, uint32_t n, void *data,
		  uint64_t request, uint32_t place)
{
	for (uint32_t i = first; i < first + n; i++) {
		struct stamp s = { .sector = i,
				   .request = request,
				   .place = place };

		begin(o, i, false);
		s.generation = o->begun[i];
		fill((uint64_t *)data + (size_t)(i - first) * WORDS, &s);
	}
}

void oracle_zero(struct oracle *o, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		begin(o, i, true);
}

void oracle_ack(struct oracle *o, uint32_t first, uint32_t n)
{
	memcpy(o->acked + first, o->begun + first, n * sizeof(*o->acked));
}

/* Whether one of the generations since `from` is zeroes. */
static bool may_be_zero(const struct oracle *o, uint32_t sector, uint32_t from)
{
	for (uint32_t g = from; g <= o->begun[sector]; g++)
		if (o->zeroed[sector] & UINT64_C(1) << g % 64)
			return true;
	return false;
}

/*
 * `quiet`: no write is under way that could be half done. Where one is, a read
 * may find a part of it, since the page cache promises no more.
 */
static bool is_right(const struct oracle *o, uint32_t sector,
		     const uint64_t *words, uint32_t from, bool quiet)
{
	struct stamp s;

	if (!quiet && from != o->begun[sector] && !is_whole(words))
		return true;
	if (is_zero(words))
		return may_be_zero(o, sector, from);
	memcpy(&s, words, sizeof(s));
	return is_whole(words) && s.sector == sector && s.generation >= from &&
	       s.generation <= o->begun[sector];
}

static void tell(const struct oracle *o, uint32_t sector, const uint64_t *words,
		 uint32_t from, const char *what)
{
	struct stamp s;

	memcpy(&s, words, sizeof(s));
	if (is_zero(words))
		fprintf(stderr, "    %s: sector %u is zeroes", what, sector);
	else
		fprintf(stderr,
			"    %s: sector %u has sector %" PRIu64
			", generation %" PRIu64 ", request %" PRIu64
			", by start %" PRIu64 " and queue %" PRIu64 "%s",
			what, sector, s.sector, s.generation, s.request,
			s.place >> 8, s.place & 0xff,
			is_whole(words) ? "" : ", torn");
	fprintf(stderr, "; generations %u to %u are right\n", from,
		o->begun[sector]);
}

void oracle_check(const struct oracle *o, uint32_t first, uint32_t n,
		  const void *data, const uint32_t *since, const char *what)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t *words = (const uint64_t *)data +
					(size_t)i * WORDS;
		uint32_t from = since ? since[i] : o->acked[first + i];

		if (is_right(o, first + i, words, from, false))
			continue;
		tell(o, first + i, words, from, what);
		die("what was read is not what was written");
	}
}

/* Alone with the image: who has its lock may still have writes under way. */
static int open_image(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	uint64_t until = clock_ns() + WAIT_NS;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	while (fcntl(fd, F_OFD_SETLK, &lock)) {
		if (clock_ns() > until)
			die("%s: its lock is not free", path);
		pause_ns(NS_PER_MS);
	}
	return fd;
}

uint32_t oracle_check_image(const struct oracle *o, const char *path)
{
	static uint64_t data[IMAGE_PART * WORDS];
	uint32_t wrong = 0;
	int fd = open_image(path);

	for (uint32_t i = 0; i < o->nsectors; i++) {
		const uint64_t *words = data + i % IMAGE_PART * WORDS;

		if (i % IMAGE_PART == 0 &&
		    pread(fd, data, sizeof(data), (off_t)i * SECTOR) <= 0)
			die("%s: cannot be read", path);
		if (is_right(o, i, words, o->acked[i], true))
			continue;
		if (wrong++ < TOLD_MAX)
			tell(o, i, words, o->acked[i], "the image");
	}
	close(fd);
	return wrong;
}
