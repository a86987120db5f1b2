/* SPDX-License-Identifier: MIT */
/*
 * An image as a power cut may leave it: of the first N entries of a log what is
 * stable, and of the others each by its luck, whole or sector by sector.
 *
 * usage: cut LOG IMAGE [sectors=N] [entries=N] [seed=N]
 *	  cut LOG -			how many entries the log has
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define POWER_PROGRAM "cut"
#include "power.h"

struct piece {
	uint64_t sector, sectors;
	const uint8_t *data; /* NULL: zeroes */
};

static unsigned int sectors = 4096, entries, seed = 1;
static uint64_t random_state;
static uint8_t *disk;
static struct piece *tail; /* since the last flush */
static uint64_t ntail;

static void put_sector(const struct piece *p, uint64_t i)
{
	uint8_t *to = disk + (p->sector + i) * SECTOR;

	if (p->data)
		memcpy(to, p->data + i * SECTOR, SECTOR);
	else
		memset(to, 0, SECTOR);
}

/* `chance` of 16 for each sector. */
static void put_piece(const struct piece *p, unsigned int chance)
{
	if (p->sector + p->sectors > sectors)
		die("the log", "is of a larger disk");
	for (uint64_t i = 0; i < p->sectors; i++)
		if (chance == 16 || pick(&random_state, 16) < chance)
			put_sector(p, i);
}

static void flush(void)
{
	for (uint64_t i = 0; i < ntail; i++)
		put_piece(&tail[i], 16);
	ntail = 0;
}

/* The next entry: what is behind it. A FUA write is no flush of the others. */
static const uint8_t *take_entry(const uint8_t *at, const uint8_t *end)
{
	const struct log_entry *e = (const void *)at;
	struct piece p = { .sector = e->sector, .sectors = e->sectors };

	at += SECTOR;
	if (at > end)
		die("the log", "is cut off");
	if (e->flags & LOG_MARK)
		return at;
	if (!(e->flags & LOG_DISCARD) && p.sectors) {
		if ((uint64_t)(end - at) / SECTOR < p.sectors)
			die("the log", "is cut off");
		p.data = at;
		at += p.sectors * SECTOR;
	}
	if (e->flags & LOG_FUA)
		die("the log", "has FUA writes: not for here");
	if (p.sectors)
		tail[ntail++] = p;
	if (e->flags & LOG_FLUSH)
		flush();
	return at;
}

static void cut(void)
{
	for (uint64_t i = 0; i < ntail; i++) {
		unsigned int luck = pick(&random_state, 4);

		/* Not there, in parts, or there. */
		if (luck)
			put_piece(&tail[i], luck == 1 ? 8 : 16);
	}
}

static const uint8_t *map_log(const char *path, size_t *size)
{
	FILE *f = fopen(path, "r");
	struct stat st;
	void *log;

	if (!f || fstat(fileno(f), &st) || (size_t)st.st_size < SECTOR)
		die(path, "is no log");
	*size = (size_t)st.st_size;
	log = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fileno(f), 0);
	fclose(f);
	if (log == MAP_FAILED)
		die(path, strerror(errno));
	return log;
}

static void write_image(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(disk, SECTOR, sectors, f) != sectors || fclose(f))
		die(path, strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct number_key keys[] = {
		{ "sectors", &sectors },
		{ "entries", &entries },
		{ "seed", &seed },
		{ NULL, NULL },
	};
	const struct log_head *head;
	const uint8_t *log, *at;
	size_t size;

	if (argc < 3)
		die("usage", "cut LOG IMAGE [KEY=NUMBER]...");
	for (int i = 3; i < argc; i++)
		take_number(keys, argv[i]);
	log = map_log(argv[1], &size);
	head = (const void *)log;
	if (head->magic != LOG_MAGIC || entries > head->entries)
		die(argv[1], "is no log, or too short");
	if (!strcmp(argv[2], "-")) {
		printf("%llu\n", (unsigned long long)head->entries);
		return 0;
	}
	random_state = seed;
	disk = calloc(sectors, SECTOR);
	tail = calloc(entries + 1, sizeof(*tail));
	if (!disk || !tail)
		die("memory", strerror(errno));
	at = log + SECTOR;
	for (unsigned int i = 0; i < entries; i++)
		at = take_entry(at, log + size);
	cut();
	write_image(argv[2]);
	return 0;
}
