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
