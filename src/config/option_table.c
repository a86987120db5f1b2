/* SPDX-License-Identifier: MIT */
/*
 * The table of options; see config/option_table.h. Who adds one gives it a row
 * here and a paragraph in the manual; what goes together is in
 * config/command_line.c.
 *
 * Failures: an argument that is wrong is said, with what is allowed.
 */
#include "config/option_table.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/log.h"
#include "config/key_text.h"
#include "config/values.h"

enum {
	POLL_MAX_US_LIMIT = OPTION_POLL_UNSET - 1,
	DOMAIN_MAX = 255,  /* bytes of a guest's name */
	DOMID_MAX = 32751, /* those above it stand for others */
	USER_MAX = 255,    /* bytes of a user's name */
	SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
	SHOWN_MAX = OPTION_SHOWN_MAX,
	HELP_COLUMN = 24, /* where the sentences of the help begin */
};

int option_wrong(const char *format, ...)
{
	char text[BLOCK_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s (see virtio-disk --help)", text);
	return OPTION_WRONG;
}

/* It is no fault of the line: it may be tried again. */
int option_no_memory(const char *name)
{
	log_error("--%s: no memory", name);
	return OPTION_FAILED;
}

/* ---- what the options do ---- */

static int take_guest(struct options *options, const char *argument,
		      const char *name)
{
	if (options->domain)
		return option_wrong("one guest is named by --domain, "
				    "--show-config or --check-config");
	int r = value_text(&options->domain, argument, 1, DOMAIN_MAX);

	if (r == -ENOMEM)
		return option_no_memory(name);
	return r ? option_wrong("--%s needs the name or the id of a guest",
				name) :
		   OPTION_GO_ON;
}

static int take_domain(struct options *options, const char *argument)
{
	return take_guest(options, argument, "domain");
}

static int take_config(struct options *options, const char *argument)
{
	int r = value_text(&options->config, argument, 1, PATH_MAX - 1);

	if (r == -ENOMEM)
		return option_no_memory("config");
	return r ? option_wrong("--config needs a directory or a guest's "
				"file") :
		   OPTION_GO_ON;
}

static int take_check_config(struct options *options, const char *argument)
{
	options->task = OPTIONS_CHECK_CONFIG;
	return argument ? take_guest(options, argument, "check-config") :
			  OPTION_GO_ON;
}

static int take_show_config(struct options *options, const char *argument)
{
	options->task = OPTIONS_SHOW_CONFIG;
	return take_guest(options, argument, "show-config");
}

static int take_disk(struct options *options, const char *argument)
{
	char error[BLOCK_ERROR_MAX];
	int r;

	if (options->ndisks == DISKS_MAX)
		return option_wrong("more than %d --disk options", DISKS_MAX);
	/* Counted also where it is wrong, so that it is freed. */
	r = keys_parse(&options->disk[options->ndisks++], argument, error);
	if (r == -ENOMEM)
		return option_no_memory("disk");
	return r ? option_wrong("--disk: %s", error) : OPTION_GO_ON;
}

static int take_socket(struct options *options, const char *argument)
{
	int r = value_text(&options->vhost_socket, argument, 1,
			   SOCKET_PATH_MAX);

	if (r == -ENOMEM)
		return option_no_memory("vhost-user");
	return r ? option_wrong(
			   "--vhost-user=%.*s%s: the path of a socket has 1 "
			   "to %d bytes",
			   SHOWN_MAX, argument,
			   strlen(argument) > SHOWN_MAX ? "..." : "",
			   SOCKET_PATH_MAX) :
		   OPTION_GO_ON;
}

static int take_fd(struct options *options, const char *argument)
{
	unsigned int n;

	if (value_number(&n, argument, 0, INT_MAX))
		return option_wrong(
			"--fd=%.*s: the number of a descriptor is needed",
			SHOWN_MAX, argument);
	options->vhost_fd = (int)n;
	return OPTION_GO_ON;
}

static int take_end(struct options *options, const char *argument)
{
	if (!strcmp(argument, "leave"))
		options->end = OPTIONS_LEAVE;
	else if (!strcmp(argument, "detach"))
		options->end = OPTIONS_DETACH;
	else
		return option_wrong("--end=%.*s: leave or detach is needed",
				    SHOWN_MAX, argument);
	options->end_given = true;
	return OPTION_GO_ON;
}

static int take_state_dir(struct options *options, const char *argument)
{
	int r = value_text(&options->state_dir, argument, 1, PATH_MAX - 1);

	if (r == -ENOMEM)
		return option_no_memory("state-dir");
	return r ? option_wrong("--state-dir needs the path of a directory") :
		   OPTION_GO_ON;
}

static int take_foreground(struct options *options, const char *argument)
{
	(void)argument;
	options->foreground = true;
	return OPTION_GO_ON;
}

static int take_user(struct options *options, const char *argument)
{
	int r = value_text(&options->user, argument, 1, USER_MAX);

	if (r == -ENOMEM)
		return option_no_memory("user");
	return r ? option_wrong("--user needs the name of a user") :
		   OPTION_GO_ON;
}

static int take_watch(struct options *options, const char *argument)
{
	if (!argument)
		options->watch = OPTIONS_WATCH_AUTO;
	else if (!strcmp(argument, "units"))
		options->watch = OPTIONS_WATCH_UNITS;
	else if (!strcmp(argument, "children"))
		options->watch = OPTIONS_WATCH_CHILDREN;
	else
		return option_wrong(
			"--watch=%.*s: units or children is needed, or "
			"--watch alone",
			SHOWN_MAX, argument);
	/* Its instances are given all words but these. */
	options->watch_words = argument && argument != optarg ? 2 : 1;
	options->watch_word = optind - options->watch_words;
	return OPTION_GO_ON;
}

static int take_worker(struct options *options, const char *argument)
{
	if (value_number(&options->worker_domid, argument, 0, DOMID_MAX))
		return option_wrong(
			"--worker=%.*s: the number of a domain is needed",
			SHOWN_MAX, argument);
	options->worker = true;
	return OPTION_GO_ON;
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
	return OPTION_GO_ON;
}

static int take_once(struct options *options, const char *argument)
{
	(void)argument;
	options->once = true;
	return OPTION_GO_ON;
}

static int take_poll_max_us(struct options *options, const char *argument)
{
	return value_number(&options->poll_max_us, argument, 0,
			    POLL_MAX_US_LIMIT) ?
		       option_wrong(
			       "--poll-max-us=%.*s: a number is needed, 0..%d",
			       SHOWN_MAX, argument, POLL_MAX_US_LIMIT) :
		       OPTION_GO_ON;
}

static int take_verbose(struct options *options, const char *argument)
{
	(void)argument;
	options->verbose = true;
	return OPTION_GO_ON;
}

static int take_trace(struct options *options, const char *argument)
{
	(void)argument;
	options->trace = true;
	return OPTION_GO_ON;
}

/* The exit status after what was asked for was printed. */
static int is_printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return OPTION_DONE;
	log_error("cannot write to standard output: %s", strerror(errno));
	return OPTION_FAILED;
}

static int take_version(struct options *options, const char *argument)
{
	(void)options;
	(void)argument;
	printf("virtio-disk %s\n", VERSION);
	return is_printed();
}

static int take_help(struct options *options, const char *argument);

#define GUESTS (OPTION_GUEST | OPTION_WATCHER)
#define SERVES (GUESTS | OPTION_FRONT_ENDS)

const struct option_row option_table[] = {
	{
		.name = "domain",
		.with = OPTION_GUEST,
		.letter = 'd',
		.argument = "NAME|ID",
		.help = "the guest; waited for when it is not there yet",
		.take = take_domain,
	},
	{
		.name = "disk",
		.with = GUESTS | OPTION_FRONT_ENDS | OPTION_SHOW,
		.letter = 'k',
		.argument = "KEY=VALUE,...",
		.repeats = true,
		.help = "add to or replace what xl says of the disk id=;\n"
			"with vhost-user: the disk",
		.take = take_disk,
	},
	{
		.name = "config",
		.with = GUESTS | OPTION_CHECK | OPTION_SHOW,
		.why = "of a disk over vhost-user all is said by --disk",
		.argument = "DIR|FILE",
		.help = "other files than those of /etc/virtio-disk, or the\n"
			"guest's alone",
		.take = take_config,
	},
	{
		.name = "check-config",
		.with = OPTION_CHECK,
		.argument = "GUEST",
		.optional = true,
		.help = "check the files, of all guests or of one, and end",
		.take = take_check_config,
	},
	{
		.name = "show-config",
		.with = OPTION_SHOW,
		.argument = "GUEST",
		.help = "print what would be served, and who says so",
		.take = take_show_config,
	},
	{
		.name = "vhost-user",
		.with = OPTION_FRONT_ENDS,
		.synonym = "socket-path",
		.letter = 's',
		.argument = "SOCKET",
		.help = "serve front ends that connect here, one at a time",
		.take = take_socket,
	},
	{
		.name = "fd",
		.with = OPTION_FRONT_ENDS,
		.argument = "N",
		.help = "the same on an inherited socket (as LISTEN_FDS)",
		.take = take_fd,
	},
	{
		.name = "end",
		.with = GUESTS,
		.why = "a front end keeps what the next start needs",
		.argument = "leave|detach",
		.help = "a guest's disks when this ends before the guest:\n"
			"leave them to the next start, or take them away\n"
			"[leave]",
		.take = take_end,
	},
	{
		.name = "state-dir",
		.with = GUESTS,
		.why = "a front end keeps what the next start needs",
		.argument = "DIR",
		.help = "what the next start needs [/run/virtio-disk]",
		.take = take_state_dir,
	},
	{
		.name = "foreground",
		.with = SERVES,
		.repeats = true,
		.help = "serve in one process: to debug it",
		.take = take_foreground,
	},
	{
		.name = "no-sandbox",
		.with = OPTION_EVERYWHERE,
		.repeats = true,
		.help = "give up no rights, allow core files: to debug it",
		.take = take_no_sandbox,
	},
	{
		.name = "once",
		.with = OPTION_FRONT_ENDS,
		.why = "who serves guests ends with them, or by a signal",
		.repeats = true,
		.help = "end when the first front end has gone",
		.take = take_once,
	},
	{
		.name = "poll-max-us",
		.with = SERVES | OPTION_WORKER,
		.argument = "N",
		.help = "poll at most so long before sleeping; 0: never\n"
			"(1000 for a Xen guest, 100 with vhost-user)",
		.take = take_poll_max_us,
	},
	{
		.name = "trace",
		.with = SERVES | OPTION_WORKER,
		.repeats = true,
		.help = "log each register access, request and notification",
		.take = take_trace,
	},
	{
		.name = "user",
		.with = SERVES | OPTION_WORKER,
		.argument = "NAME",
		.help = "of the process that has the guest's memory\n"
			"[a number that nobody has]",
		.take = take_user,
	},
	{
		.name = "verbose",
		.with = OPTION_EVERYWHERE,
		.letter = 'v',
		.repeats = true,
		.help = "say more",
		.take = take_verbose,
	},
	{
		.name = "version",
		.with = OPTION_EVERYWHERE,
		.letter = 'V',
		.repeats = true,
		.help = "print the version",
		.take = take_version,
	},
	{
		.name = "watch",
		.with = OPTION_WATCHER,
		.argument = "units|children",
		.optional = true,
		.help = "start an instance for every guest with virtio disks:\n"
			"by systemd, or as child processes\n"
			"[systemd where it runs]",
		.take = take_watch,
	},
	{
		.name = "worker",
		.with = OPTION_WORKER,
		.argument = "ID",
		.take = take_worker,
	},
	{
		.name = "vhost-worker",
		.with = OPTION_WORKER,
		.argument = "ID",
		.take = take_vhost_worker,
	},
	{
		.name = "help",
		.with = OPTION_EVERYWHERE,
		.letter = 'h',
		.repeats = true,
		.help = "print this help",
		.take = take_help,
	},
};

const unsigned int option_rows = sizeof(option_table) / sizeof(option_table[0]);

_Static_assert(sizeof(option_table) / sizeof(option_table[0]) <=
		       OPTION_ROWS_MAX,
	       "there is room for each of them where the line is read");

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

static void print_option(const struct option_row *row)
{
	int n = row->letter ? printf("  -%c, --%s", row->letter, row->name) :
			      printf("      --%s", row->name);

	if (row->argument)
		n += printf(row->optional ? " [%s]" : " %s", row->argument);
	/* Two spaces at least between the two. */
	print_help(n + 2 > HELP_COLUMN ? HELP_COLUMN : n, row->help);
}

static int take_help(struct options *options, const char *argument)
{
	(void)options;
	(void)argument;
	fputs("Usage: virtio-disk --domain NAME|ID [--disk KEY=VALUE,...]...\n"
	      "       virtio-disk --watch\n"
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
	for (unsigned int i = 0; i < option_rows; i++)
		if (option_table[i].help)
			print_option(&option_table[i]);
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
