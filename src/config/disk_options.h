/* SPDX-License-Identifier: MIT */
/*
 * What one layer says of a disk: its keys (config/keys.h), as data.
 */
#ifndef CONFIG_DISK_OPTIONS_H
#define CONFIG_DISK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "block/cache.h"

enum {
	DISKS_MAX = 16,     /* per guest */
	DISK_NAME_MAX = 64, /* bytes of a disk's name, with its NUL */
};

enum disk_format {
	DISK_FORMAT_RAW,
};

enum disk_discard {
	DISK_DISCARD_AUTO, /* where the store can */
	DISK_DISCARD_ON,   /* or the disk is refused */
	DISK_DISCARD_OFF,
};

/* Over what a disk is served: some keys are of use over one of them only. */
enum disk_front {
	DISK_FOR_XEN,
	DISK_FOR_VHOST,
	DISK_FRONTS,
};

/* Where keys are said of a disk: some make no sense in each of them. */
enum key_place {
	PLACE_LINE,     /* --disk */
	PLACE_DEFAULTS, /* a file, of all disks of all guests */
	PLACE_GUEST,    /* a file, of one disk of a guest */
	KEY_PLACES,
};

/* In the order of the help and of a dump. */
enum disk_key {
	KEY_FILE,
	KEY_ID,
	KEY_FORMAT,
	KEY_READONLY,
	KEY_CACHE,
	KEY_DISCARD,
	KEY_ENGINE,
	KEY_SERIAL,
	KEY_BLOCK_SIZE,
	KEY_QUEUES,
	KEY_QUEUE_SIZE,
	KEY_PACKED,
	KEY_LEGACY,
	KEY_IOTHREADS,
	KEY_SIZE,
	KEYS,
};

#define KEY_BIT(key) (UINT32_C(1) << (key))

/* What one layer says of a disk; a zeroed one says nothing. */
struct disk_options {
	uint32_t given; /* KEY_BIT() of each key that was said */
	char *file;     /* owned */
	char *id;       /* the vdev or devid that it belongs to; owned */
	enum disk_format format;
	bool readonly;
	enum block_cache cache;
	enum disk_discard discard;
	const char *engine;      /* one of the table's words, or a literal */
	char *serial;            /* at most 20 bytes; owned */
	unsigned int block_size; /* bytes; 0: the store's */
	unsigned int queues;
	unsigned int queue_size; /* entries */
	bool packed;             /* offer packed virtqueues */
	bool legacy;             /* virtio-mmio version 1 */
	unsigned int iothreads;  /* 0: the main thread serves the queues */
	uint64_t size;           /* bytes, for engine=null without file */
	bool lends;              /* no key: the image, see block/claim.h */
};

static inline bool keys_is_given(const struct disk_options *disk,
				 enum disk_key key)
{
	return disk->given & KEY_BIT(key);
}

#endif
