/* SPDX-License-Identifier: MIT */
/*
 * The options of the program: one table gives their parser and their help.
 */
#ifndef CONFIG_OPTION_TABLE_H
#define CONFIG_OPTION_TABLE_H

#include <stdbool.h>

#include "config/options.h"

enum {
	OPTION_ROWS_MAX = 32,
	OPTION_SHOWN_MAX = 120, /* bytes of a word of the line in a sentence */
	OPTION_POLL_UNSET = 100001, /* `poll_max_us` is not given */
};

/* What is to be done after an option: go on, or an exit status. */
enum {
	OPTION_GO_ON = -1,
	OPTION_DONE = 0,
	OPTION_FAILED = 1,
	OPTION_WRONG = 2,
};

/* What the program is started as, by its options. */
enum option_form {
	OPTION_GUEST = 1,      /* --domain */
	OPTION_WATCHER = 2,    /* --watch */
	OPTION_FRONT_ENDS = 4, /* vhost-user */
	OPTION_CHECK = 8,      /* --check-config */
	OPTION_SHOW = 16,      /* --show-config */
	OPTION_WORKER = 32,    /* --worker */
	OPTION_EVERYWHERE = 63,
};

struct option_row {
	const char *name;     /* --name */
	const char *synonym;  /* the same in other programs; or NULL */
	char letter;          /* -l; or 0 */
	bool repeats;         /* may be given more than once */
	bool optional;        /* its argument may be left out */
	const char *argument; /* NULL: it takes none */
	/* NULL: it is for the program itself. Lines after the first begin by
	 * themselves. */
	const char *help;
	unsigned int with; /* OPTION_* of the forms that it is of use in */
	const char *why;   /* ... and not in others; or NULL */
	/*
	 * OPTION_GO_ON, or an exit status after it was said why. An argument
	 * that was left out is NULL.
	 */
	int (*take)(struct options *options, const char *argument);
};

extern const struct option_row option_table[];
extern const unsigned int option_rows;

/* Log what is wrong with the line: OPTION_WRONG. */
int option_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ... and what is no fault of the line, so that it may be tried again. */
int option_no_memory(const char *name);

#endif
