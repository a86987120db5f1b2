/* SPDX-License-Identifier: MIT */
/*
 * In place of worker/local.c in a build without Xen: nobody needs a worker.
 */
#include <stddef.h>

#include "worker/local.h"

struct worker_starter *worker_local(struct loop *loop)
{
	(void)loop;
	return NULL;
}
