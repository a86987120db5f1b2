/* SPDX-License-Identifier: MIT */
/*
 * The table of a disk's keys: for the files that make the parser, the help and
 * the dump of it (config/keys.h is for all others).
 */
#ifndef CONFIG_KEY_TABLE_H
#define CONFIG_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/disk_options.h"

enum key_kind {
	KIND_TEXT,   /* char *, owned; `min` to `max` bytes */
	KIND_WORD,   /* const char *, one of `words` */
	KIND_CHOICE, /* an enum, the index of one of `words` */
	KIND_ON_OFF, /* bool */
	KIND_NUMBER, /* unsigned int, `min` to `max` */
	KIND_POWER,  /* the same, and a power of two */
	KIND_BYTES,  /* uint64_t */
};

struct key_row {
	const char *name;
	enum key_kind kind;
	size_t offset; /* of its member in struct disk_options */
	uint64_t min, max;
	const char *const *words; /* ended by NULL */
	/* Whether this build has a word; NULL: it has all. */
	bool (*has)(const char *word);
	const char *value; /* of a text: what the help calls it */
	const char *noun;  /* ... and what it has to be */
	const char *help;
	const char *by_default[DISK_FRONTS]; /* as it is parsed; NULL: none */
	/* What holds without a default that can be parsed, in words. */
	const char *otherwise[DISK_FRONTS];
	/* Why it is of no use there; NULL: it is. */
	const char *not_there[DISK_FRONTS];
	/* Why it cannot be said there; NULL: it can. */
	const char *not_in[KEY_PLACES];
	/*
	 * A value may be empty: as if nobody had said anything. What is zeroed
	 * means that.
	 */
	bool may_be_empty;
};

/* By enum disk_key. */
extern const struct key_row key_table[KEYS];

/* The member of a row: of the type that its kind says. */
static inline void *key_member(struct disk_options *disk,
			       const struct key_row *row)
{
	return (char *)disk + row->offset;
}

static inline const void *key_member_of(const struct disk_options *disk,
					const struct key_row *row)
{
	return (const char *)disk + row->offset;
}

#endif
