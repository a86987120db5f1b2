/* SPDX-License-Identifier: MIT */
/*
 * Workers; see program/workers.h. A worker has of the monitor's
 * options those that are about a process, as options of its own.
 *
 * Failures: those of the nursery; without it nothing is served.
 */
#include "program/workers.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "program/hardening.h"
#include "program/signals.h"
#include "worker/confine.h"
#include "worker/local.h"
#include "worker/nursery.h"
#include "worker/process.h"
#include "worker/vhost_local.h"

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
	args[n++] = options->vhost ? "--vhost-worker" : "--worker";
	r = nursery_fork(&workers.nursery, PROGRAM, args);
	workers.forked = r == 0;
	return r;
}

struct worker_starter *workers_starter(struct loop *loop, bool vhost)
{
	int r;

	if (!workers.forked)
		return vhost ? vhost_local(loop) : worker_local(loop);
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
		.kind = options->vhost ? &worker_process_vhost :
					 &worker_process_xen,
		.domid = options->worker_domid,
		.id = options->vhost ?
			      CONFINE_UID_OF_VHOST + (unsigned int)getpid() :
			      CONFINE_UID_BASE + options->worker_domid,
		.user = options->user,
		.confined = !options->no_sandbox && !HARDENING_SANITIZED,
		.poll_max_ns = options->poll_max_us * NS_PER_US,
	};

	signals_ignore();
	descriptors_raise();
	return worker_process_run(&settings);
}
