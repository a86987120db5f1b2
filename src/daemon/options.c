/* SPDX-License-Identifier: MIT */
/*
 * The command line; see daemon/options.h.
 *
 * A disk's keys are one table: name, what it sets, and its line of help.
 */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/standard_fds.h"
#include "daemon/vhost_socket.h"
#include "virtio/blk_wire.h"
#include "virtio/device.h"

enum {
	/*
	 * Longest polling by default. A Xen guest's every register access that
	 * we sleep through costs a wake-up while its vCPU stands still.
	 */
	POLL_MAX_US_XEN = 1000,
	POLL_MAX_US_VHOST = 100,
	POLL_MAX_US_LIMIT = 100000,
	POLL_MAX_US_UNSET = POLL_MAX_US_LIMIT + 1,
	FIRST_FD_OF_SYSTEMD = 3, /* LISTEN_FDS */
};

struct disk_key {
	const char *name;
	const char *values;	/* for the help */
	const char *help;
	/* 0 or -EINVAL */
	int (*set)(struct disk_options *disk, const char *value);
};

static int set_string(char **to, const char *value)
{
	char *copy = *value ? strdup(value) : NULL;

	if (!copy)
		return -EINVAL;
	free(*to);
	*to = copy;
	return 0;
}

static int set_bool(bool *to, const char *value)
{
	if (!strcmp(value, "on") || !strcmp(value, "yes") ||
	    !strcmp(value, "1"))
		*to = true;
	else if (!strcmp(value, "off") || !strcmp(value, "no") ||
		 !strcmp(value, "0"))
		*to = false;
	else
		return -EINVAL;
	return 0;
}

/* A number with an optional K, M, G or T of 1024. */
static int set_size(uint64_t *to, const char *value)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	unsigned int shift = 0;
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	/* Not 0: that would take 010 for octal. */
	*to = strtoull(value, &end, value[1] == 'x' ? 16 : 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * ((unsigned int)(suffix - suffixes) + 1);
	}
	if (*to > UINT64_MAX >> shift)
		return -EINVAL;
	*to <<= shift;
	return 0;
}

static int set_number(unsigned int *to, const char *value, uint64_t min,
		      uint64_t max)
{
	uint64_t n;

	if (set_size(&n, value) || n < min || n > max)
		return -EINVAL;
	*to = (unsigned int)n;
	return 0;
}

static bool power_of_two(unsigned int n)
{
	return n && (n & (n - 1)) == 0;
}

static int set_file(struct disk_options *disk, const char *value)
{
	return set_string(&disk->file, value);
}

static int set_id(struct disk_options *disk, const char *value)
{
	return set_string(&disk->id, value);
}

static int set_format(struct disk_options *disk, const char *value)
{
	(void)disk;
	return strcmp(value, "raw") ? -EINVAL : 0;
}

static int set_readonly(struct disk_options *disk, const char *value)
{
	return set_bool(&disk->readonly, value);
}

static int set_cache(struct disk_options *disk, const char *value)
{
	return block_cache_parse(value, &disk->cache);
}

static int set_discard(struct disk_options *disk, const char *value)
{
	bool on = false;

	if (!strcmp(value, "auto")) {
		disk->discard = DISK_DISCARD_AUTO;
		return 0;
	}
	if (set_bool(&on, value))
		return -EINVAL;
	disk->discard = on ? DISK_DISCARD_ON : DISK_DISCARD_OFF;
	return 0;
}

static int set_engine(struct disk_options *disk, const char *value)
{
	return set_string(&disk->engine, value);
}

static int set_serial(struct disk_options *disk, const char *value)
{
	if (strlen(value) > VIRTIO_BLK_ID_BYTES)
		return -EINVAL;
	return set_string(&disk->serial, value);
}

static int set_block_size(struct disk_options *disk, const char *value)
{
	if (set_number(&disk->block_size, value, 512, 4096))
		return -EINVAL;
	return power_of_two(disk->block_size) ? 0 : -EINVAL;
}

static int set_queue_size(struct disk_options *disk, const char *value)
{
	if (set_number(&disk->queue_size, value, 2, VIRTQUEUE_SIZE_MAX))
		return -EINVAL;
	return power_of_two(disk->queue_size) ? 0 : -EINVAL;
}

static int set_queues(struct disk_options *disk, const char *value)
{
	return set_number(&disk->queues, value, 1, VIRTIO_QUEUES_MAX);
}

static int set_packed(struct disk_options *disk, const char *value)
{
	return set_bool(&disk->packed, value);
}

static int set_legacy(struct disk_options *disk, const char *value)
{
	return set_bool(&disk->legacy, value);
}

static int set_iothreads(struct disk_options *disk, const char *value)
{
	return set_number(&disk->iothreads, value, 0, VIRTIO_QUEUES_MAX);
}

static int set_disk_size(struct disk_options *disk, const char *value)
{
	return set_size(&disk->size, value);
}

static const struct disk_key disk_keys[] = {
	{ "file", "PATH", "image file or block device", set_file },
	{ "id", "NAME", "the disk it belongs to: its vdev (xvda) or devid",
	  set_id },
	{ "format", "raw", "the image's format; never guessed", set_format },
	{ "readonly", "on|off", "offer the disk read-only", set_readonly },
	{ "cache", "auto|none|writeback|writethrough|unsafe",
	  "how the host caches; auto: none (O_DIRECT) where it can",
	  set_cache },
	{ "discard", "auto|on|off",
	  "give space that the guest discards back; auto: where the store can",
	  set_discard },
	{ "engine", "auto|io_uring|libaio|threads|null",
	  "how data is moved; null moves none (for measuring)", set_engine },
	{ "serial", "TEXT", "what the guest reads as serial, up to 20 bytes",
	  set_serial },
	{ "block-size", "512|1024|2048|4096", "logical block size",
	  set_block_size },
	{ "queues", "1..16", "number of queues", set_queues },
	{ "queue-size", "a power of two, 2..1024",
	  "entries of a queue (256; 1024 for vhost-user)",
	  set_queue_size },
	{ "packed", "on|off", "offer packed virtqueues (off)", set_packed },
	{ "legacy", "on|off",
	  "virtio-mmio version 1, for old guests (off; not with vhost-user)",
	  set_legacy },
	{ "iothreads", "0..16",
	  "threads that serve the queues (0: the main one; vhost-user only)",
	  set_iothreads },
	{ "size", "BYTES", "size of a disk with engine=null", set_disk_size },
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct disk_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(disk_keys); i++)
		if (!strcmp(disk_keys[i].name, name))
			return &disk_keys[i];
	return NULL;
}

int disk_options_set(struct disk_options *disk, const char *key,
		     const char *value, char error[BLOCK_ERROR_MAX])
{
	const struct disk_key *k = find_key(key);

	if (!k) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "unknown key \"%s\" of a disk; --help lists them", key);
		return -EINVAL;
	}
	if (k->set(disk, value)) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s=%s: the value has to be %s", key, value,
			 k->values);
		return -EINVAL;
	}
	return 0;
}

/* Cut the next "KEY=VALUE" off `*text`; ",," stands for a comma. */
static char *next_item(char **text)
{
	char *item = *text;
	char *to = item;
	char *from = item;

	if (!*item)
		return NULL;
	for (; *from; from++) {
		if (*from == ',' && *++from != ',')
			break;
		*to++ = *from;
	}
	*text = from;
	*to = '\0';
	return item;
}

int disk_options_parse(struct disk_options *disk, const char *text,
		       char error[BLOCK_ERROR_MAX])
{
	char *copy = strdup(text);
	char *rest = copy;
	char *item;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	while (r == 0 && (item = next_item(&rest))) {
		char *value = strchr(item, '=');

		if (!value) {
			snprintf(error, BLOCK_ERROR_MAX,
				 "\"%s\" is not KEY=VALUE", item);
			r = -EINVAL;
			break;
		}
		*value++ = '\0';
		r = disk_options_set(disk, item, value, error);
	}
	free(copy);
	return r;
}

static void fill_string(char **to, const char *from)
{
	if (!*to && from)
		*to = strdup(from);
}

void disk_options_fill(struct disk_options *to, const struct disk_options *from)
{
	fill_string(&to->id, from->id);
	fill_string(&to->file, from->file);
	fill_string(&to->engine, from->engine);
	fill_string(&to->serial, from->serial);
	to->readonly |= from->readonly;
	to->packed |= from->packed;
	to->legacy |= from->legacy;
	if (to->cache == BLOCK_CACHE_AUTO)
		to->cache = from->cache;
	if (to->discard == DISK_DISCARD_AUTO)
		to->discard = from->discard;
	if (!to->block_size)
		to->block_size = from->block_size;
	if (!to->queue_size)
		to->queue_size = from->queue_size;
	if (!to->queues)
		to->queues = from->queues;
	if (!to->iothreads)
		to->iothreads = from->iothreads;
	if (!to->size)
		to->size = from->size;
}

int disk_options_check(const struct disk_options *disk,
		       char error[BLOCK_ERROR_MAX])
{
	if (!disk->legacy || !disk->packed)
		return 0;
	snprintf(error, BLOCK_ERROR_MAX,
		 "legacy=on and packed=on exclude each other: the legacy "
		 "interface has split virtqueues only");
	return -EINVAL;
}

void disk_options_finish(struct disk_options *disk)
{
	free(disk->id);
	free(disk->file);
	free(disk->engine);
	free(disk->serial);
	memset(disk, 0, sizeof(*disk));
}

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
	      "Keys of --disk (a comma in a value is written twice):\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(disk_keys); i++)
		fprintf(to, "  %s=%s\n        %s\n", disk_keys[i].name,
			disk_keys[i].values, disk_keys[i].help);
	fputs("\n"
	      "Signals: TERM and INT end it after the requests in flight, a "
	      "second one at once;\n"
	      "USR1 logs statistics; HUP looks at the images' sizes.\n"
	      "Exit status: 0 when the guest is gone for good or on a signal, "
	      "1 for an error,\n"
	      "2 for a wrong command line. See virtio-disk(8).\n", to);
}

static int wrong(const char *what)
{
	fprintf(stderr, "virtio-disk: %s\nTry 'virtio-disk --help'.\n", what);
	return 2;
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
	    disk_options_check(disk, error))
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

	if (set_number(&n, value, 0, INT_MAX))
		return -EINVAL;
	*to = (int)n;
	return 0;
}

/* What has to be there together: as options_parse(). */
static int check_vhost(const struct options *options)
{
	int inherited = options->vhost_fd >= 0 ? options->vhost_fd :
						 FIRST_FD_OF_SYSTEMD;

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
	return -1;
}

static int check_domain(const struct options *options)
{
	if (!options->domain)
		return wrong("--domain or --vhost-user is needed");
	for (unsigned int i = 0; i < options->ndisks; i++)
		if (!options->disk[i].id)
			return wrong("--disk needs id=, the disk that it is "
				     "about");
	return -1;
}

static int parse_one(struct options *options, int c)
{
	switch (c) {
	case 'd':
		return set_string(&options->domain, optarg) ?
		       wrong("--domain needs a name or an id") : -1;
	case 'k':
		return add_disk(options, optarg);
	case 's':
		return set_string(&options->vhost_socket, optarg) ?
		       wrong("--vhost-user needs the path of a socket") : -1;
	case OPTION_FD:
		return set_fd(&options->vhost_fd, optarg) ?
		       wrong("--fd needs the number of a descriptor") : -1;
	case OPTION_ONCE:
		options->once = true;
		return -1;
	case OPTION_POLL_MAX_US:
		return set_number(&options->poll_max_us, optarg, 0,
				  POLL_MAX_US_LIMIT) ?
		       wrong("--poll-max-us needs a number up to 100000") : -1;
	case 'v':
		options->verbose = true;
		return -1;
	case 'V':
		printf("virtio-disk %s\n", VERSION);
		return 0;
	case 'h':
		usage(stdout);
		return 0;
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
			 (!options->domain && vhost_socket_is_inherited());
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
