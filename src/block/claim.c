/* SPDX-License-Identifier: MIT */
/*
 * An image as a monitor has it; see block/claim.h.
 *
 *   store       open it                       (store.c)
 *   lock        against others                (lock.c)
 *   geometry    size and block sizes          (geometry.c)
 *   ability     what it can do with ranges    (ability.c)
 *   cache       O_DIRECT or the page cache    (here, with dio.c)
 *   part        what a worker is given        (part.c)
 *
 * cache=auto takes O_DIRECT if the store can do it for every block that the
 * disk will offer, else the page cache with flushes (writeback). cache=none
 * takes it also for smaller blocks than the store's, which costs a read for
 * each write of a part (bounce.c). It is tried with the claim's descriptor,
 * before there is any other.
 *
 * The format is never guessed from the content: every image is raw.
 *
 * Failure modes: each leaves one sentence in `error` and nothing open.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"

#include "block/claim.h"
#include "ability.h"
#include "dio.h"
#include "explain.h"
#include "geometry.h"
#include "lock.h"
#include "store.h"

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

/* ---- the cache ---- */

static int set_direct(const struct block_claim *claim, bool on)
{
	int flags = fcntl(claim->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_DIRECT : flags & ~O_DIRECT;
	return fcntl(claim->fd, F_SETFL, flags) < 0 ? -errno : 0;
}

/*
 * Turn O_DIRECT on. Returns 0, or -EOPNOTSUPP, with dio_align 0 if there is no
 * direct I/O, else what it would ask for.
 */
static int try_direct(struct block_claim *claim, unsigned int sector)
{
	struct block_facts *facts = &claim->facts;

	facts->dio_align = 0;
	if (set_direct(claim, true) < 0)
		return -EOPNOTSUPP;
	if (!block_dio_probe(claim->fd, sector, &facts->dio_align,
			     &facts->dio_mem_align)) {
		facts->dio_align = 0;
		return -EOPNOTSUPP;
	}
	/* A part of a block at the end cannot be written without more of it. */
	return facts->size % facts->dio_align == 0 ? 0 : -EOPNOTSUPP;
}

static int explain_no_direct(const struct block_claim *claim,
			     char error[BLOCK_ERROR_MAX])
{
	unsigned int align = claim->facts.dio_align;

	if (align)
		return block_explain(error, -EINVAL, claim->file,
				     "cache=none needs a size that is a "
				     "multiple of %u bytes here: make it one "
				     "(truncate -s %%%u) or use "
				     "cache=writeback",
				     align, align);
	return block_explain(error, -EINVAL, claim->file,
			     "cache=none is not possible, the file system has "
			     "no direct I/O: use cache=writeback");
}

/*
 * A FUSE file takes its lock for a direct write also where io_uring has said
 * not to wait (seen on 6.18), and has it while it flushes, as long as that may
 * take.
 */
static bool is_fuse(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (unsigned long)fs.f_type == FUSE_SUPER_MAGIC;
}

static int set_cache(struct block_claim *claim, enum block_cache cache,
		     unsigned int sector, char error[BLOCK_ERROR_MAX])
{
	struct block_facts *facts = &claim->facts;
	int rc;

	if (cache == BLOCK_CACHE_AUTO || cache == BLOCK_CACHE_NONE) {
		facts->direct = try_direct(claim, sector) == 0 &&
				(cache == BLOCK_CACHE_NONE ||
				 facts->dio_align <= facts->block_size);
		facts->write_waits = facts->direct && is_fuse(claim->fd);
		if (facts->direct)
			return 0;
		if (cache == BLOCK_CACHE_NONE)
			return explain_no_direct(claim, error);
		rc = set_direct(claim, false);
		if (rc)
			return block_explain(error, rc, claim->file,
					     "cannot be set to buffered I/O: "
					     "%s",
					     strerror(-rc));
	}
	facts->dio_align = 1;
	facts->dio_mem_align = 1;
	facts->write_through = cache == BLOCK_CACHE_WRITETHROUGH;
	facts->flush_is_noop = cache == BLOCK_CACHE_UNSAFE;
	return 0;
}

/* ---- opening ---- */

static int lock_all(struct block_claim *claim, char error[BLOCK_ERROR_MAX])
{
	const struct block_facts *facts = &claim->facts;
	const bool waits = claim->user.in_use == BLOCK_IN_USE_WAIT;
	int rc = block_lock_take(claim->fd, claim->file, block_lock_mode(facts),
				 &claim->user, error);

	if (rc)
		return rc;
	if (facts->is_block_device && !facts->readonly) {
		rc = block_store_open_exclusive(claim->fd, claim->file, waits);
		if (rc < 0) {
			block_lock_release(claim->fd);
			return block_store_explain(claim->file, false, rc,
						   error);
		}
		claim->exclusive_fd = rc;
	}
	claim->locked = true;
	return 0;
}

static int first_lock(struct block_claim *claim, char error[BLOCK_ERROR_MAX])
{
	int rc = lock_all(claim, error);

	if (rc != -EAGAIN || !claim->facts.lends)
		return rc;
	/* The first request will need it, not we. */
	if (block_lock_is_lent(claim->fd))
		return 0;
	/* Whoever lent it may have gone between the two looks. */
	return lock_all(claim, error);
}

/* What others are told about, and what tells the file from others. */
static int note_identity(struct block_claim *claim, char error[BLOCK_ERROR_MAX])
{
	struct block_facts *facts = &claim->facts;
	size_t length = strlen(claim->file);
	const char *name = claim->file;
	struct stat st;

	if (fstat(claim->fd, &st) < 0)
		return block_store_explain(claim->file, facts->readonly, -errno,
					   error);
	if (length >= BLOCK_NAME_MAX)
		name += length - (BLOCK_NAME_MAX - 1);
	memcpy(facts->name, name, strlen(name));
	facts->device = st.st_dev;
	facts->inode = st.st_ino;
	facts->rdev = facts->is_block_device ? st.st_rdev : 0;
	return 0;
}

/* What no other claim has, here or elsewhere. */
static uint64_t new_number(void)
{
	return (uint64_t)getpid() << 40 ^ clock_ns();
}

static int open_store(struct block_claim *claim, const char *file,
		      char error[BLOCK_ERROR_MAX])
{
	bool is_block_device = false;
	int rc;

	claim->file = strdup(file);
	if (!claim->file)
		return block_explain(error, -ENOMEM, file, "no memory");
	rc = block_store_open(file, claim->facts.readonly, &is_block_device,
			      error);
	if (rc < 0)
		return rc;
	claim->fd = rc;
	claim->facts.has_file = true;
	claim->facts.is_block_device = is_block_device;
	claim->number = new_number();
	rc = note_identity(claim, error);
	return rc ? rc : first_lock(claim, error);
}

static int measure(struct block_claim *claim,
		   const struct block_image_options *options,
		   char error[BLOCK_ERROR_MAX])
{
	unsigned int sector;
	int rc = block_geometry(claim, options, &sector, error);

	if (rc == 0)
		rc = block_ability(claim, options->file, error);
	if (rc == 0 && options->file)
		rc = set_cache(claim, options->cache, sector, error);
	return rc;
}

/* Open and locked; the caller closes. */
static int open_locked(struct block_claim *claim,
		       const struct block_image_options *options,
		       char error[BLOCK_ERROR_MAX])
{
	*claim = BLOCK_CLAIM_NONE;
	claim->user = options->user;
	claim->facts.readonly = options->readonly;
	claim->facts.lends = options->lends && options->file &&
			     !options->readonly;
	claim->facts.dio_align = 1;
	claim->facts.dio_mem_align = 1;
	return options->file ? open_store(claim, options->file, error) : 0;
}

int block_claim_try(const struct block_image_options *options,
		    char error[BLOCK_ERROR_MAX])
{
	struct block_claim claim;
	int rc = open_locked(&claim, options, error);

	block_claim_close(&claim);
	return rc;
}

int block_claim_open(struct block_claim *claim,
		     const struct block_image_options *options,
		     char error[BLOCK_ERROR_MAX])
{
	int rc = open_locked(claim, options, error);

	if (rc == 0)
		rc = measure(claim, options, error);
	if (rc)
		block_claim_close(claim);
	return rc;
}

/* ---- while it is open ---- */

/* When the file was changed last; 0 where that says nothing. */
static int64_t read_changed_ns(const struct block_claim *claim)
{
	struct stat st;

	if (claim->facts.is_block_device || fstat(claim->fd, &st) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int block_claim_lock(struct block_claim *claim, enum block_in_use in_use,
		     char error[BLOCK_ERROR_MAX])
{
	int64_t changed_ns;
	int rc;

	if (claim->locked || claim->fd < 0)
		return 0;
	claim->user.in_use = in_use;
	rc = lock_all(claim, error);
	if (rc)
		return rc;
	/* What is in the page cache may be from before others wrote. */
	changed_ns = read_changed_ns(claim);
	if (changed_ns == 0 || changed_ns != claim->changed_ns)
		posix_fadvise(claim->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static void close_exclusive(struct block_claim *claim)
{
	if (claim->exclusive_fd >= 0)
		close(claim->exclusive_fd);
	claim->exclusive_fd = -1;
}

void block_claim_unlock(struct block_claim *claim)
{
	if (!claim->locked || claim->fd < 0)
		return;
	claim->changed_ns = read_changed_ns(claim);
	claim->locked = false;
	close_exclusive(claim);
	block_lock_release(claim->fd);
}

bool block_claim_look(struct block_claim *claim)
{
	return block_geometry_look(claim);
}

void block_claim_close(struct block_claim *claim)
{
	close_exclusive(claim);
	if (claim->fd >= 0)
		close(claim->fd);
	free(claim->file);
	claim->file = NULL;
	claim->fd = -1;
	claim->locked = false;
}
