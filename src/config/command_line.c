/* SPDX-License-Identifier: MIT */
/*
 * The command line; see config/command_line.h.
 *
 * An option is a row of one table: its names, its argument, what it does, and
 * what the help says. getopt_long() only cuts the words; what is wrong is said
 * here, in one line of the log that names the option, and is status 2.
 *
 * Failures: an option that is unknown, lacks its argument or has one that it
 * does not take; one that is given twice, of which one would be forgotten; and
 * what does not go together, or is of no use beside the rest.
 */
#include "config/key_text.h"
#include "config/command_line.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/listen_fds.h"
#include "base/log.h"
#include "base/standard_fds.h"
#include "config/layers.h"
#include "config/values.h"

enum {
	/*
	 * Longest polling by default. A Xen guest's every register access that
	 * we sleep through costs a wake-up while its vCPU stands still.
	 */
	POLL_MAX_US_XEN = 1000,
	POLL_MAX_US_VHOST = 100,
	POLL_MAX_US_LIMIT = 100000,
	POLL_MAX_US_UNSET = POLL_MAX_US_LIMIT + 1,
	DOMAIN_MAX = 255,  /* bytes of a guest's name */
	DOMID_MAX = 32751, /* those above it stand for others */
	USER_MAX = 255,    /* bytes of a user's name */
	SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
	SHOWN_MAX = 120,  /* bytes of a word of the line in a sentence */
	HELP_COLUMN = 24, /* where the sentences of the help begin */
};

/* Of what outlives the process; on tmpfs, and the unit makes it as well. */
static const char default_state_dir[] = "/run/virtio-disk";

/* What is to be done after an option: go on, or an exit status. */
enum { GO_ON = -1, STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_WRONG = 2 };

struct row {
	const char *name;     /* --name */
	const char *synonym;  /* the same in other programs; or NULL */
	char letter;          /* -l; or 0 */
	bool repeats;         /* may be given more than once */
	const char *argument; /* NULL: it takes none */
	/* NULL: it is for the program itself. Lines after the first begin by
	 * themselves. */
	const char *help;
	/* GO_ON, or an exit status after it was said why. */
	int (*take)(struct options *options, const char *argument);
};

__attribute__((format(printf, 1, 2))) static int wrong(const char *format, ...)
{
	char text[BLOCK_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s (see virtio-disk --help)", text);
	return STATUS_WRONG;
}

/* It is no fault of the line: it may be tried again. */
static int no_memory(const char *name)
{
	log_error("--%s: no memory", name);
	return STATUS_FAILED;
}

/* ---- what the options do ---- */

static int take_domain(struct options *options, const char *argument)
{
	int r = value_text(&options->domain, argument, 1, DOMAIN_MAX);

	if (r == -ENOMEM)
		return no_memory("domain");
	return r ? wrong("--domain needs a name or an id") : GO_ON;
}

static int take_disk(struct options *options, const char *argument)
{
	char error[BLOCK_ERROR_MAX];

	if (options->ndisks == DISKS_MAX)
		return wrong("more than %d --disk options", DISKS_MAX);
	/* Counted also where it is wrong, so that it is freed. */
	return keys_parse(&options->disk[options->ndisks++], argument, error) ?
		       wrong("--disk: %s", error) :
		       GO_ON;
}

static int take_socket(struct options *options, const char *argument)
{
	int r = value_text(&options->vhost_socket, argument, 1,
			   SOCKET_PATH_MAX);

	if (r == -ENOMEM)
		return no_memory("vhost-user");
	return r ? wrong("--vhost-user=%.*s%s: the path of a socket has 1 "
			 "to %d bytes",
			 SHOWN_MAX, argument,
			 strlen(argument) > SHOWN_MAX ? "..." : "",
			 SOCKET_PATH_MAX) :
		   GO_ON;
}

static int take_fd(struct options *options, const char *argument)
{
	unsigned int n;

	if (value_number(&n, argument, 0, INT_MAX))
		return wrong("--fd=%.*s: the number of a descriptor is needed",
			     SHOWN_MAX, argument);
	options->vhost_fd = (int)n;
	return GO_ON;
}

static int take_end(struct options *options, const char *argument)
{
	if (!strcmp(argument, "leave"))
		options->end = OPTIONS_LEAVE;
	else if (!strcmp(argument, "detach"))
		options->end = OPTIONS_DETACH;
	else
		return wrong("--end=%.*s: leave or detach is needed", SHOWN_MAX,
			     argument);
	options->end_given = true;
	return GO_ON;
}

static int take_state_dir(struct options *options, const char *argument)
{
	int r = value_text(&options->state_dir, argument, 1, PATH_MAX - 1);

	if (r == -ENOMEM)
		return no_memory("state-dir");
	return r ? wrong("--state-dir needs the path of a directory") : GO_ON;
}

static int take_foreground(struct options *options, const char *argument)
{
	(void)argument;
	options->foreground = true;
	return GO_ON;
}

static int take_user(struct options *options, const char *argument)
{
	int r = value_text(&options->user, argument, 1, USER_MAX);

	if (r == -ENOMEM)
		return no_memory("user");
	return r ? wrong("--user needs the name of a user") : GO_ON;
}

static int take_worker(struct options *options, const char *argument)
{
	if (value_number(&options->worker_domid, argument, 0, DOMID_MAX))
		return wrong("--worker=%.*s: the number of a domain is needed",
			     SHOWN_MAX, argument);
	options->worker = true;
	return GO_ON;
}

/* A number is there, as of the other kind. */
static int take_vhost_worker(struct options *options, const char *argument)
{
	options->vhost = true;
	return take_worker(options, argument);
}

static int take_no_sandbox(struct options *options, const char *argument)
{
	(void)argument;
	options->no_sandbox = true;
	return GO_ON;
}

static int take_once(struct options *options, const char *argument)
{
	(void)argument;
	options->once = true;
	return GO_ON;
}

static int take_poll_max_us(struct options *options, const char *argument)
{
	return value_number(&options->poll_max_us, argument, 0,
			    POLL_MAX_US_LIMIT) ?
		       wrong("--poll-max-us=%.*s: a number is needed, 0..%d",
			     SHOWN_MAX, argument, POLL_MAX_US_LIMIT) :
		       GO_ON;
}

static int take_verbose(struct options *options, const char *argument)
{
	(void)argument;
	options->verbose = true;
	return GO_ON;
}

/* The exit status after what was asked for was printed. */
static int is_printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return STATUS_DONE;
	log_error("cannot write to standard output: %s", strerror(errno));
	return STATUS_FAILED;
}

static int take_version(struct options *options, const char *argument)
{
	(void)options;
	(void)argument;
	printf("virtio-disk %s\n", VERSION);
	return is_printed();
}

static int take_help(struct options *options, const char *argument);

static const struct row table[] = {
	{
		.name = "domain",
		.letter = 'd',
		.argument = "NAME|ID",
		.help = "the guest; waited for when it is not there yet",
		.take = take_domain,
	},
	{
		.name = "disk",
		.letter = 'k',
		.argument = "KEY=VALUE,...",
		.repeats = true,
		.help = "add to or replace what xl says of the disk id=;\n"
			"with vhost-user: the disk",
		.take = take_disk,
	},
	{
		.name = "vhost-user",
		.synonym = "socket-path",
		.letter = 's',
		.argument = "SOCKET",
		.help = "serve front ends that connect here, one at a time",
		.take = take_socket,
	},
	{
		.name = "fd",
		.argument = "N",
		.help = "the same on an inherited socket (as LISTEN_FDS)",
		.take = take_fd,
	},
	{
		.name = "end",
		.argument = "leave|detach",
		.help = "a guest's disks when this ends before the guest:\n"
			"leave them to the next start, or take them away\n"
			"[leave]",
		.take = take_end,
	},
	{
		.name = "state-dir",
		.argument = "DIR",
		.help = "what the next start needs [/run/virtio-disk]",
		.take = take_state_dir,
	},
	{
		.name = "foreground",
		.repeats = true,
		.help = "serve in one process: to debug it",
		.take = take_foreground,
	},
	{
		.name = "no-sandbox",
		.repeats = true,
		.help = "give up no rights, allow core files: to debug it",
		.take = take_no_sandbox,
	},
	{
		.name = "once",
		.repeats = true,
		.help = "end when the first front end has gone",
		.take = take_once,
	},
	{
		.name = "poll-max-us",
		.argument = "N",
		.help = "poll at most so long before sleeping; 0: never\n"
			"(1000 for a Xen guest, 100 with vhost-user)",
		.take = take_poll_max_us,
	},
	{
		.name = "user",
		.argument = "NAME",
		.help = "of the process that has the guest's memory\n"
			"[a number that nobody has]",
		.take = take_user,
	},
	{
		.name = "verbose",
		.letter = 'v',
		.repeats = true,
		.help = "say more",
		.take = take_verbose,
	},
	{
		.name = "version",
		.letter = 'V',
		.repeats = true,
		.help = "print the version",
		.take = take_version,
	},
	{
		.name = "worker",
		.argument = "ID",
		.take = take_worker,
	},
	{
		.name = "vhost-worker",
		.argument = "ID",
		.take = take_vhost_worker,
	},
	{
		.name = "help",
		.letter = 'h',
		.repeats = true,
		.help = "print this help",
		.take = take_help,
	},
};

enum { ROWS = sizeof(table) / sizeof(table[0]) };

/* ---- help ---- */

/* The sentences of an option, each in the column of all. */
static void print_help(int column, const char *help)
{
	if (column >= HELP_COLUMN) {
		putchar('\n');
		column = 0;
	}
	while (*help) {
		int bytes = (int)strcspn(help, "\n");

		printf("%*s%.*s\n", HELP_COLUMN - column, "", bytes, help);
		help += bytes + (help[bytes] == '\n');
		column = 0;
	}
}

static void print_option(const struct row *row)
{
	int n = row->letter ? printf("  -%c, --%s", row->letter, row->name) :
			      printf("      --%s", row->name);

	if (row->argument)
		n += printf(" %s", row->argument);
	/* A space at least between the two. */
	print_help(n + 1 > HELP_COLUMN ? HELP_COLUMN : n, row->help);
}

static int take_help(struct options *options, const char *argument)
{
	(void)options;
	(void)argument;
	fputs("Usage: virtio-disk --domain NAME|ID [--disk KEY=VALUE,...]...\n"
	      "       virtio-disk --vhost-user SOCKET --disk KEY=VALUE,...\n"
	      "\n"
	      "Serves the virtio disks of a Xen guest (start it before the "
	      "guest), or one disk\nto vhost-user front ends:\n"
	      "\n"
	      "  virtio-disk --vhost-user /run/disk.sock --disk file=web.img\n"
	      "  virtio-disk --domain web\n"
	      "  xl create web.cfg   with   disk = [ 'phy:/dev/vg/web,xvda,w,"
	      "backendtype=standalone,specification=virtio' ]\n"
	      "\n",
	      stdout);
	for (unsigned int i = 0; i < ROWS; i++)
		if (table[i].help)
			print_option(&table[i]);
	fputs("\n"
	      "Keys of --disk, with their [defaults]; each is given once, a "
	      "comma in a value\nis written twice:\n",
	      stdout);
	key_text_help(stdout);
	fputs("\n"
	      "Signals: TERM and INT end it: a guest's disks are left to the "
	      "next start, or with\n"
	      "--end=detach and over vhost-user the requests in flight are "
	      "finished before (long\n"
	      "ones may be left); a second one ends it at once;\n"
	      "USR1 logs statistics; HUP looks at the images' sizes.\n"
	      "Exit status: 0 when the guest is gone for good or on a signal, "
	      "1 for an error,\n"
	      "2 for a wrong command line. See virtio-disk(8).\n",
	      stdout);
	return is_printed();
}

/* ---- what goes together ---- */

/* The one disk of vhost-user: nothing else will be said of it. */
static int settle_disk(struct options *options)
{
	const struct disk_options *given = &options->disk[0];
	char error[BLOCK_ERROR_MAX];
	struct disk_options whole;

	if (layers_settle(&whole, &given, 1, DISK_FOR_VHOST, error))
		return wrong("--disk: %s", error);
	keys_finish(&options->disk[0]);
	options->disk[0] = whole;
	return GO_ON;
}

static int check_user(const struct options *options)
{
	if (options->user && (options->foreground || options->no_sandbox))
		return wrong("--user is of no use with --%s: no process gives "
			     "its user up",
			     options->foreground ? "foreground" : "no-sandbox");
	return GO_ON;
}

static int check_vhost(struct options *options)
{
	int inherited = options->vhost_fd >= 0 ? options->vhost_fd :
						 LISTEN_FDS_START;
	int r;

	if (options->domain)
		return wrong("--domain and vhost-user exclude each other");
	if (options->vhost_socket && options->vhost_fd >= 0)
		return wrong("--vhost-user and --fd exclude each other");
	if (!options->vhost_socket && standard_fds_log_is(inherited))
		return wrong("the socket is standard error as well: the log "
			     "would go to the front end; send it elsewhere");
	if (options->state_dir || options->end_given)
		return wrong("--state-dir and --end are for --domain: the "
			     "front end keeps what the next start needs");
	r = check_user(options);
	if (r != GO_ON)
		return r;
	if (options->ndisks != 1)
		return wrong("vhost-user serves one --disk, and %u are given",
			     options->ndisks);
	return settle_disk(options);
}

/* What a --disk of a guest says; the rest is in xenstore. */
static int check_disk_of_domain(const struct options *options,
				const struct disk_options *disk)
{
	char error[BLOCK_ERROR_MAX];

	if (!disk->id)
		return wrong("--disk needs id=, the disk that it is about");
	for (const struct disk_options *d = options->disk; d < disk; d++)
		if (!strcmp(d->id, disk->id))
			return wrong("two --disk are about id=%s: give its "
				     "keys in one",
				     disk->id);
	return layers_check_top(disk, DISK_FOR_XEN, error) ?
		       wrong("--disk: %s", error) :
		       GO_ON;
}

static int check_domain(struct options *options)
{
	int r = GO_ON;

	if (!options->domain)
		return wrong("--domain or --vhost-user is needed");
	if (options->once)
		return wrong("--once is for vhost-user: with --domain it ends "
			     "with the guest");
	r = check_user(options);
	if (r == GO_ON && !options->state_dir &&
	    value_text(&options->state_dir, default_state_dir, 1, PATH_MAX))
		return no_memory("state-dir");
	for (unsigned int i = 0; r == GO_ON && i < options->ndisks; i++)
		r = check_disk_of_domain(options, &options->disk[i]);
	return r;
}

/* What it serves is said over its link. */
static int check_worker(struct options *options)
{
	if (options->domain || options->vhost_socket ||
	    options->vhost_fd >= 0 || options->ndisks || options->state_dir ||
	    options->end_given || options->once || options->foreground)
		return wrong("--worker is for the processes that virtio-disk "
			     "starts itself: use --domain or --vhost-user");
	if (options->poll_max_us == POLL_MAX_US_UNSET)
		options->poll_max_us = POLL_MAX_US_XEN;
	return GO_ON;
}

static int check(struct options *options)
{
	if (options->worker)
		return check_worker(options);
	options->vhost = options->vhost_socket || options->vhost_fd >= 0 ||
			 (!options->domain && listen_fds_has_one());
	if (options->poll_max_us == POLL_MAX_US_UNSET)
		options->poll_max_us = options->vhost ? POLL_MAX_US_VHOST :
							POLL_MAX_US_XEN;
	return options->vhost ? check_vhost(options) : check_domain(options);
}

/* ---- the words of the line ---- */

enum {
	OPTION_FIRST = 256,         /* above all letters: of the first row */
	LONGS_MAX = 2 * ROWS + 1,   /* with the synonyms, and the end */
	LETTERS_MAX = 2 * ROWS + 2, /* as "d:" */
};

/* The table as getopt_long() wants it. */
static void make_getopt(struct option longs[LONGS_MAX],
			char letters[LETTERS_MAX])
{
	/* It says nothing, and tells a missing argument apart. */
	*letters++ = ':';
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &table[i];
		struct option option = {
			.name = row->name,
			.has_arg = row->argument ? required_argument :
						   no_argument,
			.val = OPTION_FIRST + i,
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
static const struct row *find_row(int c)
{
	for (int i = 0; i < ROWS; i++)
		if (c == OPTION_FIRST + i || (c && c == table[i].letter))
			return &table[i];
	return NULL;
}

/* The options that begin like a word which names none of them; "" if none. */
static void list_similar(const char *word, char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	word += strspn(word, "-");
	for (int i = 0; i < ROWS && n < size; i++)
		if (table[i].help &&
		    !strncmp(table[i].name, word, strcspn(word, "=")))
			n += (size_t)snprintf(text + n, size - n, "%s--%s",
					      n ? " or " : "", table[i].name);
}

/* What getopt_long() did not take; `word` is where it stopped. */
static int refuse(int c, const char *word)
{
	const struct row *row = find_row(optopt);
	char similar[BLOCK_ERROR_MAX];

	if (c == ':' && row)
		return wrong("--%s needs %s", row->name, row->argument);
	if (row)
		return wrong("--%s takes no argument", row->name);
	if (optopt)
		return wrong("unknown option -%c", optopt);
	list_similar(word, similar, sizeof(similar));
	if (*similar)
		return wrong("%.*s may be %s", SHOWN_MAX, word, similar);
	return wrong("unknown option %.*s", SHOWN_MAX, word);
}

static int take(struct options *options, int c, uint32_t *given)
{
	const struct row *row = find_row(c);
	uint32_t bit = UINT32_C(1) << (row - table);

	if (!row->repeats && (*given & bit))
		return wrong("--%s is given twice", row->name);
	*given |= bit;
	return row->take(options, optarg);
}

int command_line_parse(struct options *options, int argc, char **argv)
{
	struct option longs[LONGS_MAX];
	char letters[LETTERS_MAX];
	uint32_t given = 0;
	int c, r = GO_ON;

	memset(options, 0, sizeof(*options));
	options->poll_max_us = POLL_MAX_US_UNSET;
	options->vhost_fd = -1;
	make_getopt(longs, letters);
	opterr = 0;
	while (r == GO_ON &&
	       (c = getopt_long(argc, argv, letters, longs, NULL)) != -1)
		r = c == '?' || c == ':' ? refuse(c, argv[optind - 1]) :
					   take(options, c, &given);
	if (r != GO_ON)
		return r;
	if (optind < argc)
		return wrong("%.*s: there are no arguments without an option",
			     SHOWN_MAX, argv[optind]);
	return check(options);
}

void command_line_finish(struct options *options)
{
	free(options->domain);
	free(options->state_dir);
	free(options->vhost_socket);
	free(options->user);
	for (unsigned int i = 0; i < options->ndisks; i++)
		keys_finish(&options->disk[i]);
	memset(options, 0, sizeof(*options));
}
