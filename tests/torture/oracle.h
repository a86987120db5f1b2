/* SPDX-License-Identifier: MIT */
/*
 * What a disk has to read as: for each sector the generations of its data that
 * were begun and acknowledged.
 *
 * The words of a sector: its number, its generation, the number of the request
 * and the daemon and queue that the request was for; all others follow from
 * these by a checksum. So a sector tells what wrote it, whole or torn.
 *
 * At most one write of a sector is under way at a time. A read may return any
 * generation from the one that was acknowledged when it began to the one that
 * was begun when it ended, and a mixture of two where it overlaps a write. What
 * stays on the image is never a mixture.
 */
#ifndef TORTURE_ORACLE_H
#define TORTURE_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

enum { SECTOR = 512 };

struct oracle {
	uint32_t nsectors;
	uint32_t *acked;  /* generation; 0: zeroes */
	uint32_t *begun;  /* the same, or one more */
	uint64_t *zeroed; /* a bit for each of the last 64 generations */
};

void oracle_init(struct oracle *o, uint32_t nsectors);
void oracle_finish(struct oracle *o);

/* Whether no write of these sectors is under way. */
bool oracle_is_free(const struct oracle *o, uint32_t first, uint32_t n);

/* A write of these sectors begins: its data into `data`. */
void oracle_write(struct oracle *o, uint32_t first, uint32_t n, void *data,
		  uint64_t request, uint32_t place);

/* They are about to be zeroes. */
void oracle_zero(struct oracle *o, uint32_t first, uint32_t n);

/* What was begun of them is acknowledged. */
void oracle_ack(struct oracle *o, uint32_t first, uint32_t n);

/*
 * Dies if what was read of these sectors is not what it may be. `since`: of
 * each the acknowledged generation when the read began; NULL: as of now.
 */
void oracle_check(const struct oracle *o, uint32_t first, uint32_t n,
		  const void *data, const uint32_t *since, const char *what);

/*
 * How many sectors of an image are wrong; the first ones are told. Waits until
 * nobody else has its lock.
 */
uint32_t oracle_check_image(const struct oracle *o, const char *path);

#endif
