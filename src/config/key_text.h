/* SPDX-License-Identifier: MIT */
/*
 * The keys of a disk as text: for the help, for errors, for the log.
 */
#ifndef CONFIG_KEY_TEXT_H
#define CONFIG_KEY_TEXT_H

#include <stdio.h>

#include "config/key_table.h"

enum { KEY_TEXT_MAX = 160 }; /* bytes, with its NUL */

/* For the help: "on|off", "1..16", "PATH". */
void key_text_values(const struct key_row *row, char text[KEY_TEXT_MAX]);

/* For a sentence that ends with it: "... has to be a number, 1..16". */
void key_text_allowed(const struct key_row *row, char text[KEY_TEXT_MAX]);

/*
 * What is given, in one line that keys_parse() takes; the caller frees it. NULL
 * if there is no memory.
 */
char *key_text_dump(const struct disk_options *disk);

/* The value of one that is given, as it stands in a file: how many bytes. */
int key_text_value(FILE *to, const struct disk_options *disk,
		   enum disk_key key);

/*
 * What holds where nobody has said anything, in words; NULL: nothing does, or
 * keys_set_defaults() gives it.
 */
const char *key_text_otherwise(enum disk_key key, enum disk_front front);

/* The keys, each with its values, a line about it and its default. */
void key_text_help(FILE *to);

#endif
