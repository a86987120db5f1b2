/* SPDX-License-Identifier: MIT */
/*
 * What is said of one disk: KEY=VALUE of --disk, and what the toolstack says.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "block/image.h"

enum { DISK_NAME_MAX = 64 }; /* bytes of a disk's name, with its NUL */

enum disk_discard {
	DISK_DISCARD_AUTO, /* where the store can */
	DISK_DISCARD_ON,   /* or the disk is refused */
	DISK_DISCARD_OFF,
};

/* The keys of one --disk; what was not given is 0 or NULL. */
struct disk_options {
	char *id;     /* the vdev or devid that it belongs to; owned */
	char *file;   /* owned */
	char *engine; /* "auto" if NULL; owned */
	char *serial; /* at most 20 bytes; owned */
	bool readonly;
	enum block_cache cache;
	enum disk_discard discard;
	unsigned int block_size;
	unsigned int queue_size; /* entries; 0: the default */
	unsigned int queues;     /* 0: one */
	bool packed;             /* offer packed virtqueues */
	bool legacy;             /* virtio-mmio version 1 */
	unsigned int iothreads;  /* 0: the main thread serves the queues */
	uint64_t size;           /* bytes, for engine=null without file */
	bool lends;              /* no key: the image, see block/image.h */
};

/* Set one key of a disk: 0, or -EINVAL and a sentence in `error`. */
int disk_options_set(struct disk_options *disk, const char *key,
		     const char *value, char error[BLOCK_ERROR_MAX]);

/* Parse "KEY=VALUE,..."; as disk_options_set(). */
int disk_options_parse(struct disk_options *disk, const char *text,
		       char error[BLOCK_ERROR_MAX]);

/* Copy what `from` says and `to` does not; strings are duplicated. */
void disk_options_fill(struct disk_options *to,
		       const struct disk_options *from);

/* What cannot be had together, whatever else is said: as disk_options_set(). */
int disk_options_check_keys(const struct disk_options *disk,
			    char error[BLOCK_ERROR_MAX]);

/*
 * As disk_options_check_keys(), and what is missing of a disk about which all
 * is said.
 */
int disk_options_check(const struct disk_options *disk,
		       char error[BLOCK_ERROR_MAX]);

void disk_options_finish(struct disk_options *disk);

/* The keys, each with its values and a line about it. */
void disk_options_help(FILE *to);

#endif
