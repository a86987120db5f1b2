/* SPDX-License-Identifier: MIT */
/*
 * Values of options: each function returns 0, or -EINVAL and may have changed
 * `to` then.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A copy of `value`, of `min` to `max` bytes, in place of the string that `*to`
 * owns; or -ENOMEM.
 */
int value_text(char **to, const char *value, size_t min, size_t max);

/* on, yes, 1; off, no, 0. */
int value_bool(bool *to, const char *value);

/* A number with an optional K, M, G or T of 1024, in small letters as well. */
int value_size(uint64_t *to, const char *value);

/* The same, from `min` to `max`, which is at most UINT_MAX. */
int value_number(unsigned int *to, const char *value, uint64_t min,
		 uint64_t max);

#endif
