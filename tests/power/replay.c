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

#define POWER_PROGRAM "replay"
#include "history.h"

enum {
	SUBSETS_MAX = 1024,
};

#define AT_FIRST 1 /* when the zeroes of a new disk were answered */

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

static unsigned int subsets = 8, seed = 1, order = 1;
static struct promise *promises;
static uint64_t npromises;
static struct sector *disk;

/* Entries since the last flush. */
static uint64_t *tail, *shuffled;
static unsigned int ntail;

static uint64_t states, flushes_seen, wholes_seen, random_state;
static uint64_t bad_states, bad_order; /* violations */

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
