/* SPDX-License-Identifier: MIT */
/*
 * Reading the command line.
 */
#ifndef CONFIG_COMMAND_LINE_H
#define CONFIG_COMMAND_LINE_H

#include "config/options.h"

/*
 * Parse the command line. Returns -1 to go on, or the exit status for a program
 * that has said all there is to say (--help, --version, a wrong option).
 * command_line_finish() in any case.
 */
int command_line_parse(struct options *options, int argc, char **argv);

void command_line_finish(struct options *options);

#endif
