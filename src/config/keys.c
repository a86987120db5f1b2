/* SPDX-License-Identifier: MIT */
/*
 * The keys of a disk, by the table of config/key_table.h; see config/keys.h.
 *
 * Failures: each sentence names the key, the value as far as there is room for
 * it, and what is allowed. A key that is given twice in one layer is an error:
 * one of the two would be forgotten.
 */
#include "config/keys.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/key_table.h"
#include "config/key_text.h"
#include "config/nearest.h"
#include "config/values.h"

enum { SHOWN_MAX = 80 }; /* bytes of a value in a sentence */

const char *keys_name(enum disk_key key)
{
	return key_table[key].name;
}

/* -EINVAL, and "KEY=VALUE: ..." in `error`. */
__attribute__((format(printf, 4, 5))) static int
explain(char error[BLOCK_ERROR_MAX], const char *key, const char *value,
	const char *format, ...)
{
	int n = snprintf(error, BLOCK_ERROR_MAX, "%.*s=%.*s%s: ", SHOWN_MAX,
			 key, SHOWN_MAX, value,
			 strlen(value) > SHOWN_MAX ? "..." : "");
	va_list args;

	va_start(args, format);
	vsnprintf(error + n, BLOCK_ERROR_MAX - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- setting a value ---- */

static bool power_of_two(uint64_t n)
{
	return n && (n & (n - 1)) == 0;
}

/* The index of a word of the row, or -EINVAL. */
static int find_word(const struct key_row *row, const char *value)
{
	for (int i = 0; row->words[i]; i++)
		if (!strcmp(row->words[i], value))
			return i;
	return -EINVAL;
}

static int set_word(void *to, const struct key_row *row, const char *value)
{
	int i = find_word(row, value);

	if (i < 0)
		return i;
	if (row->kind == KIND_WORD)
		*(const char **)to = row->words[i];
	else
		*(unsigned int *)to = (unsigned int)i;
	return 0;
}

static int set_number(unsigned int *to, const struct key_row *row,
		      const char *value)
{
	int r = value_number(to, value, row->min, row->max);

	if (r == 0 && row->kind == KIND_POWER && !power_of_two(*to))
		return -EINVAL;
	return r;
}

/* As if it had not been said: what is below it does not count either. */
static int set_empty(void *to, const struct key_row *row)
{
	switch (row->kind) {
	case KIND_TEXT:
		free(*(char **)to);
		*(char **)to = NULL;
		return 0;
	case KIND_NUMBER:
	case KIND_POWER:
		*(unsigned int *)to = 0;
		return 0;
	case KIND_BYTES:
		*(uint64_t *)to = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

/* 0 or -EINVAL; -ENOMEM. */
static int set_member(void *to, const struct key_row *row, const char *value)
{
	if (!*value && row->may_be_empty)
		return set_empty(to, row);
	switch (row->kind) {
	case KIND_TEXT:
		return value_text(to, value, row->min, row->max);
	case KIND_WORD:
	case KIND_CHOICE:
		return set_word(to, row, value);
	case KIND_ON_OFF:
		return value_bool(to, value);
	case KIND_NUMBER:
	case KIND_POWER:
		return set_number(to, row, value);
	case KIND_BYTES:
		return value_size(to, value);
	}
	return -EINVAL;
}

enum disk_key keys_find(const char *name)
{
	enum disk_key key = 0;

	while (key < KEYS && strcmp(key_table[key].name, name) != 0)
		key++;
	return key;
}

/* -EINVAL, and which one may be meant. */
static int unknown(const char *key, char error[BLOCK_ERROR_MAX])
{
	struct nearest nearest = nearest_to(key);

	for (unsigned int i = 0; i < KEYS; i++)
		nearest_offer(&nearest, key_table[i].name);
	snprintf(error, BLOCK_ERROR_MAX,
		 "unknown key \"%.*s\" of a disk; %s%s%s--help lists them",
		 SHOWN_MAX, key, nearest.found ? "is " : "",
		 nearest.found ? nearest.found : "",
		 nearest.found ? "= meant? " : "");
	return -EINVAL;
}

int keys_set(struct disk_options *disk, enum key_place place, const char *key,
	     const char *value, char error[BLOCK_ERROR_MAX])
{
	const enum disk_key found = keys_find(key);
	const struct key_row *row = &key_table[found];
	char allowed[KEY_TEXT_MAX];
	int r;

	if (found == KEYS)
		return unknown(key, error);
	if (row->not_in[place])
		return explain(error, key, value, "not here: %s",
			       row->not_in[place]);
	if (keys_is_given(disk, found))
		return explain(error, key, value, "%s= is given twice", key);
	r = set_member(key_member(disk, row), row, value);
	if (r == -ENOMEM) {
		explain(error, key, value, "no memory");
		return r;
	}
	if (r) {
		key_text_allowed(row, allowed);
		return explain(error, key, value, "the value has to be %s",
			       allowed);
	}
	if (row->has && !row->has(value))
		return explain(error, key, value,
			       "this build does not have "
			       "it; use %s=auto",
			       key);
	disk->given |= KEY_BIT(found);
	return 0;
}

/*
 * Cut the next "KEY=VALUE" off `*text`; ",," stands for a comma. Tells whether
 * a single comma ended it.
 */
static char *next_item(char **text, bool *comma)
{
	char *item = *text;
	char *to = item;
	char *from = item;

	*comma = false;
	for (; *from; from++) {
		if (*from == ',' && *++from != ',') {
			*comma = true;
			break;
		}
		*to++ = *from;
	}
	*text = from;
	*to = '\0';
	return item;
}

static int parse_item(struct disk_options *disk, char *item,
		      char error[BLOCK_ERROR_MAX])
{
	char *value = strchr(item, '=');

	if (!value) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "\"%.*s\" is not KEY=VALUE; a comma in a value is "
			 "written twice",
			 SHOWN_MAX, item);
		return -EINVAL;
	}
	*value++ = '\0';
	return keys_set(disk, PLACE_LINE, item, value, error);
}

int keys_parse(struct disk_options *disk, const char *text,
	       char error[BLOCK_ERROR_MAX])
{
	char *copy = strdup(text);
	char *rest = copy;
	bool comma = *text;
	int r = 0;

	if (!copy) {
		snprintf(error, BLOCK_ERROR_MAX, "no memory");
		return -ENOMEM;
	}
	/* After a comma there has to be something. */
	while (r == 0 && comma)
		r = parse_item(disk, next_item(&rest, &comma), error);
	free(copy);
	return r;
}

/* ---- layers ---- */

static int copy_text(char **to, const char *from)
{
	char *copy = from ? strdup(from) : NULL;

	if (from && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static size_t member_bytes(const struct key_row *row)
{
	switch (row->kind) {
	case KIND_WORD:
		return sizeof(const char *);
	case KIND_ON_OFF:
		return sizeof(bool);
	case KIND_BYTES:
		return sizeof(uint64_t);
	default:
		return sizeof(unsigned int);
	}
}

static int copy_member(struct disk_options *to, const struct disk_options *from,
		       const struct key_row *row)
{
	if (row->kind == KIND_TEXT)
		return copy_text(key_member(to, row),
				 *(char *const *)key_member_of(from, row));
	memcpy(key_member(to, row), key_member_of(from, row),
	       member_bytes(row));
	return 0;
}

int keys_merge(struct disk_options *to, const struct disk_options *from)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < KEYS; i++)
		if (keys_is_given(from, i))
			r = copy_member(to, from, &key_table[i]);
	if (r == 0)
		to->given |= from->given;
	return r;
}

int keys_set_defaults(struct disk_options *disk, enum disk_front front)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < KEYS; i++) {
		if (!key_table[i].by_default[front])
			continue;
		r = set_member(key_member(disk, &key_table[i]), &key_table[i],
			       key_table[i].by_default[front]);
		disk->given |= KEY_BIT(i);
	}
	assert(r != -EINVAL);
	return r;
}

/* ---- the whole ---- */

/* What is asked for where a key may be of no use: NULL if that is nothing. */
static const char *asked(const struct disk_options *disk,
			 const struct key_row *row, char text[KEY_TEXT_MAX])
{
	const void *at = key_member_of(disk, row);

	if (row->kind == KIND_ON_OFF)
		return *(const bool *)at ? "on" : NULL;
	snprintf(text, KEY_TEXT_MAX, "%u", *(const unsigned int *)at);
	return strcmp(text, "0") ? text : NULL;
}

int keys_check_front(const struct disk_options *disk, enum disk_front front,
		     char error[BLOCK_ERROR_MAX])
{
	for (unsigned int i = 0; i < KEYS; i++) {
		const struct key_row *row = &key_table[i];
		char text[KEY_TEXT_MAX];
		const char *value;

		if (!row->not_there[front] || !keys_is_given(disk, i))
			continue;
		value = asked(disk, row, text);
		if (value)
			return explain(error, row->name, value,
				       "not with %s: %s",
				       front == DISK_FOR_XEN ? "--domain" :
							       "vhost-user",
				       row->not_there[front]);
	}
	return 0;
}

void keys_finish(struct disk_options *disk)
{
	for (unsigned int i = 0; i < KEYS; i++)
		if (key_table[i].kind == KIND_TEXT)
			free(*(char **)key_member(disk, &key_table[i]));
	memset(disk, 0, sizeof(*disk));
}
