/* SPDX-License-Identifier: MIT */
/*
 * Values of options; see config/values.h.
 */
#include "config/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int value_text(char **to, const char *value, size_t min, size_t max)
{
	size_t bytes = strlen(value);
	char *copy;

	if (bytes < min || bytes > max)
		return -EINVAL;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

int value_bool(bool *to, const char *value)
{
	if (!strcmp(value, "on") || !strcmp(value, "yes") ||
	    !strcmp(value, "1"))
		*to = true;
	else if (!strcmp(value, "off") || !strcmp(value, "no") ||
		 !strcmp(value, "0"))
		*to = false;
	else
		return -EINVAL;
	return 0;
}

int value_size(uint64_t *to, const char *value)
{
	static const char suffixes[] = "KMGTkmgt";
	const char *suffix;
	unsigned int shift = 0;
	char *end;

	if (*value < '0' || *value > '9')
		return -EINVAL;
	errno = 0;
	/* Not 0: that would take 010 for octal. */
	*to = strtoull(value, &end, value[1] == 'x' ? 16 : 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * ((unsigned int)(suffix - suffixes) % 4 + 1);
	}
	if (*to > UINT64_MAX >> shift)
		return -EINVAL;
	*to <<= shift;
	return 0;
}

int value_number(unsigned int *to, const char *value, uint64_t min,
		 uint64_t max)
{
	uint64_t n;

	if (value_size(&n, value) || n < min || n > max)
		return -EINVAL;
	*to = (unsigned int)n;
	return 0;
}
