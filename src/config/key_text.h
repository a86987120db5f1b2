/* SPDX-License-Identifier: MIT */
/*
 * What the values of a key may be, as text.
 */
#ifndef CONFIG_KEY_TEXT_H
#define CONFIG_KEY_TEXT_H

#include "config/key_table.h"

enum { KEY_TEXT_MAX = 160 }; /* bytes, with its NUL */

/* For the help: "on|off", "1..16", "PATH". */
void key_text_values(const struct key_row *row, char text[KEY_TEXT_MAX]);

/* For a sentence that ends with it: "... has to be a number, 1..16". */
void key_text_allowed(const struct key_row *row, char text[KEY_TEXT_MAX]);

#endif
