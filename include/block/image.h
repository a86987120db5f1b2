/* SPDX-License-Identifier: MIT */
/*
 * An opened, locked raw image: a regular file or a block device.
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct block_gate;
struct block_sync;

enum block_cache {
	BLOCK_CACHE_AUTO, /* none where the image can do it, else writeback */
	BLOCK_CACHE_NONE, /* O_DIRECT */
	BLOCK_CACHE_WRITEBACK,    /* page cache; FLUSH makes stable */
	BLOCK_CACHE_WRITETHROUGH, /* page cache; every write is made stable */
	BLOCK_CACHE_UNSAFE,       /* page cache; FLUSH does nothing */
};

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
	bool lends; /* the lock, if writable: see block_image_lock() */
	struct block_user user;
	enum block_cache cache;
	unsigned int block_size; /* logical: 512, 4096; 0 = the store's */
};

struct block_image {
	int fd;           /* -1 for a null image */
	int exclusive_fd; /* a block device's claim, or -1 */
	bool locked;      /* it may be read and written */
	bool lends;
	struct block_user user;
	int64_t changed_ns;      /* when, as it was when it was unlocked */
	uint64_t size;           /* bytes, whole blocks of block_size */
	unsigned int block_size; /* logical block that the device offers */
	unsigned int physical_block_size; /* of the store, >= block_size */
	unsigned int alignment_offset; /* bytes to a physical block's start */
	unsigned int min_io_size; /* bytes that the store likes; 0: not known */
	unsigned int opt_io_size;
	unsigned int discard_granularity; /* bytes; 0: cannot discard */
	bool can_secure_erase;
	unsigned int store_block_size; /* what a device takes; may be larger */
	unsigned int dio_align; /* offset and length, for O_DIRECT; else 1 */
	unsigned int dio_mem_align; /* memory, for O_DIRECT; else 1 */
	bool readonly;
	bool direct;      /* opened with O_DIRECT */
	bool write_waits; /* ... where a write waits, whoever asked it not to */
	bool is_block_device;
	bool flush_is_noop;      /* BLOCK_CACHE_UNSAFE */
	bool write_through;      /* BLOCK_CACHE_WRITETHROUGH */
	bool dsync;              /* stable writes are made with RWF_DSYNC */
	struct block_sync *sync; /* of all engines; NULL: nothing to flush */
	struct block_gate *gate; /* ... of parts of blocks; NULL: no need */
	/*
	 * The two are shared by all engines of the image and atomic. How often
	 * it could not be made stable what was written:
	 */
	uint32_t failures;
	/*
	 * ... and 0, or the negative errno of such a failure that may have cost
	 * data which was acknowledged before. It stays until the image is
	 * opened again: no flush and no stable write succeeds any more.
	 */
	int flush_error;
	/*
	 * As that, of another process that had the image before. It is set by
	 * whoever knows of it, and may be taken back; atomic.
	 */
	int inherited_error;
	/*
	 * Called when flush_error becomes other than 0, in whatever thread; or
	 * NULL.
	 */
	void (*lost)(struct block_image *image);
};

/* Longest text that block_image_open() writes, with its NUL. */
#define BLOCK_ERROR_MAX 512

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
int block_image_open(struct block_image *image,
		     const struct block_image_options *options,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Lock an image that lends, whose options named `file`, before anything of it
 * is read or written: 0, also if it is locked, or a negative errno as above.
 * What others may have written meanwhile is seen; its size is to be looked at
 * anew.
 */
int block_image_lock(struct block_image *image, const char *file,
		     char error[BLOCK_ERROR_MAX]);

/*
 * Give the lock of an image that lends to whoever wants it. Nothing may be in
 * flight, and what was written is flushed, for the next one may be another
 * machine.
 */
void block_image_unlock(struct block_image *image);

/*
 * Look at the store's size anew. Returns whether `size` has changed; what of
 * the new one is no whole block is not counted. Of no concern to engines.
 */
bool block_image_look(struct block_image *image);

/*
 * What the image's flushes fail for although the store may have recovered, or
 * 0: its flush_error, or the inherited one. Any thread may ask.
 */
static inline int block_image_flush_error(const struct block_image *image)
{
	int error = __atomic_load_n(&image->flush_error, __ATOMIC_SEQ_CST);

	return error ? error :
		       __atomic_load_n(&image->inherited_error,
				       __ATOMIC_SEQ_CST);
}

/* Close and unlock; a closed or never opened (fd -1) image is allowed. */
void block_image_close(struct block_image *image);

/* Parse "none", "writeback" ...: 0 or -EINVAL. */
int block_cache_parse(const char *text, enum block_cache *cache);
const char *block_cache_name(enum block_cache cache);

#endif
