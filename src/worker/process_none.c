/* SPDX-License-Identifier: MIT */
/*
 * In place of worker/process.c in a build without Xen: nobody starts a worker.
 */
#include "worker/process.h"

#include "base/log.h"

int worker_process_run(const struct worker_process_settings *settings)
{
	(void)settings;
	log_error("there are no workers: built without Xen");
	return 2;
}
