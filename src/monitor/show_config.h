/* SPDX-License-Identifier: MIT */
/*
 * What would be served of a guest, and who says so.
 */
#ifndef MONITOR_SHOW_CONFIG_H
#define MONITOR_SHOW_CONFIG_H

#include "config/options.h"

/*
 * Print each disk of guest `options->domain` as a section of its file, each key
 * with who has said it. No image is opened and xenstore is only read; without
 * one what files and --disk say is shown. The exit status: 0; 1 if a disk would
 * be refused, or something cannot be known or printed.
 */
int show_config(const struct options *options);

#endif
