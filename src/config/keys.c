/* SPDX-License-Identifier: MIT */
/*
 * The keys of a disk; see config/keys.h.
 *
 * They are one table: name, what it sets, its line of help, and what a value
 * has to be.
 */
#include "config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/engine.h"
#include "config/values.h"
#include "virtio/blk_wire.h"
#include "virtio/device.h"

/* What engine= may be, whatever of it this build has. */
#define ENGINES "auto|io_uring|libaio|threads|null"

struct disk_key {
	const char *name;
	const char *values; /* for the help */
	const char *help;
	/* 0, -EINVAL, or -ENOENT for what this build does not have */
	int (*set)(struct disk_options *disk, const char *value);
	const char *rule; /* what a value has to be; NULL: of `values` */
};

static bool power_of_two(unsigned int n)
{
	return n && (n & (n - 1)) == 0;
}

static int set_file(struct disk_options *disk, const char *value)
{
	return value_string(&disk->file, value);
}

static int set_id(struct disk_options *disk, const char *value)
{
	return value_string(&disk->id, value);
}

static int set_format(struct disk_options *disk, const char *value)
{
	(void)disk;
	return strcmp(value, "raw") ? -EINVAL : 0;
}

static int set_readonly(struct disk_options *disk, const char *value)
{
	return value_bool(&disk->readonly, value);
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
	if (value_bool(&on, value))
		return -EINVAL;
	disk->discard = on ? DISK_DISCARD_ON : DISK_DISCARD_OFF;
	return 0;
}

/* Whether `value` is one of "A|B|C". */
static bool is_one_of(const char *value, const char *values)
{
	size_t n = strlen(value);

	for (const char *at = values; at; at = strchr(at, '|')) {
		at += *at == '|';
		if (n == strcspn(at, "|") && !strncmp(at, value, n))
			return true;
	}
	return false;
}

static int set_engine(struct disk_options *disk, const char *value)
{
	bool found = !strcmp(value, "auto");

	if (!is_one_of(value, ENGINES))
		return -EINVAL;
	for (unsigned int i = 0; !found && block_engines[i]; i++)
		found = !strcmp(value, block_engines[i]->name);
	return found ? value_string(&disk->engine, value) : -ENOENT;
}

static int set_serial(struct disk_options *disk, const char *value)
{
	if (strlen(value) > VIRTIO_BLK_ID_BYTES)
		return -EINVAL;
	return value_string(&disk->serial, value);
}

static int set_block_size(struct disk_options *disk, const char *value)
{
	if (value_number(&disk->block_size, value, 512, 4096))
		return -EINVAL;
	return power_of_two(disk->block_size) ? 0 : -EINVAL;
}

static int set_queue_size(struct disk_options *disk, const char *value)
{
	if (value_number(&disk->queue_size, value, 2, VIRTQUEUE_SIZE_MAX))
		return -EINVAL;
	return power_of_two(disk->queue_size) ? 0 : -EINVAL;
}

static int set_queues(struct disk_options *disk, const char *value)
{
	return value_number(&disk->queues, value, 1, VIRTIO_QUEUES_MAX);
}

static int set_packed(struct disk_options *disk, const char *value)
{
	return value_bool(&disk->packed, value);
}

static int set_legacy(struct disk_options *disk, const char *value)
{
	return value_bool(&disk->legacy, value);
}

static int set_iothreads(struct disk_options *disk, const char *value)
{
	return value_number(&disk->iothreads, value, 0, VIRTIO_QUEUES_MAX);
}

static int set_disk_size(struct disk_options *disk, const char *value)
{
	return value_size(&disk->size, value);
}

static const struct disk_key disk_keys[] = {
	{ "file", "PATH", "image file or block device", set_file, "a path" },
	{ "id", "NAME", "the disk it belongs to: its vdev (xvda) or devid",
	  set_id, "a name" },
	{ "format", "raw", "the image's format; never guessed", set_format,
	  NULL },
	{ "readonly", "on|off", "offer the disk read-only", set_readonly,
	  NULL },
	{ "cache", "auto|none|writeback|writethrough|unsafe",
	  "how the host caches; auto: none (O_DIRECT) where it can", set_cache,
	  NULL },
	{ "discard", "auto|on|off",
	  "give space that the guest discards back; auto: where the store can",
	  set_discard, NULL },
	{ "engine", ENGINES,
	  "how data is moved; null moves none (for measuring)", set_engine,
	  NULL },
	{ "serial", "TEXT", "what the guest reads as serial, up to 20 bytes",
	  set_serial, "text of 1 to 20 bytes" },
	{ "block-size", "512|1024|2048|4096", "logical block size",
	  set_block_size, NULL },
	{ "queues", "1..16", "number of queues", set_queues,
	  "a number, 1..16" },
	{ "queue-size", "a power of two, 2..1024",
	  "entries of a queue (256; 1024 for vhost-user)", set_queue_size,
	  NULL },
	{ "packed", "on|off", "offer packed virtqueues (off)", set_packed,
	  NULL },
	{ "legacy", "on|off",
	  "virtio-mmio version 1, for old guests (off; not with vhost-user)",
	  set_legacy, NULL },
	{ "iothreads", "0..16",
	  "threads that serve the queues (0: the main one; vhost-user only)",
	  set_iothreads, "a number, 0..16" },
	{ "size", "BYTES", "size of a disk with engine=null and without file",
	  set_disk_size,
	  "a number of bytes, below 2^64; K, M, G or T behind it stand for "
	  "powers of 1024" },
};

#define DISK_KEYS (sizeof(disk_keys) / sizeof(disk_keys[0]))

static const struct disk_key *find_key(const char *name)
{
	for (size_t i = 0; i < DISK_KEYS; i++)
		if (!strcmp(disk_keys[i].name, name))
			return &disk_keys[i];
	return NULL;
}

int disk_options_set(struct disk_options *disk, const char *key,
		     const char *value, char error[BLOCK_ERROR_MAX])
{
	const struct disk_key *k = find_key(key);
	int r;

	if (!k) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "unknown key \"%s\" of a disk; --help lists them",
			 key);
		return -EINVAL;
	}
	r = k->set(disk, value);
	if (r == -ENOENT)
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s=%s: this build does not have it; use %s=auto", key,
			 value, key);
	else if (r)
		snprintf(error, BLOCK_ERROR_MAX,
			 "%s=%s: the value has to be %s", key, value,
			 k->rule ? k->rule : k->values);
	return r ? -EINVAL : 0;
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

static int contradiction(char error[BLOCK_ERROR_MAX], const char *what)
{
	snprintf(error, BLOCK_ERROR_MAX, "%s", what);
	return -EINVAL;
}

static bool is_null(const struct disk_options *disk)
{
	return disk->engine && !strcmp(disk->engine, "null");
}

int disk_options_check_keys(const struct disk_options *disk,
			    char error[BLOCK_ERROR_MAX])
{
	if (disk->legacy && disk->packed)
		return contradiction(error,
				     "legacy=on and packed=on exclude "
				     "each other: the legacy interface has "
				     "split virtqueues only");
	if (disk->size && disk->file)
		return contradiction(error,
				     "file= and size= exclude each "
				     "other: the size of a disk is that of "
				     "its image");
	if (disk->size && !is_null(disk))
		return contradiction(error, "size= is for a disk with "
					    "engine=null, which keeps nothing; "
					    "another needs file=");
	return 0;
}

int disk_options_check(const struct disk_options *disk,
		       char error[BLOCK_ERROR_MAX])
{
	int r = disk_options_check_keys(disk, error);

	if (r || disk->file)
		return r;
	if (!is_null(disk))
		return contradiction(error, "file= is missing: name an image "
					    "file or a block device");
	if (!disk->size)
		return contradiction(error, "engine=null without file= needs "
					    "size=");
	return 0;
}

void disk_options_finish(struct disk_options *disk)
{
	free(disk->id);
	free(disk->file);
	free(disk->engine);
	free(disk->serial);
	memset(disk, 0, sizeof(*disk));
}

void disk_options_help(FILE *to)
{
	for (size_t i = 0; i < DISK_KEYS; i++)
		fprintf(to, "  %s=%s\n        %s\n", disk_keys[i].name,
			disk_keys[i].values, disk_keys[i].help);
}
