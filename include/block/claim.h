/* SPDX-License-Identifier: MIT */
/*
 * A raw image, a regular file or a block device, as a monitor has it: named,
 * opened, locked against others and measured. Nothing that a guest asks for is
 * read or written by it. Who does that gets a part:
 *
 *	claim	  open, lock, measure
 *	  |
 *	part	  for a worker: file descriptions of its own, which are locked
 *	  |	  as well; no copy of them is kept
 *	(the worker dies: the kernel keeps its part while a request is in
 *	  |	  flight)
 *	  |
 *	part	  for the next worker: -EBUSY until then
 *	  |
 *	close	  also while a part is in flight. Whoever claims the image next,
 *		  in whatever process, finds it in use until that has ended
 */
#ifndef BLOCK_CLAIM_H
#define BLOCK_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "block/cache.h"
#include "block/part.h"

/* What to do about an image that is in use. */
enum block_in_use {
	BLOCK_IN_USE_WAIT, /* ask again, for half a second, and say by whom */
	BLOCK_IN_USE_SAY,  /* ask once, and say by whom */
	BLOCK_IN_USE_ASK,  /* ask once: to find out by whom takes time */
};

/*
 * Who opens an image. Of a writer its lock tells when the last request of a
 * process has ended, which may be long after that process. Readers share
 * theirs: so a reader may say whose disk it reads for, by any number but 0, and
 * a successor finds the image in use while requests of another reader for the
 * same one are under way.
 */
struct block_user {
	enum block_in_use in_use;
	uint64_t owner; /* 0: nobody asks */
	bool successor; /* of another process with the same owner */
};

struct block_image_options {
	const char *file; /* path; NULL for a null image of `size` */
	uint64_t size;    /* bytes, only without `file` */
	bool readonly;
	bool lends; /* the lock, if writable: see block_claim_lock() */
	struct block_user user;
	enum block_cache cache;
	unsigned int block_size; /* logical: 512, 4096; 0 = the store's */
};

struct block_claim {
	char *file;       /* as it was named; NULL for a null image */
	int fd;           /* -1 for a null image, and while it is not open */
	int exclusive_fd; /* a block device's, or -1 */
	bool locked;      /* parts of it may be read and written */
	bool lends;
	bool given;      /* a part of it was, sometime */
	uint64_t number; /* tells its parts from those of others */
	struct block_user user;
	int64_t changed_ns;       /* when, as it was when it was unlocked */
	struct block_facts facts; /* size: as it was last looked at */
};

/* One that may be closed although it was never opened. */
#define BLOCK_CLAIM_NONE ((struct block_claim){ .fd = -1, .exclusive_fd = -1 })

/*
 * Open and lock an image. A writer locks out every other opener, a reader locks
 * out writers (open file description locks on the file, which QEMU respects and
 * has; an exclusive claim on a block device that is opened for writing, so that
 * a mounted one is refused). Returns 0, or a negative errno and in `error` one
 * sentence that names the file, says what is wrong and what to do. The caller
 * closes.
 *
 * -EAGAIN (locked) or -EBUSY (claimed): it is in use.
 *
 * One that lends is opened also while another process has it that lends as
 * well; then `locked` is false, and `error` says who has it.
 */
int block_claim_open(struct block_claim *claim,
		     const struct block_image_options *options,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Whether block_claim_open() would find the image in use, as far as its locks
 * say that: 0, or a negative errno and a sentence as there. Nothing is measured
 * and nothing stays open.
 */
int block_claim_try(const struct block_image_options *options,
		    char error[BLOCK_ERROR_MAX]);

/*
 * Make a worker's part, which is the caller's to send and to close. Of an image
 * that is not locked, because it is lent, it is not locked either.
 *
 * What the kernel could not write back of the parts before is in the facts of
 * this one, and of all that follow: a worker that was killed may have been told
 * of it and nobody else (`lost`).
 *
 * Returns 0, or a negative errno and a sentence, and then the part has no
 * descriptors. -EBUSY: requests of the worker before, or of a part that was not
 * closed yet, may be in flight. To ask again is to call again: it opens nothing
 * while that is so, and costs a system call or two.
 */
int block_claim_part(struct block_claim *claim, struct block_part *part,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Lock an image that lends, before anything of it is read or written: 0, also
 * if it is locked, or a negative errno as above: -EAGAIN or -EBUSY, it is in
 * use. What others may have written meanwhile is seen; its size is to be looked
 * at anew. Its part is locked by block_image_lock(), after this.
 */
int block_claim_lock(struct block_claim *claim, enum block_in_use in_use,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Give the lock of an image that lends to whoever wants it. Nothing may be in
 * flight, and what was written is flushed, for the next one may be another
 * machine. Its part is unlocked already: block_image_unlock().
 */
void block_claim_unlock(struct block_claim *claim);

/*
 * Look at the store's size anew. Returns whether facts.size has changed; what
 * of the new one is no whole block is not counted. Parts that are made from
 * then on have it; of no concern to engines.
 */
bool block_claim_look(struct block_claim *claim);

/* Close and unlock; also one that is closed, or BLOCK_CLAIM_NONE. */
void block_claim_close(struct block_claim *claim);

#endif
