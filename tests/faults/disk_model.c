/* SPDX-License-Identifier: MIT */
/* What a disk may read as; see disk_model.h. */
#include "disk_model.h"

#include <string.h>

#include "faults.h"

void disk_model_init(struct disk_model *m)
{
	m->generation = 0;
	for (unsigned int i = 0; i < MODEL_SECTORS; i++)
		m->allowed[i] = 1;
}

unsigned int disk_model_next(struct disk_model *m)
{
	if (++m->generation == MODEL_GENERATIONS)
		give_up("more generations than the model has");
	return m->generation;
}

static void fill_sector(uint8_t *data, uint64_t sector, unsigned int generation)
{
	uint64_t words[SECTOR / 8];
	uint64_t x = sector << 8 | generation;

	memset(words, 0, sizeof(words));
	for (unsigned int i = 0; generation && i < SECTOR / 8; i++) {
		x = (x + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		words[i] = x ^ x >> 29;
	}
	memcpy(data, words, SECTOR);
}

void disk_model_fill(uint8_t *data, uint64_t sector, size_t n,
		     unsigned int generation)
{
	for (size_t i = 0; i < n; i++)
		fill_sector(data + i * SECTOR, sector + i, generation);
}

void disk_model_wrote(struct disk_model *m, uint64_t sector, size_t n,
		      unsigned int generation, bool surely)
{
	for (size_t i = 0; i < n; i++) {
		if (surely)
			m->allowed[sector + i] = 0;
		m->allowed[sector + i] |= UINT64_C(1) << generation;
	}
}

static bool sector_is(const struct disk_model *m, const uint8_t *data,
		      uint64_t sector)
{
	uint8_t wanted[SECTOR];

	for (unsigned int g = 0; g <= m->generation; g++) {
		if (!(m->allowed[sector] >> g & 1))
			continue;
		fill_sector(wanted, sector, g);
		if (!memcmp(data, wanted, SECTOR))
			return true;
	}
	return false;
}

bool disk_model_is(const struct disk_model *m, const uint8_t *data,
		   uint64_t sector, size_t n, uint64_t *bad)
{
	for (size_t i = 0; i < n; i++)
		if (!sector_is(m, data + i * SECTOR, sector + i)) {
			*bad = sector + i;
			return false;
		}
	return true;
}
