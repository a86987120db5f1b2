/* SPDX-License-Identifier: MIT */
/*
 * What each sector of a disk may read as: the generation that was written last,
 * and, where a write failed, the one before or the one that failed. Generation
 * 0 is zeroes.
 */
#ifndef FAULTS_DISK_MODEL_H
#define FAULTS_DISK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SECTOR = 512,
	MODEL_SECTORS = 2048,
	MODEL_GENERATIONS = 64,
};

struct disk_model {
	uint64_t allowed[MODEL_SECTORS]; /* bit: generation */
	unsigned int generation;         /* the last one */
};

void disk_model_init(struct disk_model *m);

/* A new generation, and `n` sectors of it. */
unsigned int disk_model_next(struct disk_model *m);
void disk_model_fill(uint8_t *data, uint64_t sector, size_t n,
		     unsigned int generation);

/* It was written, or it may have been. */
void disk_model_wrote(struct disk_model *m, uint64_t sector, size_t n,
		      unsigned int generation, bool surely);

/* Whether the data is right; else the first sector that is not, in `bad`. */
bool disk_model_is(const struct disk_model *m, const uint8_t *data,
		   uint64_t sector, size_t n, uint64_t *bad);

#endif
