/* SPDX-License-Identifier: MIT */
/*
 * A worker that can be killed: in a thread of its own, with its own loop, at
 * the other end of the link. A dead one stands still for ever, and all that its
 * process would have had open is closed; its memory stays, which nobody sees. A
 * file that requests are in flight for stays open until they end.
 *
 * In place of worker_local(): the test is linked with -Wl,--wrap=worker_local,
 * --wrap=block_image_open, --wrap=shared_file_map and --wrap=munmap. Its disks
 * are to have the threads engine, of which nothing but the image's descriptors
 * has the image's locks.
 */
#ifndef MODEL_WORKER_H
#define MODEL_WORKER_H

#include "block/image.h"
#include "worker/starter.h"

struct loop;

struct worker_starter *__wrap_worker_local(struct loop *loop);
int __wrap_block_image_open(struct block_image *image, struct block_part *part,
			    char error[BLOCK_ERROR_MAX]);
int __real_block_image_open(struct block_image *image, struct block_part *part,
			    char error[BLOCK_ERROR_MAX]);

int __wrap_shared_file_map(void **memory, int fd, size_t size);
int __real_shared_file_map(void **memory, int fd, size_t size);
int __wrap_munmap(void *memory, size_t size);
int __real_munmap(void *memory, size_t size);

/* Kill the one that runs, as by a signal, and wait until it is dead. */
void worker_kill(void);

/* The caller, which is in a worker's thread, is killed. */
_Noreturn void worker_die(void);

/* Where a worker comes by: it stands still here if it was killed. */
void worker_passes(void);

/*
 * Requests for this file of those that die from now on are in flight; NULL:
 * they end now, and so will others.
 */
void worker_holds(const char *file);

/* Ends are not told to the monitor; or are again. */
void worker_hides(bool on);

/* How many were started, and how many of them are no more. */
unsigned int workers_started(void);
unsigned int workers_gone(void);

#endif
