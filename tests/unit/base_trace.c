/* SPDX-License-Identifier: MIT */
/*
 * What is noted of a disk: the last events are there, in order and whole,
 * whoever writes meanwhile, has died in the middle of it, or means harm; and
 * what is logged of them.
 */
#include "lib/captured.h"
#include "lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "base/trace_area.h"

enum { TEXT_MAX = 1 << 20, HOSTILE_ROUNDS = 200 };

static struct trace_ring ring, copy[2];
static struct trace_event event[TRACE_EVENTS];
static char text[TEXT_MAX];

static int setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	memset(&ring, 0, sizeof(ring));
	return 0;
}

static const char *release(void)
{
	return release_into(text, sizeof(text));
}

static unsigned int lines_with(const char *log, const char *what)
{
	unsigned int n = 0;

	for (log = strstr(log, what); log; log = strstr(log + 1, what))
		n++;
	return n;
}

static unsigned int read_ring(unsigned int *torn)
{
	trace_ring_copy(&copy[0], &ring);
	trace_ring_copy(&copy[1], &ring);
	return trace_ring_read(&copy[0], &copy[1], event, torn);
}

static void put(uint64_t value)
{
	const struct trace_event e = {
		.time_ns = value,
		.value = value,
		.length = value + 1,
		.took_ns = value + 2,
		.kind = TRACE_END,
		.status = 2,
		.queue = 3,
		.id = 4,
		.name = "a name of 23 characters",
	};

	trace_ring_put(&ring, &e);
}

/* All that is in an event, in order, the oldest ones gone. */
static void test_last_events(void **state)
{
	unsigned int torn;

	(void)state;
	assert_int_equal(read_ring(&torn), 0);
	for (uint64_t i = 1; i <= 3 * TRACE_EVENTS + 5; i++) {
		unsigned int n;

		put(i);
		if (i % 500 > 2 && i % TRACE_EVENTS > 2)
			continue;
		n = read_ring(&torn);
		assert_int_equal(torn, 0);
		assert_int_equal(n, i < TRACE_EVENTS ? i : TRACE_EVENTS);
		for (unsigned int k = 0; k < n; k++) {
			const struct trace_event *e = &event[k];

			assert_int_equal(e->value, i - n + 1 + k);
			assert_int_equal(e->time_ns, e->value);
			assert_int_equal(e->length, e->value + 1);
			assert_int_equal(e->took_ns, e->value + 2);
			assert_int_equal(e->kind, TRACE_END);
			assert_int_equal(e->status, 2);
			assert_int_equal(e->queue, 3);
			assert_int_equal(e->id, 4);
			assert_string_equal(e->name, "a name of 23 characters");
		}
	}
}

/* Who has died in the middle of an event, or is there just now. */
static void test_busy_record(void **state)
{
	unsigned int torn;

	(void)state;
	for (uint64_t i = 1; i <= 10; i++)
		put(i);
	ring.record[5].number = 1;
	assert_int_equal(read_ring(&torn), 9);
	assert_int_equal(torn, 1);
	assert_int_equal(event[4].value, 6);
	/* The next event of this place is left out, and nobody waits. */
	for (uint64_t i = 11; i <= TRACE_EVENTS + 10; i++)
		put(i);
	assert_int_equal(read_ring(&torn), TRACE_EVENTS - 1);
	assert_int_equal(torn, 1);
}

/* It changes between the two copies. */
static void test_torn_record(void **state)
{
	unsigned int torn;

	(void)state;
	for (uint64_t i = 1; i <= 10; i++)
		put(i);
	trace_ring_copy(&copy[0], &ring);
	ring.record[3].word[7]++;
	ring.record[4].number += 2 * TRACE_EVENTS;
	trace_ring_copy(&copy[1], &ring);
	assert_int_equal(trace_ring_read(&copy[0], &copy[1], event, &torn), 8);
	assert_int_equal(torn, 2);
	assert_int_equal(event[2].value, 5);
}

/* One that a slow writer brings late is not put over a newer one. */
static void test_late_writer(void **state)
{
	unsigned int torn;

	(void)state;
	for (uint64_t i = 1; i <= 2 * TRACE_EVENTS; i++)
		put(i);
	ring.next = 4;
	put(7);
	assert_int_equal(read_ring(&torn), TRACE_EVENTS);
	assert_int_equal(event[4].value, TRACE_EVENTS + 5);
}

static void check_printable(const char *name, size_t size)
{
	assert_true(strnlen(name, size) < size);
	for (; *name; name++)
		assert_in_range(*name, ' ', '~');
}

static void fill_hostile(unsigned int round)
{
	uint8_t *bytes = (uint8_t *)&ring;

	if (round % 2)
		for (size_t i = 0; i < sizeof(ring); i++)
			bytes[i] = (uint8_t)rand();
	else
		memset(bytes, (int)(round * 3), sizeof(ring));
	for (unsigned int i = 0; i < TRACE_EVENTS; i++) {
		struct trace_record *r = &ring.record[i];

		/* In its place, somewhere: most are believed so far. */
		if (round % 4 == 3)
			r->number = ((uint64_t)rand() * TRACE_EVENTS + i) << 1;
		if (round % 8 == 7)
			r->number = (UINT64_MAX / 2 - TRACE_EVENTS + 1 + i)
				    << 1;
		if (round % 3 == 0)
			r->word[4] = r->word[4] / 256 * 256 +
				     i % (TRACE_KINDS + 1);
	}
}

/* Whatever is in the memory, no harm is in what is read of it. */
static void test_hostile_memory(void **state)
{
	char name[TRACE_DISK_MAX], line[TRACE_TEXT_MAX];
	unsigned int torn, read = 0;

	(void)state;
	srand(1);
	for (unsigned int i = 0; i < HOSTILE_ROUNDS; i++) {
		unsigned int n;

		fill_hostile(i);
		n = read_ring(&torn);
		read += n;
		assert_true(n <= TRACE_EVENTS && torn <= TRACE_EVENTS);
		trace_ring_disk(name, &copy[0]);
		check_printable(name, sizeof(name));
		for (unsigned int k = 0; k < n; k++) {
			assert_in_range(event[k].kind, 1, TRACE_KINDS - 1);
			check_printable(event[k].name, TRACE_NAME_MAX);
			trace_text(line, &event[k]);
			check_printable(line, sizeof(line));
		}
	}
	assert_true(read > HOSTILE_ROUNDS);
	capture();
	trace_log(&copy[0], &copy[1], "a test asks for it", TRACE_EVENTS);
	assert_true(strlen(release()) < TRACE_EVENTS * 256);
}

/* ---- several threads ---- */

enum { WRITERS = 4, WRITTEN = 20000 };

static void *write_many(void *arg)
{
	for (uint64_t i = 0; i < WRITTEN; i++)
		put((uint64_t)(uintptr_t)arg << 32 | i);
	return NULL;
}

/* None of what is read is of two events. */
static void test_threads(void **state)
{
	pthread_t thread[WRITERS];
	unsigned int torn, n, seen = 0;

	(void)state;
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, write_many,
						(void *)i),
				 0);
	do {
		n = read_ring(&torn);
		seen += n;
		for (unsigned int k = 0; k < n; k++) {
			assert_int_equal(event[k].length, event[k].value + 1);
			assert_int_equal(event[k].took_ns, event[k].value + 2);
			assert_int_equal(event[k].time_ns, event[k].value);
		}
	} while (__atomic_load_n(&ring.next, __ATOMIC_RELAXED) <
		 WRITERS * WRITTEN);
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	assert_true(seen);
	n = read_ring(&torn);
	assert_int_equal(torn, 0);
	assert_true(n > TRACE_EVENTS / 2);
}

/* ---- as text ---- */

static const struct {
	struct trace_event event;
	const char *text;
} texts[] = {
	{ { .kind = TRACE_READ, .name = "STATUS", .value = 15 },
	  "register read STATUS=0xf" },
	{ { .kind = TRACE_WRITE, .name = "QUEUE_NOTIFY" },
	  "register write QUEUE_NOTIFY=0x0" },
	{ { .kind = TRACE_READ, .name = "CONFIG", .id = 0x14, .value = 512 },
	  "register read CONFIG+0x14=0x200" },
	{ { .kind = TRACE_WRITE, .id = 0x18, .value = UINT64_MAX },
	  "register write +0x18=0xffffffffffffffff" },
	{ { .kind = TRACE_BEGIN,
	    .name = "read",
	    .queue = 1,
	    .id = 7,
	    .value = 2048,
	    .length = 4096 },
	  "request begin queue=1 id=7 type=read sector=2048 length=4096" },
	{ { .kind = TRACE_END,
	    .name = "write",
	    .queue = 1,
	    .id = 7,
	    .value = 2048,
	    .length = 4096,
	    .status = 1,
	    .took_ns = 123999 },
	  "request end queue=1 id=7 type=write sector=2048 length=4096 "
	  "status=IOERR time=123us" },
	{ { .kind = TRACE_END, .name = "flush", .status = TRACE_STATUS_NONE },
	  "request end queue=0 id=0 type=flush sector=0 length=0 status=left "
	  "time=0us" },
	{ { .kind = TRACE_END, .name = "0x1d", .status = 2 },
	  "request end queue=0 id=0 type=0x1d sector=0 length=0 "
	  "status=UNSUPP time=0us" },
	{ { .kind = TRACE_ERROR,
	    .name = "read",
	    .value = 8,
	    .length = 512,
	    .took_ns = 5 },
	  "request error queue=0 id=0 type=read sector=8 length=512 errno=5" },
	{ { .kind = TRACE_NOTIFY, .queue = 3 }, "notify queue=3" },
	{ { .kind = TRACE_CONFIG }, "notify config" },
	{ { .kind = TRACE_KICK, .queue = 2 }, "kick queue=2" },
	{ { .kind = TRACE_MESSAGE, .name = "SET_VRING_NUM", .length = 8 },
	  "message SET_VRING_NUM bytes=8" },
	{ { .kind = TRACE_DEVICE, .name = "served" }, "device served" },
};

static void test_texts(void **state)
{
	char line[TRACE_TEXT_MAX];
	unsigned int kinds = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct trace_event e = texts[i].event;

		e.time_ns = UINT64_C(12000345678);
		trace_text(line, &e);
		assert_int_equal(strncmp(line, "12.000345 ", 10), 0);
		assert_string_equal(line + 10, texts[i].text);
		kinds |= 1u << e.kind;
	}
	assert_int_equal(kinds, (1u << TRACE_KINDS) - 2);
}

/* The longest there can be is not cut. */
static void test_longest_text(void **state)
{
	struct trace_event e = {
		.time_ns = UINT64_MAX,
		.kind = TRACE_END,
		.status = 9,
		.queue = UINT16_MAX,
		.id = UINT16_MAX,
		.value = UINT64_MAX,
		.length = UINT64_MAX,
		.took_ns = UINT64_MAX,
		.name = "a name of 23 characters",
	};
	char line[TRACE_TEXT_MAX];

	(void)state;
	trace_text(line, &e);
	assert_string_equal(line + strlen(line) - 2, "us");
	assert_non_null(strstr(line, " status=? "));
	e.kind = TRACE_ERROR;
	trace_text(line, &e);
	assert_non_null(strstr(line, " errno=18446744073709551615"));
}

/* ---- of a disk ---- */

/* Each event is a line as well while it is on. */
static void test_lines(void **state)
{
	struct trace trace = { .disk = "web/xvda" };
	unsigned int torn;

	(void)state;
	capture();
	trace_device(&trace, "nobody sees it");
	trace.ring = &ring;
	trace_device(&trace, "only the ring");
	trace.on = true;
	trace_access(&trace, TRACE_WRITE, "STATUS", 0, 3);
	trace.ring = NULL;
	trace_notified(&trace, TRACE_NOTIFY, 1);
	trace_message(NULL, "none", 0);
	release();
	assert_null(strstr(text, "nobody"));
	assert_null(strstr(text, "only"));
	assert_int_equal(strncmp(text, "virtio-disk: trace: web/xvda: ", 30),
			 0);
	assert_non_null(strstr(text, " register write STATUS=0x3\n"));
	assert_non_null(strstr(text, " notify queue=1\n"));
	assert_int_equal(lines_with(text, "\n"), 2);
	assert_int_equal(read_ring(&torn), 2);
	assert_string_equal(event[0].name, "only the ring");
}

/* A device that needs a reset is told of once, and in full once in a while. */
static void test_needs_reset(void **state)
{
	struct trace trace = { .disk = "web/xvda", .ring = &ring };
	unsigned int torn;

	(void)state;
	strcpy(ring.disk, "web/xvda");
	capture();
	trace_access(&trace, TRACE_WRITE, "QUEUE_READY", 0, 1);
	for (int i = 0; i < 5; i++) {
		trace_look_reset(&trace, true);
		trace_look_reset(&trace, true);
		trace_look_reset(&trace, false);
	}
	release();
	assert_int_equal(read_ring(&torn), 6);
	assert_int_equal(lines_with(text, "the last 2 events, as the device "
					  "needs a reset"),
			 1);
	assert_int_equal(lines_with(text, " register write QUEUE_READY=0x1"),
			 1);
	assert_int_equal(lines_with(text, " device needs reset"), 1);
	assert_int_equal(lines_with(text, "\n"), 4);
}

/* The guest has caused it: of what may be much the end is told. */
static void test_needs_reset_after_much(void **state)
{
	struct trace trace = { .disk = "web/xvda", .ring = &ring };

	(void)state;
	strcpy(ring.disk, "web/xvda");
	capture();
	for (unsigned int i = 0; i < 2 * TRACE_EVENTS; i++)
		trace_access(&trace, TRACE_WRITE, "QUEUE_SEL", 0, i);
	trace_look_reset(&trace, true);
	release();
	assert_int_equal(lines_with(text, "the last 32 events, as the device "
					  "needs a reset"),
			 1);
	assert_int_equal(lines_with(text, " register write QUEUE_SEL=0x7ff"),
			 1);
	assert_int_equal(lines_with(text, " device needs reset"), 1);
	assert_int_equal(lines_with(text, "\n"), 34);
}

/* ---- the memory of a worker ---- */

/* Its size is what it was made with, whatever the worker does. */
static void test_area_is_sealed(void **state)
{
	int fd = trace_area_make(16);
	struct stat file;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 30), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fstat(fd, &file), 0);
	assert_int_equal(file.st_size, 16 * TRACE_RING_BYTES);
	/* None of it is there. */
	assert_int_equal(file.st_blocks, 0);
	close(fd);
}

static struct trace_ring *must_map(int fd, unsigned int i, const char *disk)
{
	struct trace_ring *r = trace_area_map(fd, i, disk);

	assert_non_null(r);
	return r;
}

/* A process that dies has left what it noted, to whoever has the memory. */
static void test_dead_writer(void **state)
{
	int fd = trace_area_make(3), status;
	pid_t pid = fork();

	(void)state;
	assert_true(fd >= 0 && pid >= 0);
	if (pid == 0) {
		struct trace one = { .disk = "web/xvda" };
		struct trace other = { .disk = "web/xvdb" };

		one.ring = must_map(fd, 0, one.disk);
		other.ring = must_map(fd, 2, other.disk);
		for (unsigned int i = 0; i < 2000; i++)
			trace_access(&one, TRACE_WRITE, "QUEUE_SEL", 0, i);
		trace_device(&other, "served");
		other.ring->record[2].number = 1;
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	capture();
	trace_area_log(fd, 3, "its worker is dead");
	release();
	close(fd);
	assert_int_equal(lines_with(text, "web/xvda: the last 1024 events, as "
					  "its worker is dead\n"),
			 1);
	assert_int_equal(lines_with(text, " register write QUEUE_SEL="), 1024);
	assert_int_equal(lines_with(text, "QUEUE_SEL=0x3cf\n"), 0);
	assert_int_equal(lines_with(text, "QUEUE_SEL=0x3d0\n"), 1);
	assert_int_equal(lines_with(text, "QUEUE_SEL=0x7cf\n"), 1);
	assert_int_equal(lines_with(text, "web/xvdb: the last 1 event, as its "
					  "worker is dead; others could not be "
					  "read\n"),
			 1);
	assert_int_equal(lines_with(text, "web/xvdb: event 0"), 0);
	assert_int_equal(lines_with(text, " device served\n"), 1);
	assert_int_equal(lines_with(text, "end of the events"), 2);
}

/* The same disk goes on with its ring, another one begins anew. */
static void test_next_disk(void **state)
{
	int fd = trace_area_make(1);
	struct trace_ring *r = must_map(fd, 0, "web/xvda");
	const struct trace_event e = { .kind = TRACE_DEVICE };

	(void)state;
	trace_ring_put(r, &e);
	trace_area_unmap(r);
	r = must_map(fd, 0, "web/xvda");
	assert_int_equal(r->next, 1);
	trace_area_unmap(r);
	r = must_map(fd, 0, "web/xvdb");
	assert_int_equal(r->next, 0);
	assert_int_equal(r->record[1].number, 0);
	trace_area_unmap(r);
	trace_area_unmap(NULL);
	close(fd);
	assert_null(trace_area_map(-1, 0, "web/xvda"));
	trace_area_log(-1, 1, "there is none");
}

/* What a worker that was taken over has put there. */
static void test_hostile_area(void **state)
{
	int fd = trace_area_make(2);

	(void)state;
	srand(2);
	for (unsigned int i = 0; i < 20; i++) {
		fill_hostile(i);
		assert_int_equal(pwrite(fd, &ring, sizeof(ring),
					TRACE_RING_BYTES),
				 sizeof(ring));
		capture();
		trace_area_log(fd, 2, "a test asks for it");
		release();
		assert_true(strlen(text) < TRACE_EVENTS * 256);
		for (const char *c = text; *c; c++)
			assert_true((*c >= ' ' && *c <= '~') || *c == '\n');
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_last_events, setup),
		cmocka_unit_test_setup(test_busy_record, setup),
		cmocka_unit_test_setup(test_torn_record, setup),
		cmocka_unit_test_setup(test_late_writer, setup),
		cmocka_unit_test_setup(test_hostile_memory, setup),
		cmocka_unit_test_setup(test_threads, setup),
		cmocka_unit_test_setup(test_texts, setup),
		cmocka_unit_test_setup(test_longest_text, setup),
		cmocka_unit_test_setup(test_lines, setup),
		cmocka_unit_test_setup(test_needs_reset, setup),
		cmocka_unit_test_setup(test_needs_reset_after_much, setup),
		cmocka_unit_test_setup(test_area_is_sealed, setup),
		cmocka_unit_test_setup(test_dead_writer, setup),
		cmocka_unit_test_setup(test_next_disk, setup),
		cmocka_unit_test_setup(test_hostile_area, setup),
	};

	return cmocka_run_group_tests_name("base_trace", tests, NULL, NULL);
}
