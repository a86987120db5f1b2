/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=fstat,--wrap=fstat64 */
/*
 * Log lines: one each, whatever is in them, cut where they are too long, and
 * limited where a guest can cause them. Nobody waits for who reads them.
 */
#include "lib/captured.h"
#include "lib/model_memory.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { TEXT_MAX = 65536 };

static char text[TEXT_MAX];
static int saved = -1; /* standard error, while a pipe is in its place */

static int looks; /* at standard error */

#define WRAP_FSTAT(name)                           \
	int __real_##name(int fd, struct stat *);  \
	int __wrap_##name(int fd, struct stat *);  \
	int __wrap_##name(int fd, struct stat *st) \
	{                                          \
		looks += fd == STDERR_FILENO;      \
		return __real_##name(fd, st);      \
	}

WRAP_FSTAT(fstat)
WRAP_FSTAT(fstat64)

static const char *release(void)
{
	return release_into(text, sizeof(text));
}

static unsigned int lines_of(const char *s)
{
	unsigned int n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static int setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void test_levels(void **state)
{
	(void)state;
	capture();
	log_error("a %d", 1);
	log_warning("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(release(),
			    "virtio-disk: error: a 1\n"
			    "virtio-disk: warning: b\nvirtio-disk: c\n");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	capture();
	log_debug("d");
	assert_string_equal(release(), "virtio-disk: debug: d\n");
	log_set_level(LOG_LEVEL_ERROR);
	capture();
	log_warning("b");
	assert_string_equal(release(), "");
}

/*
 * What systemd sets where standard error is what it says; other than that, with
 * something before, between and behind the two numbers.
 */
static void set_journal(const char *before, const char *between,
			const char *behind)
{
	char value[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(value, sizeof(value), "%s%ju%s%ju%s", before,
		 (uintmax_t)st.st_dev, between, (uintmax_t)st.st_ino, behind);
	setenv("JOURNAL_STREAM", value, 1);
}

static void test_for_the_journal(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_DEBUG);
	capture();
	set_journal("", ":", "");
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(release(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}

/* A service's child whose log goes to a file or a terminal instead. */
static void test_for_another_journal(void **state)
{
	static const char *const around[][3] = {
		{ "1", ":", "" }, { "", ":1", "" }, { "", ":", "1" },
		{ ":", ":", "" }, { "", ":", ":" }, { "", ":", " x" },
		{ "", "", "" },   { "", "x", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		capture();
		set_journal(around[i][0], around[i][1], around[i][2]);
		log_info("c");
		assert_string_equal(release(), "virtio-disk: c\n");
	}
	capture();
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_info("c");
	setenv("JOURNAL_STREAM", "", 1);
	log_info("d");
	assert_string_equal(release(), "virtio-disk: c\nvirtio-disk: d\n");
}

/* What a guest names must not forge a line, nor steer a terminal. */
static void test_control_characters(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		const char *s;
		char name[8];

		snprintf(name, sizeof(name), "x%cy", c);
		capture();
		log_info("%s", name);
		s = release();
		assert_int_equal(lines_of(s), 1);
		assert_int_equal(strlen(s), strlen("virtio-disk: x.y\n"));
		if (c < ' ' || c == 0x7f)
			assert_string_equal(s, "virtio-disk: x?y\n");
		else
			assert_int_equal((unsigned char)s[14], c);
	}
}

static void test_long_lines(void **state)
{
	static char name[5000];

	(void)state;
	for (size_t n = 990; n <= 4999; n += n < 1050 ? 1 : 500) {
		const char *s;

		memset(name, 'x', n);
		name[n] = '\0';
		capture();
		log_info("%s", name);
		log_info("next");
		s = release();
		assert_int_equal(lines_of(s), 2);
		assert_non_null(strstr(s, "x\nvirtio-disk: next\n"));
	}
}

static void test_nobody_listens(void **state)
{
	int keep = dup(STDERR_FILENO);

	(void)state;
	close(STDERR_FILENO);
	log_error("lost");
	assert_int_equal(dup2(keep, STDERR_FILENO), STDERR_FILENO);
	close(keep);
}

static void test_limit(void **state)
{
	struct log_limit limit = { 0 };
	const char *s;

	(void)state;
	capture();
	for (int i = 0; i < 1000; i++)
		log_limited(&limit, LOG_LEVEL_ERROR, "again %d", i);
	s = release();
	assert_int_equal(lines_of(s), LOG_BURST);
	assert_non_null(strstr(s, "again 9\n"));
	assert_int_equal(limit.dropped, 1000 - LOG_BURST);
	/* When the time is over it says how many were left out, once. */
	limit.since_ns -= LOG_INTERVAL_NS + 1;
	capture();
	for (int i = 0; i < 1000; i++)
		log_limited(&limit, LOG_LEVEL_ERROR, "new %d", i);
	s = release();
	assert_int_equal(lines_of(s), LOG_BURST + 1);
	assert_non_null(strstr(s, "warning: 990 similar lines"));
	assert_non_null(strstr(s, "new 0\n"));
	/* One is one. */
	limit = (struct log_limit){ .since_ns = 1, .dropped = 1 };
	capture();
	log_limited(&limit, LOG_LEVEL_ERROR, "line");
	assert_non_null(strstr(release(), "1 similar line was left out\n"));
	/* Few lines are never held back. */
	limit = (struct log_limit){ 0 };
	capture();
	for (int i = 0; i < 5 * LOG_BURST; i++) {
		if (i % LOG_BURST == 0 && i)
			limit.since_ns -= LOG_INTERVAL_NS + 1;
		log_limited(&limit, LOG_LEVEL_ERROR, "line");
	}
	assert_int_equal(lines_of(release()), 5 * LOG_BURST);
}

/* ---- a reader that stands still ------------------------------------------ */

/* Thousands of lines find room, wherever the writer is. */
enum { FLOOD = 20000 };

static int pipe_fds[2];

/* Standard error is a pipe that is full already. */
static void fill_pipe(void)
{
	static char junk[PIPE_BUF];

	assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
	memset(junk, '.', sizeof(junk));
	junk[sizeof(junk) - 1] = '\n';
	while (write(pipe_fds[1], junk, sizeof(junk)) > 0)
		continue;
	saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
}

/* The next line of the pipe; false where none comes for long. */
static bool next_line(FILE *in)
{
	struct pollfd p = { .fd = fileno(in), .events = POLLIN };

	/* Unbuffered, so that poll() knows. */
	return poll(&p, 1, 10000) == 1 && fgets(text, sizeof(text), in);
}

/* Count the lines "n ..." in what comes until the log is written. */
static unsigned int drain_pipe(unsigned int *lost)
{
	FILE *in = fdopen(pipe_fds[0], "r");
	unsigned int lines = 0, n;

	assert_non_null(in);
	setbuf(in, NULL);
	fcntl(pipe_fds[0], F_SETFL, fcntl(pipe_fds[0], F_GETFL) & ~O_NONBLOCK);
	*lost = 0;
	while (lines + *lost < FLOOD && next_line(in)) {
		lines += sscanf(text, "virtio-disk: n %u\n", &n) == 1;
		if (sscanf(text, "virtio-disk: warning: %u line", &n) == 1)
			*lost += n;
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fds[1]);
	fclose(in);
	return lines;
}

/*
 * Whoever logs goes on, and each line is written or counted. A writer that
 * waits for the reader would stop this program here.
 */
static void reader_stands_still(bool nonblocking)
{
	unsigned int lines, lost;

	fill_pipe();
	if (!nonblocking)
		fcntl(pipe_fds[1], F_SETFL,
		      fcntl(pipe_fds[1], F_GETFL) & ~O_NONBLOCK);
	assert_int_equal(log_detach(), 0);
	for (int i = 0; i < FLOOD; i++)
		log_info("n %d", i);
	assert_false(log_flush());
	lines = drain_pipe(&lost);
	assert_true(log_flush());
	assert_int_equal(lines + lost, FLOOD);
	assert_true(lines > 500 && lost > 500);
}

static void test_reader_stands_still(void **state)
{
	(void)state;
	reader_stands_still(false);
}

/* Another process has set O_NONBLOCK, which is the open file's. */
static void test_reader_of_a_nonblocking_pipe(void **state)
{
	(void)state;
	reader_stands_still(true);
}

/* What comes of each kind until the log is written. */
struct seen {
	unsigned int traced, lost_of_trace, told, said, lost;
};

static void look_at_line(struct seen *seen)
{
	unsigned int n;

	seen->traced += sscanf(text, "virtio-disk: trace: n %u\n", &n) == 1;
	seen->said += sscanf(text, "virtio-disk: n %u\n", &n) == 1;
	if (sscanf(text, "virtio-disk: warning: %u line", &n) != 1)
		return;
	if (strstr(text, " of the trace ")) {
		seen->lost_of_trace += n;
		seen->told++;
	} else {
		seen->lost += n;
	}
}

/*
 * A trace that is faster than its reader is left out, and counted; other lines
 * are not left out for it.
 */
static void test_trace_costs_no_other_line(void **state)
{
	struct seen seen = { 0 };
	FILE *in;

	(void)state;
	fill_pipe();
	assert_int_equal(log_detach(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 0; i < FLOOD; i++)
		log_line(LOG_LEVEL_TRACE, "n %d", i);
	log_set_level(LOG_LEVEL_INFO);
	for (int i = 0; i < 100; i++)
		log_info("n %d", i);
	in = fdopen(pipe_fds[0], "r");
	assert_non_null(in);
	setbuf(in, NULL);
	while ((seen.traced + seen.lost_of_trace < FLOOD || seen.said < 100) &&
	       next_line(in))
		look_at_line(&seen);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fds[1]);
	fclose(in);
	assert_int_equal(seen.traced + seen.lost_of_trace, FLOOD);
	assert_int_equal(seen.said, 100);
	assert_int_equal(seen.lost, 0);
	assert_true(seen.traced > 500 && seen.lost_of_trace > 500);
	/* Not one for each line that there was room for. */
	assert_true(seen.told < 10);
}

enum { TEXT_LINES = 3000 };

/* Many lines at once, more than there is room for among the others. */
static void test_long_text(void **state)
{
	struct log_text *lines = log_text_new();
	char line[80];
	const char *s;

	(void)state;
	assert_int_equal(log_detach(), 0);
	assert_non_null(lines);
	for (int i = 0; i < TEXT_LINES; i++)
		assert_true(log_text_add(lines, LOG_LEVEL_INFO, "l %d\1", i));
	assert_true(lines->used > 1000 && lines->used < TEXT_MAX);
	capture();
	assert_true(log_text_put(lines));
	assert_true(log_flush());
	s = release();
	for (int i = 0; i < TEXT_LINES; i++) {
		size_t n = (size_t)snprintf(line, sizeof(line),
					    "virtio-disk: l %d?\n", i);

		assert_int_equal(strncmp(s, line, n), 0);
		s += n;
	}
	assert_string_equal(s, "");
}

/* Where nobody reads, not all texts are kept. */
static void test_texts_are_bounded(void **state)
{
	unsigned int put = 0;
	struct pollfd p;
	char junk[4096];
	bool room = true;

	(void)state;
	fill_pipe();
	assert_int_equal(log_detach(), 0);
	while (room && put < 1000) {
		struct log_text *lines = log_text_new();

		assert_non_null(lines);
		for (int i = 0; i < TEXT_LINES; i++)
			assert_true(
				log_text_add(lines, LOG_LEVEL_INFO, "l %d", i));
		room = log_text_put(lines);
		put += room;
	}
	assert_true(put > 10 && put < 1000);
	fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
	p = (struct pollfd){ .fd = pipe_fds[0], .events = POLLIN };
	do {
		while (poll(&p, 1, 100) == 1 &&
		       read(pipe_fds[0], junk, sizeof(junk)) > 0)
			continue;
	} while (!log_flush());
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* Nothing is out of order or missing where the reader keeps up. */
static void test_lines_of_the_writer(void **state)
{
	const char *s;

	(void)state;
	assert_int_equal(log_detach(), 0);
	assert_int_equal(log_detach(), 0); /* once */
	capture();
	for (int i = 0; i < 100; i++)
		log_info("line %d", i);
	assert_true(log_flush());
	s = release();
	for (int i = 0; i < 100; i++) {
		char line[40];
		size_t n = (size_t)snprintf(line, sizeof(line),
					    "virtio-disk: line %d\n", i);

		assert_int_equal(strncmp(s, line, n), 0);
		s += n;
	}
	assert_string_equal(s, "");
}

/* Nothing is asked of a file system for a line any more. */
static void test_journal_is_known(void **state)
{
	(void)state;
	assert_int_equal(log_detach(), 0);
	capture();
	looks = 0;
	set_journal("", ":", "");
	log_info("line");
	assert_true(log_flush());
	assert_int_equal(looks, 1); /* by set_journal() */
	assert_string_equal(release(), "virtio-disk: line\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_levels, setup),
		cmocka_unit_test_setup(test_for_the_journal, setup),
		cmocka_unit_test_setup(test_for_another_journal, setup),
		cmocka_unit_test_setup(test_control_characters, setup),
		cmocka_unit_test_setup(test_long_lines, setup),
		cmocka_unit_test_setup(test_nobody_listens, setup),
		cmocka_unit_test_setup(test_limit, setup),
		/* Lines are written by a thread from here on. */
		cmocka_unit_test_setup(test_reader_stands_still, setup),
		cmocka_unit_test_setup(test_reader_of_a_nonblocking_pipe,
				       setup),
		cmocka_unit_test_setup(test_trace_costs_no_other_line, setup),
		cmocka_unit_test_setup(test_long_text, setup),
		cmocka_unit_test_setup(test_texts_are_bounded, setup),
		cmocka_unit_test_setup(test_lines_of_the_writer, setup),
		cmocka_unit_test_setup(test_journal_is_known, setup),
	};

	return cmocka_run_group_tests_name("base_log", tests, NULL, NULL);
}
