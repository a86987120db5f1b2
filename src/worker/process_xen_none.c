/* SPDX-License-Identifier: MIT */
/*
 * In place of worker/process_xen.c in a build without Xen: nobody starts such a
 * worker.
 */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/process.h"

static int open_server(struct loop *loop, int fd, void (*ended)(void))
{
	(void)loop;
	(void)ended;
	close(fd);
	log_error("there are no workers of guests: built without Xen");
	return -ENOSYS;
}

const struct worker_process_kind worker_process_xen = { .open = open_server };
