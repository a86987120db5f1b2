/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the power cut test say to each other in files.
 *
 *   log        what the store was told, in order, in the format of the kernel's
 *              dm-log-writes: recorder to replayer
 *   progress   how many entries the log has, in shared memory: recorder to
 *              driver, which notes it beside what it does
 *   journal    what the driver asked for and what it was answered, in order:
 *              driver to replayer
 *
 * Each sector that the driver writes holds which request wrote it and where,
 * and the rest of it follows from that: a sector is of one request, or a
 * mixture.
 */
#ifndef POWER_H
#define POWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECTOR = 512,
	SECTOR_WORDS = SECTOR / 8,
	RUN_MAX = 128,      /* sectors of one request */
	DISK_MAX = 1 << 20, /* sectors */
};

static inline _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, POWER_PROGRAM ": %s: %s\n", what, why);
	exit(1);
}

/*
 * The log: a sector with the head, then a sector for each entry, which its data
 * follow. All is little endian, and so is this machine.
 */
#define LOG_MAGIC UINT64_C(0x6a736677736872)

enum {
	LOG_VERSION = 1,
	/* Flags of an entry. */
	LOG_FLUSH = 1,   /* all entries before are stable */
	LOG_FUA = 2,     /* this one is */
	LOG_DISCARD = 4, /* no data: the sectors are zeroes */
	LOG_MARK = 8,    /* a text behind the entry's head; nothing happens */
};

/* The text of a mark: a flush failed, all that was not stable is lost. */
#define LOG_MARK_LOST "lost"

struct log_head {
	uint64_t magic;
	uint64_t version;
	uint64_t entries;
	uint32_t sector_size;
} __attribute__((packed));

struct log_entry {
	uint64_t sector;
	uint64_t sectors;
	uint64_t flags;
	uint64_t mark_bytes;
};

/* All atomic; the last three are of whole flushes, not of FUA. */
struct progress {
	_Atomic uint64_t entries;
	_Atomic uint64_t begun;
	_Atomic uint64_t flushes;
	_Atomic uint64_t failures;
};

enum journal_event {
	JOURNAL_SUBMIT = 1, /* a request goes to the device */
	JOURNAL_ANSWER,     /* ... and comes back */
	JOURNAL_THROUGH,    /* the device has taken write-through mode */
	JOURNAL_BACK,       /* write-back mode is asked for */
	/* All that was answered is stable, because write-through was chosen. */
	JOURNAL_SETTLED,
};

enum operation { WRITE, ZERO, DISCARD, FLUSH };

/* Its number in the journal is the time. */
struct journal_record {
	uint8_t event;
	uint8_t op;    /* of a request */
	uint8_t bad;   /* ANSWER: it failed */
	uint8_t whole; /* SUBMIT: it is stable when it is answered */
	uint32_t id;   /* of a request, from 1 on */
	uint32_t sector;
	uint32_t sectors;
	/*
	 * Entries of the log: SUBMIT: before, so this request's come later;
	 * others: after, so what led to the event came before.
	 */
	uint64_t entries;
};

static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x7fb5d329728ea185);
	x ^= x >> 27;
	x *= UINT64_C(0x81dadef4bc2dd44d);
	return x ^ x >> 33;
}

static inline void fill_sector(uint64_t words[SECTOR_WORDS], uint32_t id,
			       uint32_t sector)
{
	words[0] = (uint64_t)id << 32 | sector;
	for (unsigned int i = 1; i < SECTOR_WORDS; i++)
		words[i] = mix(words[0] + ((uint64_t)i << 56));
}

/* Pseudo random numbers: the same for the same seed. */
static inline uint64_t draw(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

static inline unsigned int pick(uint64_t *state, unsigned int n)
{
	return (unsigned int)((draw(state) >> 32) * n >> 32);
}

/* A key of the command line with a number for its value. */
struct number_key {
	const char *key;
	unsigned int *to;
};

/* Take KEY=NUMBER; ends the program where there is no such key. */
static inline void take_number(const struct number_key *keys, const char *arg)
{
	const char *value = strchr(arg, '=');

	for (; value && keys->key; keys++) {
		size_t n = strlen(keys->key);

		if (n == (size_t)(value - arg) && !memcmp(arg, keys->key, n)) {
			*keys->to = (unsigned int)strtoul(value + 1, NULL, 0);
			return;
		}
	}
	die(arg, "no such KEY=NUMBER");
}

#endif
