/* SPDX-License-Identifier: MIT */
/* Reading what happened; see history.h. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/stat.h>

#define POWER_PROGRAM "replay"
#include "history.h"

enum {
	SHOWN_MAX = 5, /* violations of a kind that are told in full */
};

struct request *requests;
uint32_t nrequests;
struct entry *entries;
uint64_t nentries, *flushes;
uint32_t nsectors;
unsigned int torn;
uint64_t torn_seen, bad_data;

void *allocate(uint64_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		die("memory", strerror(errno));
	return p;
}

bool complain(uint64_t *kind)
{
	return ++*kind <= SHOWN_MAX;
}

void *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "r");
	struct stat st;
	void *bytes;

	if (!f || fstat(fileno(f), &st))
		die(path, strerror(errno));
	*size = (size_t)st.st_size;
	bytes = allocate(*size, 1);
	if (fread(bytes, 1, *size, f) != *size)
		die(path, "short read");
	fclose(f);
	return bytes;
}

void read_journal(const struct journal_record *r, uint64_t n)
{
	uint64_t back = 0;

	requests = allocate(n + 1, sizeof(*requests));
	/* Events count from 1 on; 1 is the new disk. */
	for (uint64_t i = 0; i < n; i++, r++) {
		struct request *req = &requests[r->id];

		if (r->id > n || r->sectors > RUN_MAX)
			die("the journal", "is damaged");
		if (r->event == JOURNAL_BACK)
			back = i + 2;
		if (r->event == JOURNAL_ANSWER) {
			req->answered = i + 2;
			req->over = r->entries;
			req->bad = r->bad;
			req->whole &= req->begun > back;
		}
		if (r->event != JOURNAL_SUBMIT)
			continue;
		if (r->id != ++nrequests)
			die("the journal", "has a request out of its place");
		*req = (struct request){ .op = r->op,
					 .whole = r->whole,
					 .sector = r->sector,
					 .sectors = r->sectors,
					 .begun = i + 2,
					 .answered = NEVER,
					 .entries = r->entries,
					 .over = NEVER,
					 .promised = NEVER,
					 .written = NEVER,
					 .fua = NEVER };
		for (unsigned int s = 0; s < r->sectors; s++)
			req->missing[s / 64] |= UINT64_C(1) << s % 64;
		memcpy(req->missing_fua, req->missing, sizeof(req->missing));
		if (r->sector + r->sectors > nsectors)
			nsectors = r->sector + r->sectors;
	}
}

/* A sector of request `id` is in entry `at`. */
static void note_written(uint32_t id, uint32_t sector, uint64_t at)
{
	struct request *r = &requests[id];
	uint32_t i = sector - r->sector;
	uint64_t bit = UINT64_C(1) << i % 64;

	r->missing[i / 64] &= ~bit;
	if (!r->missing[0] && !r->missing[1] && r->written == NEVER)
		r->written = at;
	if (entries[at].flags & LOG_FUA)
		r->missing_fua[i / 64] &= ~bit;
	if (!r->missing_fua[0] && !r->missing_fua[1] && r->fua == NEVER)
		r->fua = at;
}

static bool covers(const struct request *r, uint32_t sector)
{
	return r->sector <= sector && sector - r->sector < r->sectors;
}

static bool is_under_way(const struct request *r, uint64_t at)
{
	return r->entries <= at && at < r->over;
}

/* How many of the words are of request `id`, which are then `found`. */
static unsigned int find_words(const uint64_t *data, uint32_t id,
			       uint32_t sector, bool *found)
{
	uint64_t words[SECTOR_WORDS] = { 0 };
	unsigned int n = 0;

	if (requests[id].op == WRITE)
		fill_sector(words, id, sector);
	for (unsigned int i = 0; i < SECTOR_WORDS; i++)
		if (data[i] == words[i]) {
			found[i] = true;
			n++;
		}
	return n;
}

/*
 * A request under way that is part of the mixture; 0 if there is none, or other
 * parts of it are nobody's.
 */
static uint32_t torn_by(const uint8_t *bytes, uint32_t sector, uint64_t at)
{
	bool found[SECTOR_WORDS] = { false };
	uint64_t data[SECTOR_WORDS];
	uint32_t by = 0;

	memcpy(data, bytes, SECTOR);
	for (uint32_t id = 1; id <= nrequests; id++) {
		const struct request *r = &requests[id];

		if ((r->op == WRITE || r->op == ZERO) && covers(r, sector) &&
		    find_words(data, id, sector, found) && is_under_way(r, at))
			by = id;
	}
	for (unsigned int i = 0; i < SECTOR_WORDS; i++)
		if (!found[i] && data[i])
			return 0;
	return by;
}

/* Whose the sector is; complains if it is nobody's. */
static uint32_t value_of(const uint8_t *data, uint32_t sector, uint64_t at)
{
	static const uint8_t zeroes[SECTOR];
	uint64_t words[SECTOR_WORDS];
	uint64_t stamp;
	uint32_t id;

	if (!memcmp(data, zeroes, SECTOR))
		return 0;
	memcpy(&stamp, data, sizeof(stamp));
	id = (uint32_t)(stamp >> 32);
	fill_sector(words, id, sector);
	if (!memcmp(data, words, SECTOR) && id <= nrequests &&
	    requests[id].op == WRITE && covers(&requests[id], sector)) {
		note_written(id, sector, at);
		return id;
	}
	id = torn ? torn_by(data, sector, at) : 0;
	if (id) {
		torn_seen++;
		return id | TORN;
	}
	if (complain(&bad_data))
		printf("violation: entry %llu writes to sector %u what is of "
		       "no request or a mixture: %#llx\n",
		       (unsigned long long)at, sector,
		       (unsigned long long)stamp);
	return 0;
}

static void read_entry(struct entry *e, const struct log_entry *raw,
		       const uint8_t *data)
{
	e->flags = raw->flags;
	e->lost = (raw->flags & LOG_MARK) &&
		  raw->mark_bytes == strlen(LOG_MARK_LOST) &&
		  !memcmp(raw + 1, LOG_MARK_LOST, raw->mark_bytes);
	e->sector = (uint32_t)raw->sector;
	e->sectors = (raw->flags & LOG_MARK) ? 0 : (uint32_t)raw->sectors;
	e->value = allocate(e->sectors, sizeof(*e->value));
	if (e->sector + e->sectors > nsectors)
		nsectors = e->sector + e->sectors;
	for (uint32_t i = 0; !(e->flags & LOG_DISCARD) && i < e->sectors; i++)
		e->value[i] = value_of(data + (size_t)i * SECTOR, e->sector + i,
				       (uint64_t)(e - entries));
}

void read_log(const uint8_t *bytes, size_t size)
{
	const uint8_t *end = bytes + size;
	const struct log_head *head = (const void *)bytes;

	if (size < SECTOR || head->magic != LOG_MAGIC ||
	    head->version != LOG_VERSION || head->sector_size != SECTOR)
		die("the log", "is none");
	nentries = head->entries;
	entries = allocate(nentries, sizeof(*entries));
	flushes = allocate(nentries + 1, sizeof(*flushes));
	bytes += SECTOR;
	for (uint64_t i = 0; i < nentries; i++) {
		const struct log_entry *raw = (const void *)bytes;
		uint64_t n;

		if (end - bytes < SECTOR)
			die("the log", "is cut off");
		n = (raw->flags & (LOG_DISCARD | LOG_MARK)) ? 0 : raw->sectors;
		bytes += SECTOR;
		if ((uint64_t)(end - bytes) / SECTOR < n)
			die("the log", "is cut off");
		read_entry(&entries[i], raw, bytes);
		flushes[i + 1] = flushes[i] + ((raw->flags & LOG_FLUSH) != 0);
		bytes += n * SECTOR;
	}
}
