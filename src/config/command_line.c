/* SPDX-License-Identifier: MIT */
/*
 * The command line; see config/command_line.h.
 *
 * An option is a row of one table (config/option_table.h). getopt_long() only
 * cuts the words; what is wrong is said here, in one line of the log that names
 * the option, and is status 2.
 *
 * Failures: an option that is unknown, lacks its argument or has one that it
 * does not take; one that is given twice, of which one would be forgotten; one
 * that its row says to be of no use beside the rest; and what does not go
 * together.
 */
#include "config/command_line.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/listen_fds.h"
#include "base/standard_fds.h"
#include "config/check_config.h"
#include "config/layers.h"
#include "config/option_table.h"
#include "config/values.h"

enum {
	/*
	 * Longest polling by default. A Xen guest's every register access that
	 * we sleep through costs a wake-up while its vCPU stands still.
	 */
	POLL_MAX_US_XEN = 1000,
	POLL_MAX_US_VHOST = 100,
};

/* Of what outlives the process; on tmpfs, and the unit makes it as well. */
static const char default_state_dir[] = "/run/virtio-disk";

/* ---- what goes together ---- */

/* The one disk of vhost-user: nothing else will be said of it. */
static int settle_disk(struct options *options)
{
	const struct disk_options *given = &options->disk[0];
	char error[BLOCK_ERROR_MAX];
	struct disk_options whole;

	if (layers_settle(&whole, &given, 1, DISK_FOR_VHOST, error))
		return option_wrong("--disk: %s", error);
	keys_finish(&options->disk[0]);
	options->disk[0] = whole;
	return OPTION_GO_ON;
}

static int check_user(const struct options *options)
{
	if (options->user && (options->foreground || options->no_sandbox))
		return option_wrong(
			"--user is of no use with --%s: no process gives "
			"its user up",
			options->foreground ? "foreground" : "no-sandbox");
	return OPTION_GO_ON;
}

static int check_vhost(struct options *options)
{
	int inherited = options->vhost_fd >= 0 ? options->vhost_fd :
						 LISTEN_FDS_START;
	int r;

	if (options->vhost_socket && options->vhost_fd >= 0)
		return option_wrong("--vhost-user and --fd exclude each other");
	if (!options->vhost_socket && standard_fds_log_is(inherited))
		return option_wrong(
			"the socket is standard error as well: the log "
			"would go to the front end; send it elsewhere");
	r = check_user(options);
	if (r != OPTION_GO_ON)
		return r;
	if (options->ndisks != 1)
		return option_wrong(
			"vhost-user serves one --disk, and %u are given",
			options->ndisks);
	return settle_disk(options);
}

/* What a --disk of a guest says; the rest is in xenstore. */
static int check_disk_of_domain(const struct options *options,
				const struct disk_options *disk)
{
	char error[BLOCK_ERROR_MAX];

	if (!disk->id)
		return option_wrong(
			"--disk needs id=, the disk that it is about");
	for (const struct disk_options *d = options->disk; d < disk; d++)
		if (!strcmp(d->id, disk->id))
			return option_wrong(
				"two --disk are about id=%s: give its "
				"keys in one",
				disk->id);
	return layers_check_top(disk, DISK_FOR_XEN, error) ?
		       option_wrong("--disk: %s", error) :
		       OPTION_GO_ON;
}

static bool is_number(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

/* Now, for what is there at the start holds, and before rights are given up. */
static int read_files(struct options *options)
{
	/* The name of a guest that is named by its id is known later; of all
	 * guests that a watcher sees nothing is read but what is for all. */
	bool later = !options->domain || is_number(options->domain);
	int r = config_files_read(&options->files, options->config,
				  later ? NULL : options->domain);

	if (r == 0)
		return OPTION_GO_ON;
	return r == -EINVAL ? OPTION_WRONG : OPTION_FAILED;
}

static int check_domain(struct options *options)
{
	int r = OPTION_GO_ON;

	if (!options->domain && !options->watch)
		return option_wrong(
			"--domain, --watch or --vhost-user is needed");
	r = check_user(options);
	if (r == OPTION_GO_ON && !options->state_dir &&
	    value_text(&options->state_dir, default_state_dir, 1, PATH_MAX))
		return option_no_memory("state-dir");
	for (unsigned int i = 0; r == OPTION_GO_ON && i < options->ndisks; i++)
		r = check_disk_of_domain(options, &options->disk[i]);
	return r == OPTION_GO_ON ? read_files(options) : r;
}

/* What a worker serves is said over its link. */
static enum option_form form_of(const struct options *options)
{
	if (options->worker)
		return OPTION_WORKER;
	if (options->task == OPTIONS_CHECK_CONFIG)
		return OPTION_CHECK;
	if (options->task == OPTIONS_SHOW_CONFIG)
		return OPTION_SHOW;
	if (options->vhost)
		return OPTION_FRONT_ENDS;
	return options->watch ? OPTION_WATCHER : OPTION_GUEST;
}

static const char *form_name(enum option_form form)
{
	switch (form) {
	case OPTION_GUEST:
		return "--domain";
	case OPTION_WATCHER:
		return "--watch";
	case OPTION_CHECK:
		return "--check-config";
	case OPTION_SHOW:
		return "--show-config";
	default:
		return "vhost-user";
	}
}

/* Nothing that is said is ignored: by the table, what is of use where. */
static int check_use(uint32_t given, enum option_form form)
{
	for (unsigned int i = 0; i < option_rows; i++) {
		const struct option_row *row = &option_table[i];

		if (!(given & UINT32_C(1) << i) || (row->with & form))
			continue;
		if (form == OPTION_WORKER)
			return option_wrong(
				"--worker is for the processes that "
				"virtio-disk starts itself: use --domain or "
				"--vhost-user");
		return option_wrong("--%s is of no use with %s%s%s", row->name,
				    form_name(form), row->why ? ": " : "",
				    row->why ? row->why : "");
	}
	return OPTION_GO_ON;
}

/* Guests or front ends, one or all. */
static int check_whom(const struct options *options)
{
	if (options->vhost && (options->domain || options->watch))
		return option_wrong("--%s and vhost-user exclude each other",
				    options->domain ? "domain" : "watch");
	if (options->domain && options->watch)
		return option_wrong("--domain and --watch exclude each other");
	return OPTION_GO_ON;
}

static int check(struct options *options, uint32_t given)
{
	enum option_form form;
	int r;

	options->poll_given = options->poll_max_us != OPTION_POLL_UNSET;
	options->vhost |= options->vhost_socket || options->vhost_fd >= 0 ||
			  (!options->domain && !options->watch &&
			   !options->worker && !options->task &&
			   listen_fds_has_one());
	form = form_of(options);
	if (options->poll_max_us == OPTION_POLL_UNSET)
		options->poll_max_us = form == OPTION_FRONT_ENDS ?
					       POLL_MAX_US_VHOST :
					       POLL_MAX_US_XEN;
	r = form == OPTION_FRONT_ENDS || form == OPTION_WATCHER ?
		    check_whom(options) :
		    OPTION_GO_ON;
	if (r == OPTION_GO_ON)
		r = check_use(given, form);
	if (r != OPTION_GO_ON || form == OPTION_WORKER)
		return r;
	if (form == OPTION_CHECK)
		return check_config(options->config, options->domain);
	return options->vhost ? check_vhost(options) : check_domain(options);
}

/* ---- the words of the line ---- */

enum {
	OPTION_FIRST = 256, /* above all letters: of the first row */
	LONGS_MAX = 2 * OPTION_ROWS_MAX +
		    1, /* with the synonyms, and the end */
	LETTERS_MAX = 2 * OPTION_ROWS_MAX + 2, /* as "d:" */
};

/* The table as getopt_long() wants it. */
static void make_getopt(struct option longs[LONGS_MAX],
			char letters[LETTERS_MAX])
{
	/* It says nothing, and tells a missing argument apart. */
	*letters++ = ':';
	for (unsigned int i = 0; i < option_rows; i++) {
		const struct option_row *row = &option_table[i];
		struct option option = {
			.name = row->name,
			.has_arg = !row->argument ? no_argument :
				   row->optional  ? optional_argument :
						    required_argument,
			.val = OPTION_FIRST + (int)i,
		};

		*longs++ = option;
		option.name = row->synonym;
		if (row->synonym)
			*longs++ = option;
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->argument)
			*letters++ = ':';
	}
	memset(longs, 0, sizeof(*longs));
	*letters = '\0';
}

/* The row of what getopt_long() has found, or of its optopt; or NULL. */
static const struct option_row *find_row(int c)
{
	for (unsigned int i = 0; i < option_rows; i++)
		if (c == OPTION_FIRST + (int)i ||
		    (c && c == option_table[i].letter))
			return &option_table[i];
	return NULL;
}

/* The options that begin like a word which names none of them; "" if none. */
static void list_similar(const char *word, char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	word += strspn(word, "-");
	for (unsigned int i = 0; i < option_rows && n < size; i++)
		if (option_table[i].help &&
		    !strncmp(option_table[i].name, word, strcspn(word, "=")))
			n += (size_t)snprintf(text + n, size - n, "%s--%s",
					      n ? " or " : "",
					      option_table[i].name);
}

/* What getopt_long() did not take; `word` is where it stopped. */
static int refuse(int c, const char *word)
{
	const struct option_row *row = find_row(optopt);
	char similar[BLOCK_ERROR_MAX];

	if (c == ':' && row)
		return option_wrong("--%s needs %s", row->name, row->argument);
	if (row)
		return option_wrong("--%s takes no argument", row->name);
	if (optopt)
		return option_wrong("unknown option -%c", optopt);
	list_similar(word, similar, sizeof(similar));
	if (*similar)
		return option_wrong("%.*s may be %s", OPTION_SHOWN_MAX, word,
				    similar);
	return option_wrong("unknown option %.*s", OPTION_SHOWN_MAX, word);
}

/* An argument that may be left out may be the next word as well. */
static const char *find_argument(const struct option_row *row, int argc,
				 char **argv)
{
	if (row->optional && !optarg && optind < argc && *argv[optind] != '-')
		return argv[optind++];
	return optarg;
}

static int take(struct options *options, const struct option_row *row,
		const char *argument, uint32_t *given)
{
	uint32_t bit = UINT32_C(1) << (row - option_table);

	if (!row->repeats && (*given & bit))
		return option_wrong("--%s is given twice", row->name);
	*given |= bit;
	return row->take(options, argument);
}

int command_line_parse(struct options *options, int argc, char **argv)
{
	struct option longs[LONGS_MAX];
	char letters[LETTERS_MAX];
	uint32_t given = 0;
	int c, r = OPTION_GO_ON;

	memset(options, 0, sizeof(*options));
	options->poll_max_us = OPTION_POLL_UNSET;
	options->vhost_fd = -1;
	make_getopt(longs, letters);
	opterr = 0;
	while (r == OPTION_GO_ON &&
	       (c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = find_row(c);

		r = row ? take(options, row, find_argument(row, argc, argv),
			       &given) :
			  refuse(c, argv[optind - 1]);
	}
	if (r != OPTION_GO_ON)
		return r;
	if (optind < argc)
		return option_wrong(
			"%.*s: there are no arguments without an option",
			OPTION_SHOWN_MAX, argv[optind]);
	return check(options, given);
}

void command_line_finish(struct options *options)
{
	free(options->domain);
	free(options->state_dir);
	free(options->vhost_socket);
	free(options->user);
	free(options->config);
	config_files_finish(&options->files);
	for (unsigned int i = 0; i < options->ndisks; i++)
		keys_finish(&options->disk[i]);
	memset(options, 0, sizeof(*options));
}
