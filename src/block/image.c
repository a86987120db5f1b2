/* SPDX-License-Identifier: MIT */
/*
 * An image: a claimed store, its geometry, and how its cache is used.
 *
 *   claim       open and lock it              (claim.c)
 *   geometry    size and block sizes          (geometry.c)
 *   ability     what it can do with ranges    (ability.c)
 *   cache       O_DIRECT or the page cache    (here, with dio.c)
 *   sync        how it is flushed             (sync.c)
 *
 * cache=auto takes O_DIRECT if the store can do it for every block that the
 * disk will offer, else the page cache with flushes (writeback). cache=none
 * takes it also for smaller blocks than the store's, which costs a read for
 * each write of a part (bounce.c). O_DIRECT is set on the open descriptor, so
 * that there is one open and one lock.
 *
 * The format is never guessed from the content: every image is raw.
 *
 * Failure modes: each leaves one sentence in `error` and nothing open.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "block/image.h"
#include "ability.h"
#include "claim.h"
#include "dio.h"
#include "explain.h"
#include "gate.h"
#include "geometry.h"
#include "sync.h"

/* The smallest part of a disk that can be written. */
#define IMAGE_SECTOR 512u

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

static const char *const image_caches[] = {
	[BLOCK_CACHE_AUTO] = "auto",
	[BLOCK_CACHE_NONE] = "none",
	[BLOCK_CACHE_WRITEBACK] = "writeback",
	[BLOCK_CACHE_WRITETHROUGH] = "writethrough",
	[BLOCK_CACHE_UNSAFE] = "unsafe",
};

#define IMAGE_CACHES (sizeof(image_caches) / sizeof(image_caches[0]))

int block_cache_parse(const char *text, enum block_cache *cache)
{
	unsigned int i;

	for (i = 0; i < IMAGE_CACHES; i++) {
		if (strcmp(text, image_caches[i]) == 0) {
			*cache = (enum block_cache)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *block_cache_name(enum block_cache cache)
{
	assert(cache < IMAGE_CACHES);
	return image_caches[cache];
}

static int set_direct(struct block_image *image, bool on)
{
	int flags = fcntl(image->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_DIRECT : flags & ~O_DIRECT;
	return fcntl(image->fd, F_SETFL, flags) < 0 ? -errno : 0;
}

/*
 * Turn O_DIRECT on. Returns 0, or -EOPNOTSUPP, with dio_align 0 if there is no
 * direct I/O, else what it would ask for.
 */
static int try_direct(struct block_image *image, unsigned int sector)
{
	image->dio_align = 0;
	if (set_direct(image, true) < 0)
		return -EOPNOTSUPP;
	if (!block_dio_probe(image->fd, sector, &image->dio_align,
			     &image->dio_mem_align)) {
		image->dio_align = 0;
		return -EOPNOTSUPP;
	}
	/* A part of a block at the end cannot be written without more of it. */
	return image->size % image->dio_align == 0 ? 0 : -EOPNOTSUPP;
}

static int explain_no_direct(const struct block_image *image, const char *file,
			     char error[BLOCK_ERROR_MAX])
{
	if (image->dio_align)
		return block_explain(error, -EINVAL, file,
				     "cache=none needs a size that is a "
				     "multiple of %u bytes here: make it one "
				     "(truncate -s %%%u) or use "
				     "cache=writeback",
				     image->dio_align, image->dio_align);
	return block_explain(error, -EINVAL, file,
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

static int set_cache(struct block_image *image,
		     const struct block_image_options *options,
		     unsigned int sector, char error[BLOCK_ERROR_MAX])
{
	enum block_cache cache = options->cache;
	int rc;

	if (cache == BLOCK_CACHE_AUTO || cache == BLOCK_CACHE_NONE) {
		image->direct = try_direct(image, sector) == 0 &&
				(cache == BLOCK_CACHE_NONE ||
				 image->dio_align <= image->block_size);
		image->write_waits = image->direct && is_fuse(image->fd);
		if (image->direct)
			return 0;
		if (cache == BLOCK_CACHE_NONE)
			return explain_no_direct(image, options->file, error);
		rc = set_direct(image, false);
		if (rc)
			return block_explain(error, rc, options->file,
					     "cannot be set to buffered I/O: "
					     "%s",
					     strerror(-rc));
	}
	image->dio_align = 1;
	image->dio_mem_align = 1;
	image->write_through = cache == BLOCK_CACHE_WRITETHROUGH;
	image->flush_is_noop = cache == BLOCK_CACHE_UNSAFE;
	return 0;
}

/* What may have been written can be flushed. */
static int set_sync(struct block_image *image, const char *file,
		    char error[BLOCK_ERROR_MAX])
{
	int rc;

	if (image->readonly)
		return 0;
	rc = block_sync_open(image, file);
	if (rc)
		return block_explain(error, rc, file, "no memory");
	image->dsync = image->direct && block_sync_has_own_report(image->sync);
	return 0;
}

/* Drivers may write parts of the store's blocks. */
static int set_gate(struct block_image *image, const char *file,
		    char error[BLOCK_ERROR_MAX])
{
	int rc;

	if (image->readonly || !image->direct ||
	    image->dio_align <= IMAGE_SECTOR)
		return 0;
	rc = block_gate_open(image);
	return rc ? block_explain(error, rc, file, "no memory") : 0;
}

int block_image_open(struct block_image *image,
		     const struct block_image_options *options,
		     char error[BLOCK_ERROR_MAX])
{
	unsigned int sector;
	int rc;

	*image = (struct block_image){
		.fd = -1,
		.exclusive_fd = -1,
		.readonly = options->readonly,
		.lends = options->lends && options->file && !options->readonly,
		.user = options->user,
		.dio_align = 1,
		.dio_mem_align = 1,
	};
	rc = options->file ? block_claim(image, options->file, error) : 0;
	if (rc == 0)
		rc = block_geometry(image, options, &sector, error);
	if (rc == 0)
		rc = block_ability(image, options->file, error);
	if (rc == 0 && options->file)
		rc = set_cache(image, options, sector, error);
	if (rc == 0 && options->file)
		rc = set_sync(image, options->file, error);
	if (rc == 0 && options->file)
		rc = set_gate(image, options->file, error);
	if (rc)
		block_image_close(image);
	return rc;
}

/* When the file was changed last; 0 where that says nothing. */
static int64_t read_changed_ns(const struct block_image *image)
{
	struct stat st;

	if (image->is_block_device || fstat(image->fd, &st) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int block_image_lock(struct block_image *image, const char *file,
		     char error[BLOCK_ERROR_MAX])
{
	int64_t changed_ns;
	int rc;

	if (image->locked || image->fd < 0)
		return 0;
	rc = block_claim_lock(image, file, error);
	if (rc)
		return rc;
	/* What is in the page cache may be from before others wrote. */
	changed_ns = read_changed_ns(image);
	if (changed_ns == 0 || changed_ns != image->changed_ns)
		posix_fadvise(image->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

void block_image_unlock(struct block_image *image)
{
	if (!image->locked || image->fd < 0)
		return;
	image->changed_ns = read_changed_ns(image);
	block_claim_unlock(image);
}

bool block_image_look(struct block_image *image)
{
	return block_geometry_look(image);
}

void block_image_close(struct block_image *image)
{
	block_gate_close(image);
	block_sync_close(image);
	if (image->fd < 0)
		return;
	if (image->exclusive_fd >= 0)
		close(image->exclusive_fd);
	close(image->fd);
	image->exclusive_fd = -1;
	image->fd = -1;
}
