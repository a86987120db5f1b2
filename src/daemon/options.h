/* SPDX-License-Identifier: MIT */
/*
 * What the command line says.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "block/image.h"

enum {
	DISK_NAME_MAX = 64,	/* bytes of a disk's name, with its NUL */
	DISKS_MAX = 16,		/* per guest */
};

enum disk_discard {
	DISK_DISCARD_AUTO,	/* where the store can */
	DISK_DISCARD_ON,	/* or the disk is refused */
	DISK_DISCARD_OFF,
};

/* The keys of one --disk; what was not given is 0 or NULL. */
struct disk_options {
	char *id;		/* the vdev or devid that it belongs to; owned */
	char *file;		/* owned */
	char *engine;		/* "auto" if NULL; owned */
	char *serial;		/* at most 20 bytes; owned */
	bool readonly;
	enum block_cache cache;
	enum disk_discard discard;
	unsigned int block_size;
	unsigned int queue_size; /* entries; 0: the default */
	unsigned int queues;	/* 0: one */
	bool packed;		/* offer packed virtqueues */
	bool legacy;		/* virtio-mmio version 1 */
	unsigned int iothreads;	/* 0: the main thread serves the queues */
	uint64_t size;		/* bytes, for engine=null */
	bool lends;		/* no key: the image, see block/image.h */
};

struct options {
	char *domain;		/* name or id; owned */
	char *vhost_socket;	/* path; owned */
	int vhost_fd;		/* inherited socket; or -1 */
	bool vhost;		/* serve vhost-user front ends, not a domain */
	bool once;		/* end with the first front end */
	struct disk_options disk[DISKS_MAX];
	unsigned int ndisks;
	unsigned int poll_max_us; /* longest adaptive polling */
	bool verbose;
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

/* What cannot be had together: as disk_options_set(). */
int disk_options_check(const struct disk_options *disk,
		       char error[BLOCK_ERROR_MAX]);

void disk_options_finish(struct disk_options *disk);

/*
 * Parse the command line. Returns -1 to go on, or the exit status for a program
 * that has said all there is to say (--help, --version, a wrong option).
 */
int options_parse(struct options *options, int argc, char **argv);

void options_finish(struct options *options);

#endif
