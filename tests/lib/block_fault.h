/* SPDX-License-Identifier: MIT */
/*
 * What the fault tests of the kernel's engines share: an image of N blocks that
 * is moved by as many requests, and submissions that are refused. The program
 * puts itself in front of the engine's submitting call, and of fdatasync, with
 * --wrap.
 */
#ifndef BLOCK_FAULT_H
#define BLOCK_FAULT_H

#include "lib/block_harness.h"

#define N 16u
#define BLOCK 4096u
#define SIZE (N * BLOCK)

extern int refuse_wait;
extern int refuse_count;
extern int refuse_error;
extern unsigned int short_to;
extern int calls, stable, syncs;

extern struct block_image image;
extern struct block_engine *engine;
extern unsigned char *content;
extern unsigned char *memory;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

/* Counts the submission; whether it is refused, with refuse_error. */
bool fault_refuses(void);

void fault_open(const char *name, enum block_cache cache);

void fault_close(void);

/*
 * `count` requests at once, of a block each, over and over the image; returns
 * how many failed. From its end to its start: they are not merged.
 */
unsigned int do_many(enum block_op op, unsigned int count, int error);

/* Read or write the whole image with N requests; returns how many failed. */
unsigned int do_all(enum block_op op, int error);

void check_all_good(void);

/* One request of several pieces, none of which is moved wholly at once. */
void check_short_pieces(void);

/* A shortage that does not end does not hang, and then goes on. */
void check_lasting_shortage(void);

/* A write that is to be stable carries that with O_DIRECT, else is synced. */
void check_flush(void);

void check_sticky(const char *name);

#endif
