/* SPDX-License-Identifier: MIT */
/*
 * Log lines on standard error; see base/log.h.
 *
 * A line is built in one buffer and written with one call, so that lines of
 * several threads or processes do not mix. A log that cannot be written is no
 * reason to fail, and none to wait: whoever reads it may stand still (a pager,
 * a stopped terminal, a file on a store that hangs). O_NONBLOCK would be a flag
 * of the open file, which others have as well, and poll() promises nothing
 * while others write, or for a file. So a thread of its own writes:
 *
 *	log_line()	puts the line into a buffer of a fixed size
 *	the writer	takes the first that is there, and writes it
 *
 * Long texts wait in memory of their own, behind the lines, so that no other
 * line is left out for them.
 *
 * Failure: where the buffer is full, lines are left out and counted; when there
 * is room again, a line says how many. Those of a trace have half of it, so
 * that one that is faster than its reader costs no other line. Before
 * log_detach() lines are written at once, and whether journald reads them is
 * looked at for each; from then on that is known, for the look is a question to
 * a file system as well.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

enum {
	LINE_MAX_BYTES = 1024,
	LOST_MAX_BYTES = 128, /* the line that says how many were lost */
	/* What waits for the writer; some hundreds of lines. */
	BUFFER_BYTES = 64 * 1024,
	/* ... of which a trace may fill so much; when it goes on after that. */
	TRACE_BYTES = BUFFER_BYTES / 2,
	TRACE_AGAIN_BYTES = BUFFER_BYTES / 16,
	/* Of texts that wait, and by how much one grows. */
	TEXTS_BYTES_MAX = 4 * 1024 * 1024,
	TEXT_STEP = 16 * 1024,
};

/* How long the end of the program waits for who reads the log. */
#define FLUSH_NS (250 * NS_PER_MS)

/* What waits to be written, and who writes it. */
static struct {
	pthread_mutex_t lock;  /* of all below */
	pthread_cond_t change; /* there is something; all is written */
	bool running;          /* atomic; for good */
	bool writing;          /* the writer has a line in its hands */
	bool for_journal;      /* decided once it is running */
	unsigned int lost;     /* lines for which there was no room */
	unsigned int lost_of_trace;
	struct log_text *texts; /* in order */
	size_t texts_bytes;
	size_t begin, end; /* what waits, of `text`: whole lines */
	char text[BUFFER_BYTES];
} writer = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

/* Who has switched a trace on wants to see it. */
bool log_enabled(enum log_level level)
{
	return level <= threshold || level == LOG_LEVEL_TRACE;
}

/*
 * Whether journald reads standard error: it names the device and inode. Who was
 * started by a service and writes elsewhere has the variable as well.
 */
static bool is_journal(void)
{
	const char *journal = getenv("JOURNAL_STREAM");
	char ours[48];
	struct stat st;

	if (!journal || fstat(STDERR_FILENO, &st))
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino);
	return strcmp(journal, ours) == 0;
}

static bool is_running(void)
{
	return __atomic_load_n(&writer.running, __ATOMIC_ACQUIRE);
}

static bool is_for_journal(void)
{
	return is_running() ? writer.for_journal : is_journal();
}

/* What stands before the text: for journald a number, for people a word. */
static const char *prefix(enum log_level level)
{
	static const char *const for_journal[] = { "<3>", "<4>", "<6>", "<7>",
						   "<7>trace: " };
	static const char *const for_people[] = {
		"virtio-disk: error: ", "virtio-disk: warning: ",
		"virtio-disk: ",        "virtio-disk: debug: ",
		"virtio-disk: trace: ",
	};

	return is_for_journal() ? for_journal[level] : for_people[level];
}

__attribute__((format(printf, 3, 0))) static size_t
build_line(char line[LINE_MAX_BYTES], enum log_level level, const char *format,
	   va_list args)
{
	size_t used = (size_t)snprintf(line, LINE_MAX_BYTES, "%s",
				       prefix(level));

	if (vsnprintf(line + used, LINE_MAX_BYTES - used - 1, format, args) < 0)
		return 0;
	used = strnlen(line, LINE_MAX_BYTES - 2);
	/* One line each: what a guest named must not forge another one. */
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	return used;
}

/* ---- the writer ---- */

/*
 * Write a line; a log that is lost is lost. Somebody else may have made the
 * open file non-blocking: who may wait then does so here.
 */
static void write_out(const char *line, size_t bytes, bool may_wait)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	while (bytes) {
		ssize_t n = write(STDERR_FILENO, line, bytes);

		if (n > 0) {
			line += n;
			bytes -= (size_t)n;
		} else if (errno != EINTR && (errno != EAGAIN || !may_wait ||
					      poll(&p, 1, -1) < 0)) {
			return;
		}
	}
}

static bool is_room(size_t bytes)
{
	if (bytes <= BUFFER_BYTES - writer.end)
		return true;
	writer.end -= writer.begin;
	memmove(writer.text, writer.text + writer.begin, writer.end);
	writer.begin = 0;
	return bytes <= BUFFER_BYTES - writer.end;
}

/* What is said of lines that were left out: bytes. */
static size_t say_lost(char *text, unsigned int lines, const char *whose)
{
	if (!lines)
		return 0;
	return (size_t)snprintf(text, LOST_MAX_BYTES,
				"%s%u line%s%s %s lost: standard error was "
				"full\n",
				prefix(LOG_LEVEL_WARNING), lines,
				log_plural(lines), whose,
				lines == 1 ? "was" : "were");
}

/*
 * Put a line, after one that says how many were lost before it; and how many of
 * the trace, if it is the time for that.
 */
static bool put(const char *line, size_t bytes, bool tells_of_trace)
{
	char lost[2 * LOST_MAX_BYTES];
	size_t n = say_lost(lost, writer.lost, "");

	if (tells_of_trace)
		n += say_lost(lost + n, writer.lost_of_trace, " of the trace");
	if (!is_room(n + bytes))
		return false;
	memcpy(writer.text + writer.end, lost, n);
	memcpy(writer.text + writer.end + n, line, bytes);
	writer.end += n + bytes;
	writer.lost = 0;
	if (tells_of_trace)
		writer.lost_of_trace = 0;
	return true;
}

/* Once it is cut off, for a while: lines in a row say more than single ones. */
static void put_of_trace(const char *line, size_t bytes)
{
	const size_t max = writer.lost_of_trace ? TRACE_AGAIN_BYTES :
						  TRACE_BYTES;

	if (writer.end - writer.begin > max || !put(line, bytes, true))
		writer.lost_of_trace++;
}

/* The first line that waits; none is longer. Returns its bytes, or 0. */
static size_t take(char line[LINE_MAX_BYTES])
{
	const char *begin = writer.text + writer.begin;
	size_t bytes = writer.end - writer.begin;

	if (!bytes)
		return 0;
	bytes = (size_t)((const char *)memchr(begin, '\n', bytes) - begin) + 1;
	memcpy(line, begin, bytes);
	writer.begin += bytes;
	/* Few lines at a time touch little of the buffer. */
	if (writer.begin == writer.end)
		writer.begin = writer.end = 0;
	return bytes;
}

/* Of the texts the first line, where no other one waits; the same. */
static size_t take_of_text(char line[LINE_MAX_BYTES])
{
	struct log_text *text = writer.texts;
	size_t bytes;

	if (!text)
		return 0;
	bytes = text->used - text->begin;
	bytes = (size_t)((const char *)memchr(text->bytes + text->begin, '\n',
					      bytes) -
			 (text->bytes + text->begin)) +
		1;
	memcpy(line, text->bytes + text->begin, bytes);
	text->begin += bytes;
	if (text->begin == text->used) {
		writer.texts = text->next;
		writer.texts_bytes -= text->used;
		log_text_free(text);
	}
	return bytes;
}

static void *run(void *arg)
{
	char line[LINE_MAX_BYTES];

	(void)arg;
	pthread_mutex_lock(&writer.lock);
	for (;;) {
		size_t bytes;

		/* Those that were lost are told also if none comes after. */
		put("", 0, writer.begin == writer.end);
		bytes = take(line);
		if (!bytes)
			bytes = take_of_text(line);
		if (!bytes) {
			pthread_cond_broadcast(&writer.change);
			pthread_cond_wait(&writer.change, &writer.lock);
			continue;
		}
		writer.writing = true;
		pthread_mutex_unlock(&writer.lock);
		write_out(line, bytes, true);
		pthread_mutex_lock(&writer.lock);
		writer.writing = false;
	}
	return NULL;
}

static int start_writer(void)
{
	pthread_condattr_t attr;
	pthread_t thread;
	int r;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&writer.change, &attr);
	pthread_condattr_destroy(&attr);
	r = thread_start(&thread, run, NULL);
	if (r == 0)
		pthread_detach(thread);
	return r;
}

int log_detach(void)
{
	int r = 0;

	pthread_mutex_lock(&writer.lock);
	if (!is_running()) {
		writer.for_journal = is_journal();
		r = start_writer();
		__atomic_store_n(&writer.running, r == 0, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&writer.lock);
	return r;
}

bool log_flush(void)
{
	uint64_t until_ns = clock_ns() + FLUSH_NS;
	struct timespec until;
	bool done;
	int r = 0;

	until.tv_sec = (time_t)(until_ns / NS_PER_SECOND);
	until.tv_nsec = (long)(until_ns % NS_PER_SECOND);
	pthread_mutex_lock(&writer.lock);
	while ((writer.end || writer.writing || writer.lost ||
		writer.lost_of_trace || writer.texts) &&
	       r == 0)
		r = pthread_cond_timedwait(&writer.change, &writer.lock,
					   &until);
	done = r == 0;
	pthread_mutex_unlock(&writer.lock);
	return done;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	size_t bytes;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	bytes = build_line(line, level, format, args);
	va_end(args);
	if (!is_running()) {
		write_out(line, bytes, false);
		return;
	}
	pthread_mutex_lock(&writer.lock);
	if (level == LOG_LEVEL_TRACE)
		put_of_trace(line, bytes);
	else if (!put(line, bytes, false))
		writer.lost++;
	pthread_cond_broadcast(&writer.change);
	pthread_mutex_unlock(&writer.lock);
}

/* ---- long texts ---- */

struct log_text *log_text_new(void)
{
	return calloc(1, sizeof(struct log_text));
}

void log_text_free(struct log_text *text)
{
	if (text)
		free(text->bytes);
	free(text);
}

static bool has_room(struct log_text *text)
{
	char *bytes;

	if (text->room - text->used >= LINE_MAX_BYTES)
		return true;
	bytes = realloc(text->bytes, text->room + TEXT_STEP);
	if (!bytes)
		return false;
	text->bytes = bytes;
	text->room += TEXT_STEP;
	return true;
}

bool log_text_add(struct log_text *text, enum log_level level,
		  const char *format, ...)
{
	va_list args;

	if (!has_room(text))
		return false;
	va_start(args, format);
	text->used += build_line(text->bytes + text->used, level, format, args);
	va_end(args);
	return true;
}

/* After those that wait; or where there are too many of them, not at all. */
static bool append(struct log_text *text)
{
	struct log_text **end = &writer.texts;

	if (text->used > TEXTS_BYTES_MAX - writer.texts_bytes)
		return false;
	while (*end)
		end = &(*end)->next;
	*end = text;
	writer.texts_bytes += text->used;
	return true;
}

bool log_text_put(struct log_text *text)
{
	bool put = false;

	if (!text->used || !is_running()) {
		write_out(text->bytes, text->used, false);
		log_text_free(text);
		return true;
	}
	pthread_mutex_lock(&writer.lock);
	put = append(text);
	pthread_cond_broadcast(&writer.change);
	pthread_mutex_unlock(&writer.lock);
	if (!put)
		log_text_free(text);
	return put;
}

bool log_limit_allows(struct log_limit *limit)
{
	uint64_t now = clock_ns();

	if (limit->since_ns == 0 || now - limit->since_ns > LOG_INTERVAL_NS) {
		if (limit->dropped)
			log_warning("%u similar line%s left out",
				    limit->dropped,
				    limit->dropped == 1 ? " was" : "s were");
		limit->since_ns = now;
		limit->lines = 0;
		limit->dropped = 0;
	}
	if (limit->lines == LOG_BURST) {
		limit->dropped++;
		return false;
	}
	limit->lines++;
	return true;
}
