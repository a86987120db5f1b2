/* SPDX-License-Identifier: MIT */
/*
 * Instances as units; see instances/units.h.
 *
 * systemd is told by systemctl, which finds it also where no message bus runs,
 * and says what is wrong. It waits until the unit is ready. From then on the
 * unit is systemd's: that restarts it, and who stops it wants it stopped.
 */
#include "instances/units.h"

#include <stdio.h>
#include <unistd.h>

/* What systemd makes, and documents as the sign of it (sd_booted(3)). */
static const char sign[] = "/run/systemd/system/";

static char program[] = "systemctl";
static char quiet[] = "--quiet";
static char no_password[] = "--no-ask-password";
static char verb[] = "start";

static void command(struct instance_command *command, unsigned int domid,
		    char *const *args)
{
	(void)args;
	snprintf(command->word, sizeof(command->word), "virtio-disk@%u.service",
		 domid);
	command->argv[0] = program;
	command->argv[1] = quiet;
	command->argv[2] = no_password;
	command->argv[3] = verb;
	command->argv[4] = command->word;
	command->argv[5] = NULL;
}

const struct instance_kind units = {
	.name = "its unit",
	.command = command,
	/* systemctl is short-lived, but not small. */
	.at_once = 8,
};

bool units_can_be(void)
{
	return access(sign, F_OK) == 0;
}
