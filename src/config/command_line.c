/* SPDX-License-Identifier: MIT */
/*
 * The command line; see config/command_line.h.
 */
#include "config/command_line.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/listen_fds.h"
#include "base/standard_fds.h"
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
};

static void usage(FILE *to)
{
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
	      "\n"
	      "  -d, --domain NAME|ID  the guest; waited for when it is not "
	      "there yet\n"
	      "  -k, --disk KEY=VALUE,...\n"
	      "                        add to or replace what xl says of the "
	      "disk id=;\n"
	      "                        with vhost-user: the disk\n"
	      "  -s, --vhost-user SOCKET\n"
	      "                        serve front ends that connect here, "
	      "one at a time\n"
	      "      --fd N            the same on an inherited socket (as "
	      "LISTEN_FDS)\n"
	      "      --once            end when the first front end has gone\n"
	      "      --poll-max-us N   poll at most so long before sleeping; "
	      "0: never\n"
	      "                        (1000 for a Xen guest, 100 with "
	      "vhost-user)\n"
	      "  -v, --verbose         say more\n"
	      "  -V, --version         print the version\n"
	      "  -h, --help            print this help\n"
	      "\n"
	      "Keys of --disk (a comma in a value is written twice):\n",
	      to);
	disk_options_help(to);
	fputs("\n"
	      "Signals: TERM and INT end it after the requests in flight (long "
	      "ones may be left\n"
	      "to the next start), a second one at once;\n"
	      "USR1 logs statistics; HUP looks at the images' sizes.\n"
	      "Exit status: 0 when the guest is gone for good or on a signal, "
	      "1 for an error,\n"
	      "2 for a wrong command line. See virtio-disk(8).\n",
	      to);
}

static int wrong(const char *what)
{
	fprintf(stderr, "virtio-disk: %s\nTry 'virtio-disk --help'.\n", what);
	return 2;
}

/* The exit status after what was asked for was printed. */
static int is_printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "virtio-disk: cannot write to standard output: %s\n",
		strerror(errno));
	return 1;
}

static int add_disk(struct options *options, const char *text)
{
	char error[BLOCK_ERROR_MAX];
	struct disk_options *disk;

	if (options->ndisks == DISKS_MAX)
		return wrong("more than 16 --disk options");
	disk = &options->disk[options->ndisks];
	/* Counted also where it is wrong, so that it is freed. */
	options->ndisks++;
	if (disk_options_parse(disk, text, error) ||
	    disk_options_check_keys(disk, error))
		return wrong(error);
	return -1;
}

enum {
	OPTION_POLL_MAX_US = 256,
	OPTION_FD,
	OPTION_ONCE,
};

static const struct option long_options[] = {
	{ "domain", required_argument, NULL, 'd' },
	{ "disk", required_argument, NULL, 'k' },
	{ "vhost-user", required_argument, NULL, 's' },
	{ "socket-path", required_argument, NULL, 's' }, /* QEMU's word */
	{ "fd", required_argument, NULL, OPTION_FD },
	{ "once", no_argument, NULL, OPTION_ONCE },
	{ "poll-max-us", required_argument, NULL, OPTION_POLL_MAX_US },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int set_fd(int *to, const char *value)
{
	unsigned int n;

	if (value_number(&n, value, 0, INT_MAX))
		return -EINVAL;
	*to = (int)n;
	return 0;
}

/* What has to be there together: as options_parse(). */
static int check_vhost(const struct options *options)
{
	int inherited = options->vhost_fd >= 0 ? options->vhost_fd :
						 LISTEN_FDS_START;
	char error[BLOCK_ERROR_MAX];

	if (options->domain)
		return wrong("--domain and vhost-user exclude each other");
	if (options->vhost_socket && options->vhost_fd >= 0)
		return wrong("--vhost-user and --fd exclude each other");
	if (!options->vhost_socket && standard_fds_log_is(inherited))
		return wrong("the socket is standard error as well: the log "
			     "would go to the front end; send it elsewhere");
	if (options->ndisks != 1)
		return wrong("vhost-user serves one --disk");
	if (options->disk[0].legacy)
		return wrong("legacy=on is for --domain: over vhost-user the "
			     "front end has the registers");
	return disk_options_check(&options->disk[0], error) ? wrong(error) : -1;
}

/* What a --disk of a guest says; the rest is in xenstore. */
static int check_disk_of_domain(const struct options *options,
				const struct disk_options *disk)
{
	char error[BLOCK_ERROR_MAX];

	if (!disk->id)
		return wrong("--disk needs id=, the disk that it is about");
	if (disk->iothreads)
		return wrong("iothreads= is for vhost-user: the queues of a "
			     "Xen guest are served by the main thread");
	for (const struct disk_options *d = options->disk; d < disk; d++) {
		if (strcmp(d->id, disk->id) != 0)
			continue;
		snprintf(error, sizeof(error),
			 "two --disk are about id=%s: "
			 "give its keys in one",
			 disk->id);
		return wrong(error);
	}
	return -1;
}

static int check_domain(const struct options *options)
{
	int r = -1;

	if (!options->domain)
		return wrong("--domain or --vhost-user is needed");
	if (options->once)
		return wrong("--once is for vhost-user: with --domain it ends "
			     "with the guest");
	for (unsigned int i = 0; r < 0 && i < options->ndisks; i++)
		r = check_disk_of_domain(options, &options->disk[i]);
	return r;
}

/* Of two, one would be forgotten: as options_parse(). */
static int set_once(char **to, const char *option, const char *what)
{
	char error[BLOCK_ERROR_MAX];

	if (!*to && value_string(to, optarg) == 0)
		return -1;
	snprintf(error, sizeof(error),
		 *to ? "%s is given twice" : "%s needs %s", option, what);
	return wrong(error);
}

static int parse_one(struct options *options, int c)
{
	switch (c) {
	case 'd':
		return set_once(&options->domain, "--domain",
				"a name or an id");
	case 'k':
		return add_disk(options, optarg);
	case 's':
		return set_once(&options->vhost_socket, "--vhost-user",
				"the path of a socket");
	case OPTION_FD:
		if (options->vhost_fd >= 0)
			return wrong("--fd is given twice");
		return set_fd(&options->vhost_fd, optarg) ?
			       wrong("--fd needs the number of a descriptor") :
			       -1;
	case OPTION_ONCE:
		options->once = true;
		return -1;
	case OPTION_POLL_MAX_US:
		return value_number(&options->poll_max_us, optarg, 0,
				    POLL_MAX_US_LIMIT) ?
			       wrong("--poll-max-us needs 0 to 100000") :
			       -1;
	case 'v':
		options->verbose = true;
		return -1;
	case 'V':
		printf("virtio-disk %s\n", VERSION);
		return is_printed();
	case 'h':
		usage(stdout);
		return is_printed();
	default:
		/* getopt has said what is wrong. */
		fputs("Try 'virtio-disk --help'.\n", stderr);
		return 2;
	}
}

int options_parse(struct options *options, int argc, char **argv)
{
	int c, r;

	memset(options, 0, sizeof(*options));
	options->poll_max_us = POLL_MAX_US_UNSET;
	options->vhost_fd = -1;
	while ((c = getopt_long(argc, argv, "d:k:s:vVh", long_options, NULL)) !=
	       -1) {
		r = parse_one(options, c);
		if (r >= 0)
			return r;
	}
	if (optind < argc)
		return wrong("there are no arguments without an option");
	options->vhost = options->vhost_socket || options->vhost_fd >= 0 ||
			 (!options->domain && listen_fds_has_one());
	if (options->poll_max_us == POLL_MAX_US_UNSET)
		options->poll_max_us = options->vhost ? POLL_MAX_US_VHOST :
							POLL_MAX_US_XEN;
	return options->vhost ? check_vhost(options) : check_domain(options);
}

void options_finish(struct options *options)
{
	free(options->domain);
	free(options->vhost_socket);
	for (unsigned int i = 0; i < options->ndisks; i++)
		disk_options_finish(&options->disk[i]);
	memset(options, 0, sizeof(*options));
}
