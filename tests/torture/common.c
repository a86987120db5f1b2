/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <stdarg.h>

#include "daemon.h"

_Noreturn void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "    ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	/* What hangs is looked at with its log; nothing is left running. */
	daemon_end_all();
	exit(1);
}

static void take_key(const struct key *keys, size_t n, const char *arg)
{
	const char *value = strchr(arg, '=');

	for (size_t i = 0; value && i < n; i++) {
		if (strlen(keys[i].name) != (size_t)(value - arg) ||
		    strncmp(keys[i].name, arg, (size_t)(value - arg)) != 0)
			continue;
		if (keys[i].text)
			*keys[i].text = value + 1;
		else
			*keys[i].number = (unsigned int)strtoul(value + 1, NULL,
								0);
		return;
	}
	die("%s: no such key", arg);
}

void take_keys(const struct key *keys, size_t n, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		take_key(keys, n, argv[i]);
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void sort_times(uint64_t *times_us, unsigned int n)
{
	qsort(times_us, n, sizeof(*times_us), by_time);
}

double percentile_ms(const uint64_t *times_us, unsigned int n,
		     unsigned int percent)
{
	unsigned int i = n * percent / 100;

	if (!n)
		return 0;
	return (double)times_us[i < n ? i : n - 1] / 1000;
}
