/* SPDX-License-Identifier: MIT */
/*
 * What the tests of src/block share: a scratch directory, images with known
 * content, and waiting for an engine the way a loop does (epoll on its fd, so
 * that a lost wake-up ends in the alarm instead of passing unseen).
 */
#ifndef BLOCK_HARNESS_H
#define BLOCK_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "block/engine.h"
#include "block/image.h"

#include "lib/block_whole.h"

#define HARNESS_TIMEOUT 120 /* seconds for a whole program */
#define HARNESS_MAX 64      /* requests that harness_wait() collects */

extern char harness_dir[128];

/* A group's setup and teardown. */
int harness_setup(void **state);

int harness_teardown(void **state);

/* The path of a name in the scratch directory, valid until the next call. */
const char *harness_path(const char *name);

/* xorshift: the same sequence in every run. */
uint32_t harness_random(void);

void harness_fill(unsigned char *memory, size_t size);

/* Create a file with random content; returns the content, malloc'd. */
unsigned char *harness_create(const char *name, size_t size);

/* Compare a file with what it should be, through the page cache. */
void harness_check(const char *name, const unsigned char *content, size_t size);

void harness_open_image(struct block_image *image, const char *name,
			enum block_cache cache);

/* An engine that this machine does not have skips the test. */
struct block_engine *harness_open_engine(const char *name,
					 struct block_image *image,
					 unsigned int depth);

/* Is the engine's fd readable within `timeout` ms (-1: for ever)? */
bool harness_is_readable(struct block_engine *engine, int timeout);

/*
 * Take what there is, or sleep until the engine has something and take it,
 * which may be nothing yet.
 */
struct block_request *harness_wait(struct block_engine *engine);

/* Do one request to its end; returns its result. */
int harness_do(struct block_engine *engine, struct block_request *req);

int harness_transfer(struct block_engine *engine, enum block_op op,
		     unsigned int flags, uint64_t offset, void *memory,
		     size_t size);

/* FLUSH, DISCARD, WRITE_ZEROES. */
int harness_command(struct block_engine *engine, enum block_op op,
		    unsigned int flags, uint64_t offset, uint64_t length);

/*
 * After a failed flush: every flush and stable write fails from now on, also by
 * another engine of the image, while plain writes and reads go on; until the
 * image is opened again.
 */
void harness_check_sticky(const char *name, struct block_image *image,
			  struct block_engine *engine);

/* An engine at rest: nothing in flight, nothing readable, nothing to reap. */
void harness_check_idle(struct block_engine *engine);

#endif
