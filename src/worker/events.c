/* SPDX-License-Identifier: MIT */
/*
 * What a worker notes of its disks; see worker/events.h.
 *
 * Failure: without memory a worker notes nothing. A worker that dies again and
 * again does so as often as a new one is started, and is logged no more often
 * than that is worth it.
 */
#include "worker/events.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace_area.h"

struct link_message events_begin(struct events *e)
{
	struct link_message m = { .type = LINK_TRACE };

	e->area_fd = trace_area_make(e->rings);
	if (e->area_fd < 0)
		log_debug("a worker has no memory for events: %s",
			  strerror(-e->area_fd));
	m.trace.on = e->traces;
	m.trace.has_area = e->area_fd >= 0;
	return m;
}

struct link_message events_trace(struct events *e, bool on)
{
	struct link_message m = { .type = LINK_TRACE };

	e->traces = on;
	m.trace.on = on;
	return m;
}

void events_end(struct events *e, bool died)
{
	static struct log_limit deaths;

	if (e->area_fd < 0)
		return;
	if (died && log_limit_allows(&deaths))
		trace_area_log(e->area_fd, e->rings, "the worker has ended");
	close(e->area_fd);
	e->area_fd = -1;
}

void events_log(const struct events *e)
{
	if (e->area_fd < 0)
		log_warning("there are no events to log: no worker, or no "
			    "memory for them");
	else
		trace_area_log(e->area_fd, e->rings, "a signal asks for them");
}
