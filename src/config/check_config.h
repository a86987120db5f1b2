/* SPDX-License-Identifier: MIT */
/*
 * Checking configuration files before somebody needs them.
 */
#ifndef CONFIG_CHECK_CONFIG_H
#define CONFIG_CHECK_CONFIG_H

/*
 * Read the defaults and the file of `guest`, or of all guests if that is NULL;
 * `where` as in config/config_files.h. What is right is printed, what is wrong
 * is logged. The exit status: 0, 1 for what cannot be read, 2 for what is
 * wrong.
 */
int check_config(const char *where, const char *guest);

#endif
