/* SPDX-License-Identifier: MIT */
/*
 * In place of watch.c where Xen's libraries were missing at build time.
 */
#include "instances/watch.h"

#include <unistd.h>

#include "base/log.h"

int watch_serve(struct loop *loop, const struct options *options,
		char *const *args)
{
	(void)loop;
	(void)options;
	(void)args;
	log_error("cannot watch for guests: built without Xen; install "
		  "libxen-dev and build again");
	return 1;
}

void watch_log_stats(void)
{
}

void watch_look(void)
{
}

void watch_abandon(void)
{
	_exit(1);
}
