/* SPDX-License-Identifier: MIT */
/*
 * The table of a disk's keys; see config/key_table.h.
 *
 * A key is a row: what kind of value it takes and from where to where, the
 * member of struct disk_options that keeps it, its defaults, where it may
 * stand, and what the help says. All else follows from the row and its kind.
 * Who adds one gives it a row here, a name in config/disk_options.h, and a
 * paragraph in the manual.
 */
#include "config/key_table.h"

#include <limits.h>
#include <string.h>

#include "block/engine.h"
#include "virtio/blk_wire.h"
#include "virtio/device.h"

static const char *const formats[] = { [DISK_FORMAT_RAW] = "raw", NULL };

static const char *const caches[] = {
	[BLOCK_CACHE_AUTO] = "auto",
	[BLOCK_CACHE_NONE] = "none",
	[BLOCK_CACHE_WRITEBACK] = "writeback",
	[BLOCK_CACHE_WRITETHROUGH] = "writethrough",
	[BLOCK_CACHE_UNSAFE] = "unsafe",
	NULL,
};

static const char *const discards[] = {
	[DISK_DISCARD_AUTO] = "auto",
	[DISK_DISCARD_ON] = "on",
	[DISK_DISCARD_OFF] = "off",
	NULL,
};

/* Whatever of them this build has. */
static const char *const engines[] = { "auto",    "io_uring", "libaio",
				       "threads", "null",     NULL };

static bool has_engine(const char *word)
{
	return !strcmp(word, "auto") || block_engine_find(word);
}

#define MEMBER(name) .offset = offsetof(struct disk_options, name)
#define BOTH(value) .by_default = { value, value }
#define ONE_DISKS(what) .not_in = { [PLACE_DEFAULTS] = (what) }

/* It has no other word for what is the default. */
#define MAY_BE_EMPTY .may_be_empty = true

const struct key_row key_table[KEYS] = {
	[KEY_FILE] = {
		.name = "file",
		.kind = KIND_TEXT,
		MEMBER(file),
		.min = 1,
		.max = PATH_MAX - 1,
		.value = "PATH",
		.noun = "a path",
		ONE_DISKS("each disk has an image of its own"),
		.help = "image file or block device",
	},
	[KEY_ID] = {
		.name = "id",
		.kind = KIND_TEXT,
		MEMBER(id),
		.min = 1,
		.max = DISK_NAME_MAX - 1,
		.value = "NAME",
		.noun = "a name",
		.not_in = { [PLACE_DEFAULTS] = "each disk has its own",
			    [PLACE_GUEST] = "the section names the disk, as "
					    "[disk NAME]" },
		.help = "the disk it belongs to: its vdev (xvda) or devid",
	},
	[KEY_FORMAT] = {
		.name = "format",
		.kind = KIND_CHOICE,
		MEMBER(format),
		.words = formats,
		BOTH("raw"),
		.help = "the image's format; never guessed",
	},
	[KEY_READONLY] = {
		.name = "readonly",
		.kind = KIND_ON_OFF,
		MEMBER(readonly),
		BOTH("off"),
		.help = "offer the disk read-only",
	},
	[KEY_CACHE] = {
		.name = "cache",
		.kind = KIND_CHOICE,
		MEMBER(cache),
		.words = caches,
		BOTH("auto"),
		.help = "how the host caches; auto: none (O_DIRECT) where it "
			"can",
	},
	[KEY_DISCARD] = {
		.name = "discard",
		.kind = KIND_CHOICE,
		MEMBER(discard),
		.words = discards,
		BOTH("auto"),
		.help = "give space that the guest discards back; auto: where "
			"the store can",
	},
	[KEY_ENGINE] = {
		.name = "engine",
		.kind = KIND_WORD,
		MEMBER(engine),
		.words = engines,
		.has = has_engine,
		BOTH("auto"),
		.help = "how data is moved; null moves none (for measuring)",
	},
	[KEY_SERIAL] = {
		.name = "serial",
		.kind = KIND_TEXT,
		MEMBER(serial),
		.min = 1,
		.max = VIRTIO_BLK_ID_BYTES,
		.value = "TEXT",
		.noun = "text",
		ONE_DISKS("each disk has its own"),
		MAY_BE_EMPTY,
		.otherwise = { "its vdev", "its id, or of the image" },
		.help = "what the guest reads as serial, up to 20 bytes",
	},
	[KEY_BLOCK_SIZE] = {
		.name = "block-size",
		.kind = KIND_POWER,
		MEMBER(block_size),
		.min = 512,
		.max = 4096,
		MAY_BE_EMPTY,
		.otherwise = { "that of the store", "that of the store" },
		.help = "logical block size",
	},
	/*
	 * Over vhost-user a front end wants as many queues as its guest has
	 * CPUs, and chooses their size; some refuse a back end that has fewer,
	 * and some choose the largest. What is not used costs nothing.
	 */
	[KEY_QUEUES] = {
		.name = "queues",
		.kind = KIND_NUMBER,
		MEMBER(queues),
		.min = 1,
		.max = VIRTIO_QUEUES_MAX,
		.by_default = { "1", "16" },
		.help = "number of queues",
	},
	[KEY_QUEUE_SIZE] = {
		.name = "queue-size",
		.kind = KIND_POWER,
		MEMBER(queue_size),
		.min = 2,
		.max = VIRTQUEUE_SIZE_MAX,
		.by_default = { "256", "1024" },
		.help = "entries of a queue",
	},
	[KEY_PACKED] = {
		.name = "packed",
		.kind = KIND_ON_OFF,
		MEMBER(packed),
		BOTH("off"),
		.help = "offer packed virtqueues",
	},
	[KEY_LEGACY] = {
		.name = "legacy",
		.kind = KIND_ON_OFF,
		MEMBER(legacy),
		.by_default = { [DISK_FOR_XEN] = "off" },
		.not_there = { [DISK_FOR_VHOST] = "the front end has the "
						  "registers" },
		.help = "virtio-mmio version 1, for old guests",
	},
	[KEY_IOTHREADS] = {
		.name = "iothreads",
		.kind = KIND_NUMBER,
		MEMBER(iothreads),
		.min = 0,
		.max = VIRTIO_QUEUES_MAX,
		.by_default = { [DISK_FOR_VHOST] = "0" },
		.not_there = { [DISK_FOR_XEN] = "the main thread serves the "
						"queues of a Xen guest" },
		.help = "threads that serve the queues; 0: the main one",
	},
	[KEY_SIZE] = {
		.name = "size",
		.kind = KIND_BYTES,
		MEMBER(size),
		ONE_DISKS("it is that of one disk, which has no image"),
		MAY_BE_EMPTY,
		.help = "size of a disk with engine=null and without file",
	},
};

_Static_assert(KEYS <= 32, "`given` has a bit for each key");
_Static_assert(sizeof(enum block_cache) == sizeof(unsigned int) &&
		       sizeof(enum disk_discard) == sizeof(unsigned int) &&
		       sizeof(enum disk_format) == sizeof(unsigned int),
	       "a choice is kept as an unsigned int");
