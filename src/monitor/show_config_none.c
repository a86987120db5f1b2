/* SPDX-License-Identifier: MIT */
/*
 * In place of show_config.c where Xen's libraries were missing at build time.
 */
#include "monitor/show_config.h"

#include "base/log.h"

int show_config(const struct options *options)
{
	log_error("cannot show the disks of %s: built without Xen; install "
		  "libxen-dev and build again",
		  options->domain);
	return 1;
}
