/* SPDX-License-Identifier: MIT */
/*
 * The workers of a guest; see program/workers.h. A worker has of the monitor's
 * options those that are about a process, as options of its own.
 *
 * Failures: those of the nursery; without it no guest is served.
 */
#include "program/workers.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "program/hardening.h"
#include "program/signals.h"
#include "worker/local.h"
#include "worker/nursery.h"
#include "worker/process.h"

/* Which is this one, also where its file has been replaced. */
#define PROGRAM "/proc/self/exe"

/* There is one process. */
static struct {
	bool forked;
	struct nursery nursery;
} workers;

int workers_begin(const struct options *options)
{
	char poll_max_us[16];
	/* All that there may be, and the end. */
	const char *args[9] = { "virtio-disk", "--poll-max-us", poll_max_us };
	size_t n = 3;
	int r;

	if (options->foreground)
		return 0;
	snprintf(poll_max_us, sizeof(poll_max_us), "%u", options->poll_max_us);
	if (options->no_sandbox)
		args[n++] = "--no-sandbox";
	if (options->verbose)
		args[n++] = "--verbose";
	if (options->user) {
		args[n++] = "--user";
		args[n++] = options->user;
	}
	args[n++] = "--worker";
	r = nursery_fork(&workers.nursery, PROGRAM, args);
	workers.forked = r == 0;
	return r;
}

struct worker_starter *workers_starter(struct loop *loop)
{
	int r;

	if (!workers.forked)
		return worker_local(loop);
	r = nursery_listen(&workers.nursery, loop);
	if (r)
		log_error("no worker can be started: %s", strerror(-r));
	return r ? NULL : &workers.nursery.starter;
}

void workers_finish(void)
{
	if (workers.forked)
		nursery_close(&workers.nursery);
	workers.forked = false;
}

int workers_run_one(const struct options *options)
{
	const struct worker_process_settings settings = {
		.domid = options->worker_domid,
		.user = options->user,
		.confined = !options->no_sandbox && !HARDENING_SANITIZED,
		.poll_max_ns = options->poll_max_us * NS_PER_US,
	};

	signals_ignore();
	descriptors_raise();
	return worker_process_run(&settings);
}
