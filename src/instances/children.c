/* SPDX-License-Identifier: MIT */
/*
 * Instances as children; see instances/children.h. They are not ended with the
 * watcher, for their guests do not end: the next one finds them.
 */
#include "instances/children.h"

#include <stdio.h>

/* Which is this one, also where its file has been replaced. */
static char program[] = "/proc/self/exe";
static char option[] = "--domain";

static void command(struct instance_command *command, unsigned int domid,
		    char *const *args)
{
	unsigned int n = 0;

	snprintf(command->word, sizeof(command->word), "%u", domid);
	command->argv[n++] = program;
	command->argv[n++] = option;
	command->argv[n++] = command->word;
	while (*args && n < INSTANCE_WORDS_MAX - 1)
		command->argv[n++] = *args++;
	command->argv[n] = NULL;
}

const struct instance_kind children = {
	.name = "an instance",
	.command = command,
	.is_instance = true,
};
