/* SPDX-License-Identifier: MIT */
/*
 * Keys and values as text: what is allowed, what is in effect, and the help;
 * see config/key_text.h and config/keys.h.
 */
#include "config/key_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POWERS_LISTED_MAX = 4 }; /* as 512|1024|2048|4096; more as a range */

/* ---- what is allowed ---- */

static void join_words(const struct key_row *row, char text[KEY_TEXT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; row->words[i] && n < KEY_TEXT_MAX; i++)
		n += (size_t)snprintf(text + n, KEY_TEXT_MAX - n, "%s%s",
				      i ? "|" : "", row->words[i]);
}

static void join_powers(const struct key_row *row, char text[KEY_TEXT_MAX])
{
	size_t n = 0;

	if (row->max / row->min >> POWERS_LISTED_MAX) {
		snprintf(text, KEY_TEXT_MAX,
			 "a power of two, %" PRIu64 "..%" PRIu64, row->min,
			 row->max);
		return;
	}
	for (uint64_t i = row->min; i <= row->max && n < KEY_TEXT_MAX; i *= 2)
		n += (size_t)snprintf(text + n, KEY_TEXT_MAX - n, "%s%" PRIu64,
				      i == row->min ? "" : "|", i);
}

void key_text_values(const struct key_row *row, char text[KEY_TEXT_MAX])
{
	switch (row->kind) {
	case KIND_TEXT:
		snprintf(text, KEY_TEXT_MAX, "%s", row->value);
		break;
	case KIND_WORD:
	case KIND_CHOICE:
		join_words(row, text);
		break;
	case KIND_ON_OFF:
		snprintf(text, KEY_TEXT_MAX, "on|off");
		break;
	case KIND_NUMBER:
		snprintf(text, KEY_TEXT_MAX, "%" PRIu64 "..%" PRIu64, row->min,
			 row->max);
		break;
	case KIND_POWER:
		join_powers(row, text);
		break;
	case KIND_BYTES:
		snprintf(text, KEY_TEXT_MAX, "BYTES");
		break;
	}
}

static void put_allowed(const struct key_row *row, char text[KEY_TEXT_MAX])
{
	if (row->kind == KIND_TEXT)
		snprintf(text, KEY_TEXT_MAX,
			 "%s of %" PRIu64 " to %" PRIu64 " bytes", row->noun,
			 row->min, row->max);
	else if (row->kind == KIND_BYTES)
		snprintf(text, KEY_TEXT_MAX,
			 "a number of bytes, below 2^64; K, "
			 "M, G or T behind it stand for powers of 1024");
	else if (row->kind == KIND_NUMBER)
		snprintf(text, KEY_TEXT_MAX, "a number, %" PRIu64 "..%" PRIu64,
			 row->min, row->max);
	else
		key_text_values(row, text);
}

void key_text_allowed(const struct key_row *row, char text[KEY_TEXT_MAX])
{
	size_t n;

	put_allowed(row, text);
	n = strlen(text);
	if (row->may_be_empty)
		snprintf(text + n, KEY_TEXT_MAX - n,
			 "; or nothing, for the default");
}

/* ---- what is in effect ---- */

static void dump_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			fputc(',', to);
		fputc(*text, to);
	}
}

/* Of a row that may be empty. No size is one of 0 as well. */
static bool is_empty(const void *at, const struct key_row *row)
{
	switch (row->kind) {
	case KIND_TEXT:
		return !*(const char *const *)at;
	case KIND_POWER:
		return !*(const unsigned int *)at;
	default:
		return false;
	}
}

int key_text_value(FILE *to, const struct disk_options *disk, enum disk_key key)
{
	const struct key_row *row = &key_table[key];
	const void *at = key_member_of(disk, row);

	if (row->may_be_empty && is_empty(at, row))
		return 0;
	switch (row->kind) {
	case KIND_TEXT:
	case KIND_WORD:
		return fprintf(to, "%s", *(const char *const *)at);
	case KIND_CHOICE:
		return fprintf(to, "%s", row->words[*(const unsigned int *)at]);
	case KIND_ON_OFF:
		return fprintf(to, "%s", *(const bool *)at ? "on" : "off");
	case KIND_NUMBER:
	case KIND_POWER:
		return fprintf(to, "%u", *(const unsigned int *)at);
	case KIND_BYTES:
		return fprintf(to, "%" PRIu64, *(const uint64_t *)at);
	}
	return 0;
}

static void dump_value(FILE *to, const struct disk_options *disk,
		       enum disk_key key)
{
	const char *const *text = key_member_of(disk, &key_table[key]);

	if (key_table[key].kind == KIND_TEXT && *text)
		dump_text(to, *text);
	else
		key_text_value(to, disk, key);
}

static void dump(FILE *to, const struct disk_options *disk)
{
	const char *between = "";

	for (unsigned int i = 0; i < KEYS; i++) {
		if (!keys_is_given(disk, i))
			continue;
		fprintf(to, "%s%s=", between, key_table[i].name);
		dump_value(to, disk, i);
		between = ",";
	}
}

char *key_text_dump(const struct disk_options *disk)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	if (!to)
		return NULL;
	dump(to, disk);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- the help ---- */

const char *key_text_otherwise(enum disk_key key, enum disk_front front)
{
	return key_table[key].otherwise[front];
}

/* "  [1; with vhost-user 16]", or nothing. */
static void help_default(FILE *to, const struct key_row *row)
{
	const char *xen = row->by_default[DISK_FOR_XEN];
	const char *vhost = row->by_default[DISK_FOR_VHOST];

	if (!xen && !vhost) {
		xen = row->otherwise[DISK_FOR_XEN];
		vhost = row->otherwise[DISK_FOR_VHOST];
	}
	if (!xen && !vhost)
		return;
	fprintf(to, "  [%s", xen ? xen : vhost);
	if (!xen)
		fputs("; with vhost-user only", to);
	else if (!vhost)
		fputs("; with --domain only", to);
	else if (strcmp(xen, vhost) != 0)
		fprintf(to, "; with vhost-user %s", vhost);
	fputc(']', to);
}

/* Where it may not stand. */
static const char *help_places(const struct key_row *row)
{
	if (row->not_in[PLACE_GUEST])
		return "  (not in files)";
	return row->not_in[PLACE_DEFAULTS] ? "  (not in [defaults])" : "";
}

void key_text_help(FILE *to)
{
	char values[KEY_TEXT_MAX];

	for (unsigned int i = 0; i < KEYS; i++) {
		key_text_values(&key_table[i], values);
		fprintf(to, "  %s=%s", key_table[i].name, values);
		help_default(to, &key_table[i]);
		fprintf(to, "%s\n        %s\n", help_places(&key_table[i]),
			key_table[i].help);
	}
}
