/* SPDX-License-Identifier: MIT */
/*
 * The event loop; see base/loop.h.
 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* A loop that polls looks at its descriptors and timers at least so often. */
#define POLL_LOOK_NS NS_PER_MS

int loop_init(struct loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_finish(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	assert(source->ready);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event))
		return -errno;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	/* An event of it may wait behind the one that is being handled. */
	for (int i = 0; i < loop->nevents; i++)
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
}

void loop_add_poller(struct loop *loop, struct loop_poller *poller)
{
	struct loop_poller **link = &loop->pollers;

	while (*link)
		link = &(*link)->next;
	poller->next = NULL;
	*link = poller;
}

void loop_remove_poller(struct loop *loop, struct loop_poller *poller)
{
	struct loop_poller **link = &loop->pollers;

	while (*link && *link != poller)
		link = &(*link)->next;
	if (*link)
		*link = poller->next;
	/* A walk that would come to it next goes on behind it. */
	if (loop->next_poller == poller)
		loop->next_poller = poller->next;
}

void loop_disarm(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **link = &loop->timers;

	while (*link && *link != timer)
		link = &(*link)->next;
	if (*link)
		*link = timer->next;
	timer->armed = false;
}

void loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns)
{
	assert(timer->due);
	loop_disarm(loop, timer);
	timer->at_ns = clock_ns() + ns;
	timer->armed = true;
	timer->next = loop->timers;
	loop->timers = timer;
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
	struct loop_deferred **link = &loop->deferred;

	assert(deferred->run);
	if (deferred->waits)
		return;
	while (*link)
		link = &(*link)->next;
	deferred->next = NULL;
	deferred->waits = true;
	*link = deferred;
}

static void unlink_deferred(struct loop_deferred **link,
			    const struct loop_deferred *deferred)
{
	while (*link && *link != deferred)
		link = &(*link)->next;
	if (*link)
		*link = deferred->next;
}

void loop_undefer(struct loop *loop, struct loop_deferred *deferred)
{
	unlink_deferred(&loop->deferred, deferred);
	unlink_deferred(&loop->due, deferred);
	deferred->waits = false;
}

/* The end of a turn: true if anything was waiting for it. */
static bool run_deferred(struct loop *loop)
{
	bool any = loop->deferred != NULL;

	loop->due = loop->deferred;
	loop->deferred = NULL;
	while (loop->due) {
		struct loop_deferred *deferred = loop->due;

		loop->due = deferred->next;
		deferred->waits = false;
		deferred->run(deferred);
	}
	return any;
}

void loop_quit(struct loop *loop)
{
	loop->quit = true;
}

/* Timers are few (grace times, retries): a list is enough. */
static struct loop_timer *next_timer(const struct loop *loop)
{
	struct loop_timer *first = loop->timers;

	for (struct loop_timer *t = loop->timers; t; t = t->next)
		if (t->at_ns < first->at_ns)
			first = t;
	return first;
}

/*
 * Those that are due now. One that is armed again meanwhile has its turn after
 * the pollers, however long this takes.
 */
static void run_timers(struct loop *loop)
{
	uint64_t now = loop->timers ? clock_ns() : 0;
	struct loop_timer *timer;

	while ((timer = next_timer(loop)) && timer->at_ns <= now) {
		loop_disarm(loop, timer);
		timer->due(timer);
	}
}

/* Milliseconds until the next timer, rounded up; -1 without one. */
static int timeout_ms(const struct loop *loop)
{
	const struct loop_timer *timer = next_timer(loop);
	uint64_t now, ms;

	if (!timer)
		return -1;
	now = clock_ns();
	if (timer->at_ns <= now)
		return 0;
	ms = (timer->at_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static bool poll_all(struct loop *loop)
{
	bool busy = false;

	for (struct loop_poller *p = loop->pollers; p; p = loop->next_poller) {
		loop->next_poller = p->next;
		busy |= p->poll(p);
	}
	return busy;
}

static bool rest_all(struct loop *loop)
{
	for (struct loop_poller *p = loop->pollers; p; p = loop->next_poller) {
		loop->next_poller = p->next;
		if (!p->rest(p))
			return false;
	}
	return true;
}

/* Wait up to `timeout` ms for descriptors; number handled or an errno. */
static int handle_descriptors(struct loop *loop, int timeout)
{
	int n = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX,
			   timeout);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->looked_ns = clock_ns();
	if (loop->slept_ns)
		polling_slept(&loop->polling, loop->looked_ns - loop->slept_ns,
			      loop->looked_ns);
	loop->slept_ns = 0;
	loop->nevents = n;
	for (int i = 0; i < loop->nevents; i++) {
		struct loop_source *source = loop->events[i].data.ptr;

		if (source)
			source->ready(source, loop->events[i].events);
	}
	loop->nevents = 0;
	return n;
}

/*
 * Descriptors and timers have their turn also while work never ends. To be
 * called in each round: a round is as long as its pollers' batches are, so
 * whoever waits does so for POLL_LOOK_NS and a round.
 */
static int look_aside(struct loop *loop, uint64_t now_ns)
{
	int r;

	if (now_ns - loop->looked_ns < POLL_LOOK_NS)
		return 0;
	r = handle_descriptors(loop, 0);
	run_timers(loop);
	run_deferred(loop);
	return r < 0 ? r : 0;
}

/* Poll until nothing was found for the adaptive time. */
static int poll_for_a_while(struct loop *loop)
{
	uint64_t last = 0, now;
	int r = 0;

	while (!loop->quit && r == 0) {
		bool busy = poll_all(loop);

		busy |= run_deferred(loop);
		if (!busy && loop->polling.ns == 0)
			return 0;
		now = clock_ns();
		r = look_aside(loop, now);
		if (busy) {
			if (last)
				polling_paid(&loop->polling, now - last);
			last = 0;
		} else if (last == 0) {
			last = now;
		} else if (now - last >= loop->polling.ns) {
			polling_in_vain(&loop->polling, now - last, now);
			return r;
		}
	}
	return r;
}

static int sleep_and_handle(struct loop *loop)
{
	int n;

	loop->sleeps++;
	/* How long, is asked only where something is learnt from it. */
	if (polling_learns(&loop->polling, loop->looked_ns))
		loop->slept_ns = clock_ns();
	n = handle_descriptors(loop, timeout_ms(loop));
	return n < 0 ? n : 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	loop->quit = false;
	while (!loop->quit && r == 0) {
		r = poll_for_a_while(loop);
		if (r || loop->quit)
			continue;
		if (!rest_all(loop) || loop->deferred) {
			/* Work after all; this was a round as well. */
			r = look_aside(loop, clock_ns());
			continue;
		}
		r = sleep_and_handle(loop);
		run_timers(loop);
		run_deferred(loop);
	}
	return r;
}
