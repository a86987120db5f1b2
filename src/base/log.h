/* SPDX-License-Identifier: MIT */
/*
 * Log lines on standard error.
 *
 * One line each, with the priority that journald understands when it listens.
 * Nobody ever waits for who reads them.
 * What a guest can cause goes through LOG_LIMITED, so that it cannot fill the
 * host's log.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	/* Of a trace, which others decide about: never dropped for its level,
	 * but before any other line where standard error is full. */
	LOG_LEVEL_TRACE,
};

/* Lines above `level` are dropped. The default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * From now on lines are written by a thread of its own, which stays. 0 or a
 * negative errno.
 */
int log_detach(void);

/*
 * Wait until all lines are written, a quarter of a second at most: before the
 * program ends. False if some are not.
 */
bool log_flush(void);

void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Many lines at once, for which there would be no room among the others: they
 * are built first, and then written after those that are there by then, while
 * later ones go ahead of them.
 */
struct log_text {
	struct log_text *next;
	char *bytes; /* whole lines */
	size_t begin, used, room;
};

/* An empty one, or NULL. */
struct log_text *log_text_new(void);
void log_text_free(struct log_text *text);

/* As log_line(); false: there is no memory, and nothing was added. */
bool log_text_add(struct log_text *text, enum log_level level,
		  const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Have it written; it is the log's. False: too much waits, it is left out. */
bool log_text_put(struct log_text *text);

/* What a word for so many ends with: "%u queue%s". */
static inline const char *log_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                          \
	do {                                                    \
		if (log_enabled(LOG_LEVEL_DEBUG))               \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

/* At most LOG_BURST lines in LOG_INTERVAL_NS; then how many were left out. */
#define LOG_BURST 10
#define LOG_INTERVAL_NS UINT64_C(10000000000)

struct log_limit {
	uint64_t since_ns;
	unsigned int lines;
	unsigned int dropped;
};

/* Whether one more line may be written; reports what was left out before. */
bool log_limit_allows(struct log_limit *limit);

#define log_limited(limit, level, ...)                \
	do {                                          \
		if (log_limit_allows(limit))          \
			log_line(level, __VA_ARGS__); \
	} while (0)

#endif
