/* SPDX-License-Identifier: MIT */
/*
 * In place of worker/process.c in a build without Xen: nobody starts a worker.
 */
#include "worker/process.h"

#include "base/log.h"

int worker_process_run(const struct worker_process_settings *settings)
{
	(void)settings;
	log_error("--worker is for the processes that virtio-disk starts "
		  "itself: built without Xen, it starts none");
	return 2;
}
