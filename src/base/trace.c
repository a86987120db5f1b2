/* SPDX-License-Identifier: MIT */
/*
 * What has happened to a disk; see base/trace.h.
 *
 * Failure modes: without memory for a copy a ring is not logged, and a line
 * says so. What can be had again and again by a guest, the log of a device that
 * needs a reset, is had once in a while.
 */
#include "base/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * What a guest can cause of a disk is the end of its ring, now and then; all of
 * it is logged for others.
 */
#define DUMP_NS (600 * NS_PER_SECOND)
#define DUMP_EVENTS 32u

enum { BUSY = 1 };

/* Where a name begins in a record, and before it what is shorter. */
enum { WORD_SMALL = 4, WORD_NAME };

_Static_assert(TRACE_WORDS == WORD_NAME + TRACE_NAME_MAX / 8,
	       "an event fills its record");

/* ---- records ---- */

static void pack(uint64_t word[TRACE_WORDS], const struct trace_event *event)
{
	word[0] = event->time_ns;
	word[1] = event->value;
	word[2] = event->length;
	word[3] = event->took_ns;
	word[WORD_SMALL] = (uint64_t)event->kind |
			   (uint64_t)event->status << 8 |
			   (uint64_t)event->queue << 16 |
			   (uint64_t)event->id << 32;
	memcpy(&word[WORD_NAME], event->name, TRACE_NAME_MAX);
}

static void unpack(struct trace_event *event, const uint64_t word[TRACE_WORDS])
{
	event->time_ns = word[0];
	event->value = word[1];
	event->length = word[2];
	event->took_ns = word[3];
	event->kind = (uint8_t)word[WORD_SMALL];
	event->status = (uint8_t)(word[WORD_SMALL] >> 8);
	event->queue = (uint16_t)(word[WORD_SMALL] >> 16);
	event->id = (uint16_t)(word[WORD_SMALL] >> 32);
	memcpy(event->name, &word[WORD_NAME], TRACE_NAME_MAX);
}

void trace_ring_put(struct trace_ring *ring, const struct trace_event *event)
{
	uint64_t number = __atomic_add_fetch(&ring->next, 1, __ATOMIC_RELAXED);
	struct trace_record *r = &ring->record[number % TRACE_EVENTS];
	uint64_t old = __atomic_load_n(&r->number, __ATOMIC_RELAXED);
	uint64_t word[TRACE_WORDS];

	/* Somebody is busy here, or was meanwhile with a later event. */
	if ((old & BUSY) || old > number << 1 ||
	    !__atomic_compare_exchange_n(&r->number, &old, BUSY, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	/* Pairs with the one in trace_ring_copy(): busy before it changes. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	pack(word, event);
	for (unsigned int i = 0; i < TRACE_WORDS; i++)
		__atomic_store_n(&r->word[i], word[i], __ATOMIC_RELAXED);
	__atomic_store_n(&r->number, number << 1, __ATOMIC_RELEASE);
}

/* ---- reading ---- */

void trace_ring_copy(struct trace_ring *to, const struct trace_ring *ring)
{
	memcpy(to->disk, ring->disk, sizeof(to->disk));
	to->next = __atomic_load_n(&ring->next, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < TRACE_EVENTS; i++) {
		const struct trace_record *r = &ring->record[i];
		struct trace_record *t = &to->record[i];

		t->number = __atomic_load_n(&r->number, __ATOMIC_ACQUIRE);
		for (unsigned int k = 0; k < TRACE_WORDS; k++)
			t->word[k] = __atomic_load_n(&r->word[k],
						     __ATOMIC_RELAXED);
	}
	/* What is read next is later than all of this. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/* Ends, and has nothing in it that does not belong into a log. */
static void clean(char *text, size_t size)
{
	size_t n = strnlen(text, size - 1);

	memset(text + n, 0, size - n);
	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
}

void trace_ring_disk(char name[TRACE_DISK_MAX], const struct trace_ring *ring)
{
	memcpy(name, ring->disk, TRACE_DISK_MAX);
	clean(name, TRACE_DISK_MAX);
}

/* The number of the event in a record that is whole; 0: there is none. */
static uint64_t number_of(const struct trace_ring *first,
			  const struct trace_ring *second, unsigned int i,
			  unsigned int *torn)
{
	const struct trace_record *r = &first->record[i];
	const uint64_t number = r->number >> 1;
	const unsigned int kind = r->word[WORD_SMALL] & 0xff;

	if (r->number == 0)
		return 0;
	if (!(r->number & BUSY) && number % TRACE_EVENTS == i && kind &&
	    kind < TRACE_KINDS &&
	    memcmp(r, &second->record[i], sizeof(*r)) == 0)
		return number;
	++*torn;
	return 0;
}

unsigned int trace_ring_read(const struct trace_ring *first,
			     const struct trace_ring *second,
			     struct trace_event event[TRACE_EVENTS],
			     unsigned int *torn)
{
	uint64_t number[TRACE_EVENTS], last = 0;
	unsigned int n = 0;

	*torn = 0;
	for (unsigned int i = 0; i < TRACE_EVENTS; i++) {
		number[i] = number_of(first, second, i, torn);
		if (number[i] > last)
			last = number[i];
	}
	/* From the oldest that can be there besides the last one. */
	for (unsigned int i = 1; i <= TRACE_EVENTS; i++) {
		const uint64_t wanted = last - TRACE_EVENTS + i;
		const unsigned int at = wanted % TRACE_EVENTS;

		if (number[at] == 0 || number[at] != wanted)
			continue;
		unpack(&event[n], first->record[at].word);
		clean(event[n].name, TRACE_NAME_MAX);
		n++;
	}
	return n;
}

/* ---- as text ---- */

static const char *status_name(unsigned int status)
{
	static const char *const names[] = { "OK", "IOERR", "UNSUPP" };

	if (status == TRACE_STATUS_NONE)
		return "left";
	return status < sizeof(names) / sizeof(names[0]) ? names[status] : "?";
}

/* What the four kinds of a request have in common. */
static int request_text(char *text, size_t size, const char *what,
			const struct trace_event *e)
{
	return snprintf(text, size,
			"request %s queue=%u id=%u type=%s sector=%" PRIu64
			" length=%" PRIu64,
			what, e->queue, e->id, e->name, e->value, e->length);
}

/* None is longer than TRACE_TEXT_MAX. */
static void event_text(char *text, size_t size, const struct trace_event *e)
{
	int n;

	switch ((enum trace_kind)e->kind) {
	case TRACE_READ:
	case TRACE_WRITE:
		n = snprintf(text, size, "register %s %s",
			     e->kind == TRACE_READ ? "read" : "write", e->name);
		if (e->id || !e->name[0])
			n += snprintf(text + n, size - (size_t)n, "+0x%x",
				      e->id);
		snprintf(text + n, size - (size_t)n, "=0x%" PRIx64, e->value);
		break;
	case TRACE_BEGIN:
		request_text(text, size, "begin", e);
		break;
	case TRACE_END:
		n = request_text(text, size, "end", e);
		snprintf(text + n, size - (size_t)n,
			 " status=%s time=%" PRIu64 "us",
			 status_name(e->status), e->took_ns / NS_PER_US);
		break;
	case TRACE_ERROR:
		n = request_text(text, size, "error", e);
		snprintf(text + n, size - (size_t)n, " errno=%" PRIu64,
			 e->took_ns);
		break;
	case TRACE_NOTIFY:
		snprintf(text, size, "notify queue=%u", e->queue);
		break;
	case TRACE_CONFIG:
		snprintf(text, size, "notify config");
		break;
	case TRACE_KICK:
		snprintf(text, size, "kick queue=%u", e->queue);
		break;
	case TRACE_MESSAGE:
		snprintf(text, size, "message %s bytes=%" PRIu64, e->name,
			 e->length);
		break;
	case TRACE_DEVICE:
		snprintf(text, size, "device %s", e->name);
		break;
	case TRACE_KINDS:
		break;
	}
}

void trace_text(char text[TRACE_TEXT_MAX], const struct trace_event *event)
{
	int n = snprintf(text, TRACE_TEXT_MAX, "%" PRIu64 ".%06" PRIu64 " ",
			 event->time_ns / NS_PER_SECOND,
			 event->time_ns % NS_PER_SECOND / NS_PER_US);

	event_text(text + n, TRACE_TEXT_MAX - (size_t)n, event);
}

/* ---- of a disk ---- */

void trace_note(struct trace *trace, struct trace_event *event)
{
	char text[TRACE_TEXT_MAX];

	if (!trace || (!trace->ring && !trace_is_on(trace)))
		return;
	event->time_ns = clock_ns();
	if (trace->ring)
		trace_ring_put(trace->ring, event);
	if (!trace_is_on(trace))
		return;
	trace_text(text, event);
	log_line(LOG_LEVEL_TRACE, "%s: %s", trace->disk, text);
}

static void name_it(struct trace_event *event, const char *name)
{
	if (name)
		snprintf(event->name, sizeof(event->name), "%s", name);
}

void trace_access(struct trace *trace, enum trace_kind kind, const char *name,
		  uint64_t offset, uint64_t value)
{
	struct trace_event event = {
		.kind = (uint8_t)kind,
		.id = offset > UINT16_MAX ? UINT16_MAX : (uint16_t)offset,
		.value = value,
	};

	name_it(&event, name);
	trace_note(trace, &event);
}

void trace_notified(struct trace *trace, enum trace_kind kind,
		    unsigned int queue)
{
	struct trace_event event = {
		.kind = (uint8_t)kind,
		.queue = (uint16_t)queue,
	};

	trace_note(trace, &event);
}

void trace_device(struct trace *trace, const char *what)
{
	struct trace_event event = { .kind = TRACE_DEVICE };

	name_it(&event, what);
	trace_note(trace, &event);
}

void trace_message(struct trace *trace, const char *name, uint64_t bytes)
{
	struct trace_event event = { .kind = TRACE_MESSAGE, .length = bytes };

	name_it(&event, name);
	trace_note(trace, &event);
}

/* ---- into the log ---- */

static bool add_events(struct log_text *lines, const char *disk,
		       const struct trace_event *event, unsigned int n)
{
	char text[TRACE_TEXT_MAX];
	bool added = true;

	for (unsigned int i = 0; i < n && added; i++) {
		trace_text(text, &event[i]);
		added = log_text_add(lines, LOG_LEVEL_TRACE, "%s: event %s",
				     disk, text);
	}
	return added;
}

static bool write_log(const struct trace_ring *first,
		      const struct trace_ring *second, const char *why,
		      unsigned int max, struct trace_event event[TRACE_EVENTS])
{
	struct log_text *lines = log_text_new();
	char disk[TRACE_DISK_MAX];
	unsigned int torn, n, skipped;
	bool added;

	if (!lines)
		return false;
	trace_ring_disk(disk, first);
	n = trace_ring_read(first, second, event, &torn);
	skipped = n > max ? n - max : 0;
	n -= skipped;
	added = log_text_add(lines, LOG_LEVEL_TRACE,
			     "%s: the last %u event%s, as %s%s", disk, n,
			     log_plural(n), why,
			     torn ? "; others could not be read" : "") &&
		add_events(lines, disk, event + skipped, n) &&
		log_text_add(lines, LOG_LEVEL_TRACE, "%s: end of the events",
			     disk);
	if (added)
		return log_text_put(lines);
	log_text_free(lines);
	return false;
}

void trace_log(const struct trace_ring *first, const struct trace_ring *second,
	       const char *why, unsigned int max)
{
	struct trace_event *event = calloc(TRACE_EVENTS, sizeof(*event));

	if (!event || !write_log(first, second, why, max, event))
		log_warning("the events of a disk cannot be logged: there is "
			    "no memory, or too much waits for standard error");
	free(event);
}

static void log_own(struct trace *trace)
{
	struct trace_ring *copy = calloc(2, sizeof(*copy));

	if (!copy) {
		log_warning("%s: its events cannot be logged: no memory",
			    trace->disk);
		return;
	}
	trace_ring_copy(&copy[0], trace->ring);
	trace_ring_copy(&copy[1], trace->ring);
	trace_log(&copy[0], &copy[1], "the device needs a reset", DUMP_EVENTS);
	free(copy);
}

/* A guest can have as many of these as it likes. */
static bool is_time(struct trace *trace)
{
	const uint64_t now = clock_ns();
	uint64_t before = __atomic_load_n(&trace->dumped_ns, __ATOMIC_RELAXED);

	if (before && now - before < DUMP_NS)
		return false;
	return __atomic_compare_exchange_n(&trace->dumped_ns, &before, now,
					   false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

void trace_look_reset(struct trace *trace, bool needs_reset)
{
	if (!trace ||
	    __atomic_load_n(&trace->needs_reset, __ATOMIC_RELAXED) ==
		    needs_reset ||
	    __atomic_exchange_n(&trace->needs_reset, needs_reset,
				__ATOMIC_RELAXED) == needs_reset)
		return;
	if (!needs_reset)
		return;
	trace_device(trace, "needs reset");
	if (trace->ring && is_time(trace))
		log_own(trace);
}
