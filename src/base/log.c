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
 *	the writer	takes all that is there, and writes it line by line
 *
 * Failure: where the buffer is full, lines are left out and counted; when there
 * is room again, a line says how many. Before log_detach() lines are written at
 * once.
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
	/* What waits for the writer; some hundreds of lines. */
	BUFFER_BYTES = 64 * 1024,
};

/* How long the end of the program waits for who reads the log. */
#define FLUSH_NS (250 * NS_PER_MS)

/* What waits to be written, and who writes it. */
static struct {
	pthread_mutex_t lock;  /* of all fields but `taken` */
	pthread_cond_t change; /* there is something; all is written */
	bool running;
	bool writing;      /* the writer has `taken` in its hands */
	size_t used;       /* bytes of `waiting` */
	unsigned int lost; /* lines for which there was no room */
	char waiting[BUFFER_BYTES];
	char taken[BUFFER_BYTES]; /* the writer's */
} writer = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_enabled(enum log_level level)
{
	return level <= threshold;
}

/*
 * Whether journald reads standard error: it names the device and inode. Who was
 * started by a service and writes elsewhere has the variable as well.
 */
static bool is_for_journal(void)
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

/* What stands before the text: for journald a number, for people a word. */
static const char *prefix(enum log_level level)
{
	static const char *const for_journal[] = { "<3>", "<4>", "<6>", "<7>" };
	static const char *const for_people[] = {
		"virtio-disk: error: ",
		"virtio-disk: warning: ",
		"virtio-disk: ",
		"virtio-disk: debug: ",
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

	while (write(STDERR_FILENO, line, bytes) < 0)
		if (errno != EAGAIN || !may_wait || poll(&p, 1, -1) < 0)
			return;
}

static void write_lines(const char *text, size_t bytes)
{
	while (bytes) {
		const char *end = memchr(text, '\n', bytes);
		size_t n = (size_t)(end - text) + 1;

		write_out(text, n, true);
		text += n;
		bytes -= n;
	}
}

/* Put a line, after one that says how many were lost before it. */
static bool put(const char *line, size_t bytes)
{
	char lost[LINE_MAX_BYTES];
	size_t n = 0;

	if (writer.lost)
		n = (size_t)snprintf(lost, sizeof(lost),
				     "%s%u lines were "
				     "lost: standard error was full\n",
				     prefix(LOG_LEVEL_WARNING), writer.lost);
	if (n + bytes > BUFFER_BYTES - writer.used)
		return false;
	memcpy(writer.waiting + writer.used, lost, n);
	memcpy(writer.waiting + writer.used + n, line, bytes);
	writer.used += n + bytes;
	writer.lost = 0;
	return true;
}

static void *run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&writer.lock);
	for (;;) {
		size_t bytes;

		/* Those that were lost are told also if none comes after. */
		put("", 0);
		bytes = writer.used;
		if (!bytes) {
			pthread_cond_wait(&writer.change, &writer.lock);
			continue;
		}
		memcpy(writer.taken, writer.waiting, bytes);
		writer.used = 0;
		writer.writing = true;
		pthread_mutex_unlock(&writer.lock);
		write_lines(writer.taken, bytes);
		pthread_mutex_lock(&writer.lock);
		writer.writing = false;
		pthread_cond_broadcast(&writer.change);
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
	if (!writer.running) {
		r = start_writer();
		writer.running = r == 0;
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
	while ((writer.used || writer.writing || writer.lost) && r == 0)
		r = pthread_cond_timedwait(&writer.change, &writer.lock,
					   &until);
	done = r == 0;
	pthread_mutex_unlock(&writer.lock);
	return done;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	bool running;
	va_list args;
	size_t bytes;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	bytes = build_line(line, level, format, args);
	va_end(args);
	pthread_mutex_lock(&writer.lock);
	running = writer.running;
	if (running) {
		if (!put(line, bytes))
			writer.lost++;
		pthread_cond_broadcast(&writer.change);
	}
	pthread_mutex_unlock(&writer.lock);
	if (!running)
		write_out(line, bytes, false);
}

bool log_limit_allows(struct log_limit *limit)
{
	uint64_t now = clock_ns();

	if (limit->since_ns == 0 || now - limit->since_ns > LOG_INTERVAL_NS) {
		if (limit->dropped)
			log_warning("%u similar lines were left out",
				    limit->dropped);
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
