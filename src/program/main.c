/* SPDX-License-Identifier: MIT */
/*
 * The program: options, signals, loop. What is served decides the rest.
 */
#include <string.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/notify.h"
#include "base/standard_fds.h"
#include "config/command_line.h"
#include "instances/watch.h"
#include "monitor/guest.h"
#include "monitor/show_config.h"
#include "monitor/size_watch.h"
#include "monitor/vhost_disk.h"
#include "program/hardening.h"
#include "program/sandbox.h"
#include "program/signals.h"
#include "program/workers.h"

static const struct signals_owner_ops vhost_signals = {
	.log_stats = vhost_disk_log_stats,
	.log_events = vhost_disk_log_events,
	.trace = vhost_disk_trace,
	.look = size_watch_look,
	.abandon = vhost_disk_abandon,
};

static const struct signals_owner_ops guest_signals = {
	.log_stats = guest_log_stats,
	.log_events = guest_log_events,
	.trace = guest_trace,
	.look = size_watch_look,
	.abandon = guest_abandon,
};

static const struct signals_owner_ops watch_signals = {
	.log_stats = watch_log_stats,
	.look = watch_look,
	.abandon = watch_abandon,
};

static const struct signals_owner_ops *signals_of(const struct options *options)
{
	if (options->watch)
		return &watch_signals;
	return options->vhost ? &vhost_signals : &guest_signals;
}

static int serve(struct loop *loop, const struct options *options)
{
	struct worker_starter *starter = workers_starter(loop, options->vhost);
	int status = 1;

	if (starter)
		status = options->vhost ?
				 vhost_disk_serve(loop, options, starter) :
				 guest_serve(loop, options, starter);
	workers_finish();
	return status;
}

static enum sandbox_for sandbox_of(const struct options *options)
{
	if (options->vhost)
		return options->foreground ? SANDBOX_VHOST :
					     SANDBOX_VHOST_MONITOR;
	return options->foreground ? SANDBOX_XEN : SANDBOX_MONITOR;
}

/* `args` are for the instances that a watcher starts. */
static int run(const struct options *options, char *const *args)
{
	struct loop loop = { .epoll_fd = -1 };
	int status = 1;
	int r = options->watch ? 0 : workers_begin(options);

	descriptors_raise();
	if (r == 0)
		r = loop_init(&loop);
	if (r == 0)
		notify_open(&loop);
	if (r == 0)
		r = signals_open(&loop, signals_of(options));
	if (r == 0)
		r = log_detach();
	if (r == 0 && options->watch) {
		/* No filter: they would inherit it, and need more. */
		status = watch_serve(&loop, options, args);
	} else if (r == 0) {
		if (!options->no_sandbox)
			sandbox_enter(sandbox_of(options));
		loop.polling.max_ns = options->poll_max_us * NS_PER_US;
		status = serve(&loop, options);
	} else {
		log_error("cannot start: %s", strerror(-r));
	}
	loop_finish(&loop);
	return status;
}

/* The words but for the program's name and the watcher's own; in place. */
static char **words_of_instances(const struct options *options, char **argv)
{
	char **word = argv + options->watch_word;

	while (options->watch && (word[0] = word[options->watch_words]))
		word++;
	return argv + 1;
}

static int do_task(const struct options *options, char **argv)
{
	if (options->worker)
		return workers_run_one(options);
	return options->task == OPTIONS_SHOW_CONFIG ?
		       show_config(options) :
		       run(options, words_of_instances(options, argv));
}

int main(int argc, char **argv)
{
	struct options options;
	int status, r;

	/* The line goes to what is open now, or nowhere. */
	r = standard_fds_reserve();
	if (r) {
		log_error("cannot open /dev/null: %s", strerror(-r));
		return 1;
	}
	status = command_line_parse(&options, argc, argv);
	if (status < 0) {
		if (options.verbose)
			log_set_level(LOG_LEVEL_DEBUG);
		if (!options.no_sandbox)
			hardening_begin();
		else if (!options.worker)
			log_warning("no sandbox, as --no-sandbox says: for "
				    "debugging only");
		status = do_task(&options, argv);
	}
	command_line_finish(&options);
	log_flush();
	return status;
}
