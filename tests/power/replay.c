/* SPDX-License-Identifier: MIT */
/*
 * The replayer: what the disk may be after a power cut at any time, and whether
 * that is what its driver was promised.
 *
 * A cut is behind each entry of the log. The disk then has what is stable: what
 * a flush or FUA has covered. Of what was written since, each write may be
 * there or not, whole or sector by sector, in any order. For each cut these
 * states are looked at:
 *
 *   all of the writes since are there
 *   none is
 *   some (subsets=N): each with its own luck
 *
 * For a sector a state has one value: the request that wrote it, or zeroes.
 * What a value may be follows from the journal. A request is *stable* from an
 * event of the journal on:
 *
 *   the answer to it, if the disk was write-through all the time
 *   the answer to a flush that was asked for after the request was answered
 *   the end of a change to write-through
 *
 * and binds those cuts that have at least as many entries as the log had then.
 * A value is right if no request that is stable at the cut has begun after this
 * one was answered; of several that were under way together any may be the last
 * one. What was never answered, or answered with an error, may be there. A
 * discard promises nothing: zeroes or what was there before. A sector that is
 * nobody's, a mixture or somewhere else is wrong in any state.
 *
 * With torn=1 the disk has a page cache of the kernel's, which may write a page
 * while it is changed: for another sector's sake, or for an older request's. A
 * mixture is then right as long as a request that is part of it is under way:
 * an entry that comes later has it whole. Its value is that request, torn, and
 * wrong where that one is stable.
 *
 * Beside that, the order itself is looked at: between the last write that is
 * answered before a flush is asked for and the flush's answer is an fsync in
 * the log; and so for each write in write-through that is not FUA.
 *
 * The states of a cut differ in the sectors that were written since the last
 * flush only, so the others are looked at once for each cut.
 *
 * usage: replay LOG JOURNAL [subsets=N] [seed=N] [order=0] [torn=1]
 * Ends with 0 if nothing is wrong; the last line has the numbers.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/stat.h>

#define POWER_PROGRAM "replay"
#include "power.h"

enum {
	SHOWN_MAX = 5, /* violations of a kind that are told in full */
	SUBSETS_MAX = 1024,
};

#define NEVER UINT64_MAX
#define TORN (UINT32_C(1) << 31) /* beside a request's number */
#define AT_FIRST 1 /* when the zeroes of a new disk were answered */

struct request {
	uint8_t op;
	bool bad, whole;
	uint32_t sector, sectors;
	uint64_t begun, answered; /* events; NEVER */
	uint64_t entries;         /* of the log, before it */
	uint64_t over;            /* ... and before its answer; NEVER */
	uint64_t promised;        /* ... and when it is stable; NEVER */
	/* Entries of the log: the first one by which all of it was written. */
	uint64_t written;
	uint64_t fua;                        /* ... by FUA entries; NEVER */
	uint64_t missing[2], missing_fua[2]; /* bits for the sectors */
};

struct entry {
	uint32_t sector, sectors;
	uint64_t flags;
	uint32_t *value; /* of each sector: a request's number, 0: zeroes */
	bool lost;       /* a mark */
};

/* `request` is stable from `entries` on. */
struct promise {
	uint32_t request;
	uint64_t entries;
};

struct sector {
	uint32_t stable;     /* value that is on the disk for sure */
	uint64_t stable_at;  /* entries before do not matter any more */
	uint32_t state;      /* value in the state that is looked at */
	uint32_t bound;      /* the request that binds it; 0: none */
	uint64_t bound_at;   /* ... and when it began */
	uint64_t zero_until; /* when the last zeroes were answered */
};

static unsigned int subsets = 8, seed = 1, order = 1, torn;
static struct request *requests;
static uint32_t nrequests;
static struct entry *entries;
static uint64_t nentries, *flushes; /* of the first n entries */
static struct promise *promises;
static uint64_t npromises;
static struct sector *disk;
static uint32_t nsectors;

/* Entries since the last flush. */
static uint64_t *tail, *shuffled;
static unsigned int ntail;

static uint64_t states, flushes_seen, wholes_seen, torn_seen, random_state;
static uint64_t bad_states, bad_order, bad_data; /* violations */

static void *allocate(uint64_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		die("memory", strerror(errno));
	return p;
}

/* A violation of a kind: whether it is to be told in full. */
static bool complain(uint64_t *kind)
{
	return ++*kind <= SHOWN_MAX;
}

/* ---- reading ---- */

static void *read_file(const char *path, size_t *size)
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

static void read_journal(const struct journal_record *r, uint64_t n)
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

static void read_log(const uint8_t *bytes, size_t size)
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

/* ---- what was promised ---- */

static bool is_data(const struct request *r)
{
	return r->op == WRITE || r->op == ZERO;
}

static void promise(uint32_t request, uint64_t from)
{
	promises[npromises++] = (struct promise){ .request = request,
						  .entries = from };
	if (from < requests[request].promised)
		requests[request].promised = from;
}

/* Whether an fsync is in the log behind entry `from`, within `n` entries. */
static bool is_flushed(uint64_t from, uint64_t n)
{
	return flushes[n] > flushes[from + 1];
}

static void check_order(uint32_t id, uint64_t from, uint64_t n)
{
	if (!order || is_flushed(from, n) || !complain(&bad_order))
		return;
	printf("violation: request %u (%s) was answered at entry %llu without "
	       "an fsync since entry %llu\n",
	       id, requests[id].op == FLUSH ? "flush" : "write-through",
	       (unsigned long long)n, (unsigned long long)from);
}

static void check_whole(uint32_t id, uint64_t n)
{
	const struct request *r = &requests[id];

	wholes_seen++;
	if (r->op == WRITE && r->written < n && r->fua >= n)
		check_order(id, r->written, n);
}

/*
 * What was answered, in that order; `covered` of them are promised to be
 * stable.
 */
struct answered {
	uint32_t *ids;
	uint64_t n, covered;
	/* The entry that any of the first n needs an fsync behind. */
	uint64_t *last;
};

static void note_answered(struct answered *a, uint32_t id)
{
	const struct request *r = &requests[id];
	uint64_t last = a->n ? a->last[a->n - 1] : 0;

	if (r->op == WRITE && r->written != NEVER && r->fua == NEVER &&
	    r->written > last)
		last = r->written;
	a->last[a->n] = last;
	a->ids[a->n++] = id;
}

/* All that was answered before event `before` is stable from `from` on. */
static uint64_t cover(struct answered *a, uint64_t before, uint64_t from)
{
	uint64_t n = a->n;

	while (n && requests[a->ids[n - 1]].answered >= before)
		n--;
	for (; a->covered < n; a->covered++)
		promise(a->ids[a->covered], from);
	return n;
}

static void answer(struct answered *a, uint32_t id, uint64_t from)
{
	const struct request *r = &requests[id];
	uint64_t n;

	if (r->bad)
		return;
	if (is_data(r)) {
		note_answered(a, id);
		if (r->whole) {
			promise(id, from);
			check_whole(id, from);
		}
	}
	if (r->op != FLUSH)
		return;
	flushes_seen++;
	n = cover(a, r->begun, from);
	if (n && a->last[n - 1])
		check_order(id, a->last[n - 1], from);
}

static void find_promises(const struct journal_record *r, uint64_t n)
{
	struct answered a = { .ids = allocate(n, sizeof(*a.ids)),
			      .last = allocate(n, sizeof(*a.last)) };

	/* At its own answer, and by a flush. */
	promises = allocate(2 * n, sizeof(*promises));
	for (uint64_t i = 0; i < n; i++, r++) {
		if (r->entries > nentries)
			die("the journal", "is of another log");
		if (r->event == JOURNAL_ANSWER)
			answer(&a, r->id, r->entries);
		if (r->event == JOURNAL_SETTLED)
			cover(&a, i + 2, r->entries);
	}
	free(a.ids);
	free(a.last);
}

/* ---- looking at a state ---- */

static bool is_right(const struct sector *s, uint32_t value, uint64_t cut)
{
	const struct request *r = &requests[value & ~TORN];

	if (!value)
		return s->zero_until > s->bound_at;
	if ((value & TORN) && r->promised <= cut)
		return false;
	return r->answered > s->bound_at && r->entries < cut;
}

static void tell_violation(uint32_t sector, uint32_t value, uint64_t cut,
			   const char *what)
{
	const struct sector *s = &disk[sector];

	printf("violation: cut behind entry %llu, %s: sector %u has ",
	       (unsigned long long)cut, what, sector);
	if (value)
		printf("%srequest %u (answered at event %lld)",
		       value & TORN ? "a part of " : "", value & ~TORN,
		       (long long)requests[value & ~TORN].answered);
	else
		printf("zeroes (until event %llu)",
		       (unsigned long long)s->zero_until);
	printf(", but request %u, begun at event %llu, is stable\n", s->bound,
	       (unsigned long long)s->bound_at);
}

static void look(uint32_t sector, uint32_t value, uint64_t cut,
		 const char *what)
{
	if (!is_right(&disk[sector], value, cut) && complain(&bad_states))
		tell_violation(sector, value, cut, what);
}

/* What is stable, everywhere. */
static void look_at_all(uint64_t cut)
{
	for (uint32_t i = 0; i < nsectors; i++)
		look(i, disk[i].stable, cut, "nothing unstable");
	states++;
}

/* ---- states ---- */

/* Whether the entry at `at` is still to matter for a sector. */
static bool matters(const struct sector *s, uint64_t at)
{
	return at >= s->stable_at;
}

/* Begin a state: nothing of what was written since the last flush. */
static void state_begin(void)
{
	for (unsigned int t = 0; t < ntail; t++) {
		const struct entry *e = &entries[tail[t]];

		for (uint32_t i = 0; i < e->sectors; i++)
			disk[e->sector + i].state = disk[e->sector + i].stable;
	}
}

static void state_add(uint64_t at, bool by_sector)
{
	const struct entry *e = &entries[at];
	uint64_t luck = 0;

	for (uint32_t i = 0; i < e->sectors; i++) {
		struct sector *s = &disk[e->sector + i];

		if (by_sector && i % 64 == 0)
			luck = draw(&random_state);
		if (matters(s, at) && (!by_sector || luck >> i % 64 & 1))
			s->state = e->value[i];
	}
}

/* Look at it; a number that tells it from the others of this cut. */
static uint64_t state_end(uint64_t cut, const char *what)
{
	uint64_t sum = 0;

	for (unsigned int t = 0; t < ntail; t++) {
		const struct entry *e = &entries[tail[t]];

		for (uint32_t i = 0; i < e->sectors; i++) {
			uint32_t value = disk[e->sector + i].state;

			look(e->sector + i, value, cut, what);
			sum += mix((uint64_t)value << 32 |
				   ((e->sector + i) << 1 | 1));
		}
	}
	return sum;
}

static void shuffle(void)
{
	for (unsigned int i = 0; i < ntail; i++) {
		unsigned int j = pick(&random_state, i + 1);

		shuffled[i] = shuffled[j];
		shuffled[j] = tail[i];
	}
}

/* Each write is there by its own luck, which is better or worse by turns. */
static void make_subset(unsigned int turn)
{
	static const unsigned int chances[] = { 8, 2, 14 }; /* of 16 */
	unsigned int chance = chances[turn % 3];

	shuffle();
	state_begin();
	for (unsigned int i = 0; i < ntail; i++)
		if (pick(&random_state, 16) < chance)
			state_add(shuffled[i], pick(&random_state, 4) == 0);
}

/* States that are the same count once. */
static void count_state(uint64_t sum, uint64_t *sums, unsigned int n)
{
	sums[n] = sum;
	for (unsigned int i = 0; i < n; i++)
		if (sums[i] == sum)
			return;
	states++;
}

static void look_at_cut(uint64_t cut)
{
	uint64_t sums[SUBSETS_MAX + 2];

	look_at_all(cut);
	if (!ntail)
		return;
	/* Which is the one that was looked at already. */
	state_begin();
	sums[0] = state_end(cut, "nothing unstable");
	for (unsigned int t = 0; t < ntail; t++)
		state_add(tail[t], false);
	count_state(state_end(cut, "everything"), sums, 1);
	for (unsigned int i = 0; i < subsets; i++) {
		make_subset(i);
		count_state(state_end(cut, "a part"), sums, i + 2);
	}
}

/* ---- going on by an entry ---- */

static void make_stable(uint64_t at, uint64_t now)
{
	const struct entry *e = &entries[at];

	for (uint32_t i = 0; i < e->sectors; i++) {
		struct sector *s = &disk[e->sector + i];

		if (!matters(s, at))
			continue;
		s->stable = e->value[i];
		s->stable_at = now;
	}
}

static void drop_tail(uint64_t now)
{
	for (unsigned int t = 0; t < ntail; t++) {
		const struct entry *e = &entries[tail[t]];

		for (uint32_t i = 0; i < e->sectors; i++)
			disk[e->sector + i].stable_at = now;
	}
	ntail = 0;
}

static void apply(uint64_t at)
{
	const struct entry *e = &entries[at];

	if (e->sectors)
		tail[ntail++] = at;
	if (e->flags & LOG_FUA)
		make_stable(at, at + 1);
	if (e->flags & LOG_FLUSH) {
		/* The last one of a sector stays. */
		for (unsigned int t = 0; t < ntail; t++)
			make_stable(tail[t], tail[t] + 1);
		ntail = 0;
	}
	if (e->lost)
		drop_tail(at + 1);
}

static void bind(uint32_t id)
{
	const struct request *r = &requests[id];

	for (uint32_t i = 0; i < r->sectors; i++) {
		struct sector *s = &disk[r->sector + i];

		if (r->begun <= s->bound_at)
			continue;
		s->bound_at = r->begun;
		s->bound = id;
	}
}

/* Zeroes are no request's: who may have written them last? */
static void allow_zeroes(const struct request *r)
{
	if (r->op != ZERO && r->op != DISCARD)
		return;
	for (uint32_t i = 0; i < r->sectors; i++) {
		struct sector *s = &disk[r->sector + i];

		if (r->answered > s->zero_until)
			s->zero_until = r->answered;
	}
}

static void replay(void)
{
	uint32_t submitted = 1;
	uint64_t kept = 0;

	disk = allocate(nsectors, sizeof(*disk));
	tail = allocate(nentries, sizeof(*tail));
	shuffled = allocate(nentries, sizeof(*shuffled));
	for (uint32_t i = 0; i < nsectors; i++)
		disk[i].zero_until = AT_FIRST;
	for (uint64_t cut = 0; cut <= nentries; cut++) {
		if (cut)
			apply(cut - 1);
		for (; submitted <= nrequests &&
		       requests[submitted].entries < cut;
		     submitted++)
			allow_zeroes(&requests[submitted]);
		for (; kept < npromises && promises[kept].entries <= cut;
		     kept++)
			bind(promises[kept].request);
		look_at_cut(cut);
	}
}

int main(int argc, char **argv)
{
	static const struct number_key keys[] = {
		{ "subsets", &subsets }, { "seed", &seed }, { "order", &order },
		{ "torn", &torn },       { NULL, NULL },
	};
	size_t log_size, journal_size;
	void *log, *journal;

	if (argc < 3)
		die("usage", "replay LOG JOURNAL [KEY=NUMBER]...");
	for (int i = 3; i < argc; i++)
		take_number(keys, argv[i]);
	if (subsets > SUBSETS_MAX)
		die("subsets", "too many");
	random_state = seed;
	log = read_file(argv[1], &log_size);
	journal = read_file(argv[2], &journal_size);
	read_journal(journal, journal_size / sizeof(struct journal_record));
	read_log(log, log_size);
	find_promises(journal, journal_size / sizeof(struct journal_record));
	replay();
	if (torn)
		printf("%llu torn sectors of requests under way\n",
		       (unsigned long long)torn_seen);
	printf("%llu states of %llu entries, %u requests, %llu promises, "
	       "%llu flushes and %llu write-through in order, "
	       "violations: %llu of states, %llu of the order, %llu of data\n",
	       (unsigned long long)states, (unsigned long long)nentries,
	       nrequests, (unsigned long long)npromises,
	       (unsigned long long)flushes_seen,
	       (unsigned long long)wholes_seen, (unsigned long long)bad_states,
	       (unsigned long long)bad_order, (unsigned long long)bad_data);
	return bad_states || bad_order || bad_data;
}
