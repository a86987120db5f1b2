/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=loop_arm,--wrap=trace_area_log */
/*
 * The monitor's end of the link, and the one worker that there is at a time: of
 * a starter that does what the test says, and a worker that is the test.
 */
#include "config.h"
#include "lib/test.h"

#ifdef HAVE_XEN

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace_area.h"
#include "link/message.h"
#include "worker/starter.h"
#include "worker/worker.h"

enum { DOMID = 5, DEVID = 51712 };

static struct {
	struct loop loop;
	struct worker *worker;
	struct worker_owner owner;
	unsigned int begun, lost, last;
	bool begins_when_lost;

	struct worker_starter starter;
	int start_fails, link; /* the worker's end, or -1 */
	unsigned int starts, kills, waits, abandons, domid;
	int wait_results[2];
	uint64_t waited_ns[2];

	bool traces; /* as it was told */
	int area;    /* where to note events, as it was given; or -1 */
	unsigned int trace_messages, logged;
	char logged_why[80];

	char errors[1024];      /* that were logged */
	bool over;              /* the time of each timer is */
	struct loop_timer *ask; /* the one of ten seconds */
} rig;

void __wrap_log_line(enum log_level level, const char *format, ...);
void __wrap_log_line(enum log_level level, const char *format, ...)
{
	size_t n = strlen(rig.errors);
	va_list args;

	va_start(args, format);
	if (level <= LOG_LEVEL_WARNING)
		vsnprintf(rig.errors + n, sizeof(rig.errors) - n, format, args);
	va_end(args);
}

void __wrap_loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns);
void __real_loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns);

void __wrap_loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns)
{
	if (ns == 10 * NS_PER_SECOND)
		rig.ask = timer;
	__real_loop_arm(loop, timer, rig.over ? 0 : ns);
}

/* What is in it is of other tests. */
void __wrap_trace_area_log(int fd, unsigned int rings, const char *why);
void __wrap_trace_area_log(int fd, unsigned int rings, const char *why)
{
	if (fd < 0)
		return;
	assert_int_equal(rings, DISKS_MAX);
	rig.logged++;
	snprintf(rig.logged_why, sizeof(rig.logged_why), "%s", why);
}

/* ---- the starter ---- */

static int start_one(struct worker_starter *starter, unsigned int domid, int fd)
{
	(void)starter;
	rig.starts++;
	rig.domid = domid;
	if (rig.start_fails) {
		close(fd);
		return rig.start_fails;
	}
	assert_int_equal(rig.link, -1);
	rig.link = fd;
	return 0;
}

static void kill_one(struct worker_starter *starter)
{
	(void)starter;
	rig.kills++;
}

static int wait_for_one(struct worker_starter *starter, uint64_t ns)
{
	(void)starter;
	assert_in_range(rig.waits, 0, 1);
	rig.waited_ns[rig.waits] = ns;
	return rig.wait_results[rig.waits++];
}

static void abandon_one(struct worker_starter *starter)
{
	(void)starter;
	rig.abandons++;
}

static const struct worker_starter_ops starter_ops = {
	.start = start_one,
	.kill = kill_one,
	.wait = wait_for_one,
	.abandon = abandon_one,
};

static void close_link(void)
{
	if (rig.link >= 0)
		close(rig.link);
	rig.link = -1;
}

static void is_gone(void)
{
	close_link();
	worker_starter_tell_gone(&rig.starter, "eaten by wolves");
}

/* ---- the owner ---- */

static void begun(struct worker_owner *owner, int result, const char *error)
{
	(void)owner;
	assert_int_equal(result, 0);
	assert_string_equal(error, "");
	rig.begun++;
}

static void attached(struct worker_owner *owner, uint64_t id, int result,
		     const char *error)
{
	(void)owner;
	(void)id;
	(void)result;
	(void)error;
}

static void ended(struct worker_owner *owner, uint64_t id)
{
	(void)owner;
	(void)id;
}

static void lost(struct worker_owner *owner, bool last)
{
	(void)owner;
	rig.lost++;
	rig.last += last;
	assert_false(worker_awaits(rig.worker, DEVID));
	if (rig.begins_when_lost)
		worker_begin(rig.worker, DOMID, -1);
}

static const struct worker_owner_ops owner_ops = {
	.begun = begun,
	.attached = attached,
	.ended = ended,
	.lost = lost,
};

static void quit(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(&rig.loop);
}

/* The loop has its turns, until there is nothing more to do. */
static void turn(void)
{
	struct loop_timer timer = { .due = quit };

	for (unsigned int i = 0; i < 3; i++) {
		__real_loop_arm(&rig.loop, &timer, 0);
		assert_int_equal(loop_run(&rig.loop), 0);
	}
}

/* ---- the worker ---- */

static void told_of_trace(const struct link_message *m, int fd)
{
	rig.trace_messages++;
	rig.traces = m->trace.on;
	if (!m->trace.has_area)
		return;
	if (rig.area >= 0)
		close(rig.area);
	rig.area = dup(fd);
	assert_true(rig.area >= 0);
}

/*
 * What it is told next: its type, or 0 if it is told nothing. What is said of
 * the trace is noted.
 */
static uint32_t told(struct link_message *m)
{
	struct link_message message;
	int fds[LINK_FDS_MAX];
	const char *why;
	int r = link_message_receive(rig.link, LINK_TO_WORKER, &message, fds,
				     &why);

	if (m)
		*m = message;
	assert_true(r == 1 || r == 0 || r == -EAGAIN);
	if (r == 1 && message.type == LINK_TRACE)
		told_of_trace(&message, fds[0]);
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (r == 1 && message.type == LINK_TRACE)
		return told(m);
	return r == 1 ? message.type : 0;
}

static void says(uint32_t type)
{
	struct link_message m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	if (type == LINK_BEGUN) {
		m.begun.nawaited = 1;
		m.begun.awaited[0] = DEVID;
	}
	assert_int_equal(link_message_send(rig.link, &m, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.link = -1;
	rig.area = -1;
	rig.owner.ops = &owner_ops;
	rig.starter.ops = &starter_ops;
	assert_int_equal(loop_init(&rig.loop), 0);
	return worker_open(&rig.worker, &rig.loop, &rig.owner, &rig.starter);
}

static int teardown(void **state)
{
	(void)state;
	worker_close(&rig.worker);
	assert_null(rig.worker);
	close_link();
	if (rig.area >= 0)
		close(rig.area);
	loop_finish(&rig.loop);
	return 0;
}

static void begin(void)
{
	worker_begin(rig.worker, DOMID, -1);
	assert_int_equal(rig.starts, 1);
	assert_int_equal(rig.domid, DOMID);
	assert_int_equal(told(NULL), LINK_BEGIN);
	says(LINK_BEGUN);
	turn();
	assert_int_equal(rig.begun, 1);
	assert_true(worker_awaits(rig.worker, DEVID));
}

/* ---- one that cannot be started ---- */

static void test_not_started(void **state)
{
	(void)state;
	rig.start_fails = -ENOMEM;
	worker_begin(rig.worker, DOMID, -1);
	/* Never from within a call of the owner's. */
	assert_int_equal(rig.lost, 0);
	turn();
	assert_int_equal(rig.lost, 1);
	assert_int_equal(rig.last, 0);
	assert_string_equal(rig.errors, "no worker can be started for domain "
					"5: Cannot allocate memory");
	rig.start_fails = 0;
	worker_begin(rig.worker, DOMID, -1);
	turn();
	assert_int_equal(rig.lost, 1);
	assert_int_equal(told(NULL), LINK_BEGIN);
}

static void test_never_started(void **state)
{
	(void)state;
	rig.start_fails = -EPIPE;
	worker_begin(rig.worker, DOMID, -1);
	turn();
	assert_int_equal(rig.lost, 1);
	assert_int_equal(rig.last, 1);
}

/* ---- one that is lost ---- */

static void test_gone(void **state)
{
	(void)state;
	begin();
	is_gone();
	assert_int_equal(rig.lost, 1);
	assert_string_equal(rig.errors, "the worker of domain 5 has ended: "
					"eaten by wolves");
	turn();
	assert_int_equal(rig.lost, 1);
}

/* What it has noted is logged, for it does not do so any more. */
static void test_events_of_a_dead_one(void **state)
{
	(void)state;
	begin();
	assert_true(rig.area >= 0);
	assert_int_equal(rig.logged, 0);
	is_gone();
	assert_int_equal(rig.logged, 1);
	assert_string_equal(rig.logged_why, "the worker has ended");
	worker_log_events(rig.worker);
	assert_int_equal(rig.logged, 1);
	assert_non_null(strstr(rig.errors, "there are no events to log"));
}

/* One that ends as it was told to has nothing to tell. */
static void test_events_of_one_that_rests(void **state)
{
	(void)state;
	begin();
	worker_log_events(rig.worker);
	assert_int_equal(rig.logged, 1);
	assert_string_equal(rig.logged_why, "a signal asks for them");
	worker_rest(rig.worker);
	is_gone();
	assert_int_equal(rig.logged, 1);
}

/* The next one has the same to do, and other memory. */
static void test_traces(void **state)
{
	ino_t inode;
	struct stat file;

	(void)state;
	/* Before there is any. */
	worker_trace(rig.worker, true);
	begin();
	assert_true(rig.traces);
	assert_int_equal(rig.trace_messages, 1);
	worker_trace(rig.worker, false);
	assert_int_equal(told(NULL), 0);
	assert_false(rig.traces);
	worker_trace(rig.worker, true);
	assert_int_equal(told(NULL), 0);
	assert_true(rig.traces);
	assert_int_equal(fstat(rig.area, &file), 0);
	inode = file.st_ino;
	rig.begins_when_lost = true;
	is_gone();
	assert_int_equal(told(NULL), LINK_BEGIN);
	assert_true(rig.traces);
	assert_int_equal(rig.trace_messages, 4);
	assert_int_equal(fstat(rig.area, &file), 0);
	assert_true(file.st_ino != inode);
}

static void test_begins_again_when_gone(void **state)
{
	(void)state;
	begin();
	rig.begins_when_lost = true;
	is_gone();
	assert_int_equal(rig.starts, 2);
	assert_int_equal(told(NULL), LINK_BEGIN);
	says(LINK_BEGUN);
	turn();
	assert_int_equal(rig.begun, 2);
}

/* The end of the link: it is killed, and its end tells how it has ended. */
static void test_link_ends(void **state)
{
	(void)state;
	begin();
	close_link();
	turn();
	assert_int_equal(rig.kills, 1);
	assert_int_equal(rig.lost, 0);
	is_gone();
	assert_int_equal(rig.lost, 1);
	assert_string_equal(rig.errors, "the worker of domain 5 has ended: "
					"eaten by wolves");
}

static void test_liar(void **state)
{
	(void)state;
	begin();
	says(LINK_ENDED);
	/* Nor is it heard any more. */
	says(LINK_BEGUN);
	turn();
	assert_int_equal(rig.kills, 1);
	assert_int_equal(rig.lost, 0);
	assert_int_equal(rig.begun, 1);
	is_gone();
	assert_int_equal(rig.lost, 1);
	assert_string_equal(rig.errors, "the worker of domain 5 has failed: it "
					"ends a disk that was not to end");
}

static void test_does_not_listen(void **state)
{
	(void)state;
	begin();
	for (unsigned int i = 0; i < 100000 && !rig.kills; i++)
		worker_log_stats(rig.worker);
	assert_int_equal(rig.kills, 1);
	is_gone();
	assert_int_equal(rig.lost, 1);
	assert_string_equal(rig.errors, "the worker of domain 5 has failed: it "
					"does not listen");
}

/* What is said to none is in vain, and does no harm. */
static void test_nobody_is_there(void **state)
{
	int fd[2];
	struct block_part part = { .sync_fd = -1 };
	const struct disk_options options = { .engine = "auto" };
	const struct worker_disk disk = {
		.id = DEVID,
		.name = "web/xvda",
		.part = &part,
		.options = &options,
		.state_fd = -1,
	};

	(void)state;
	begin();
	is_gone();
	assert_int_equal(pipe(fd), 0);
	part.fd = fd[0];
	worker_attach(rig.worker, &disk);
	assert_int_equal(part.fd, -1);
	assert_int_equal(fcntl(fd[0], F_GETFD), -1);
	close(fd[1]);
	worker_detach(rig.worker, DEVID);
	worker_disown(rig.worker, DEVID);
	worker_resize(rig.worker, DEVID, 4096);
	worker_log_stats(rig.worker);
	worker_rest(rig.worker);
	worker_abandon(rig.worker);
	turn();
	assert_int_equal(rig.lost, 1);
	assert_int_equal(rig.starts, 1);
	assert_int_equal(rig.abandons, 1);
}

/* ---- whether it is alive ---- */

/* Ten seconds pass, if they are waited for. */
static void ten_seconds(void)
{
	if (rig.ask && rig.ask->armed)
		__real_loop_arm(&rig.loop, rig.ask, 0);
	turn();
}

/* So often: how often it is asked. */
static unsigned int asked(bool answers, unsigned int times)
{
	unsigned int pings = 0;

	for (; times-- && rig.link >= 0; ten_seconds()) {
		uint32_t type;

		while ((type = told(NULL))) {
			pings += type == LINK_PING;
			if (type == LINK_PING && answers)
				says(LINK_PONG);
		}
	}
	return pings;
}

/* It owes an answer. */
static void test_silent_one_is_killed(void **state)
{
	(void)state;
	worker_begin(rig.worker, DOMID, -1);
	assert_int_equal(asked(false, 20), 1);
	assert_int_equal(rig.kills, 1);
	assert_int_equal(rig.lost, 0);
	is_gone();
	assert_int_equal(rig.lost, 1);
	assert_string_equal(rig.errors, "the worker of domain 5 has failed: it "
					"was told something, and is silent "
					"since then");
}

/* It is asked, and has as long again, and again: a machine may be busy. */
static void test_silent_one_has_time(void **state)
{
	(void)state;
	worker_begin(rig.worker, DOMID, -1);
	for (unsigned int i = 0; i < 2; i++) {
		ten_seconds();
		assert_int_equal(rig.kills, 0);
	}
	says(LINK_PONG);
	turn();
	ten_seconds();
	assert_int_equal(rig.kills, 0);
	says(LINK_BEGUN);
	turn();
	assert_int_equal(rig.begun, 1);
}

/* It owes one for long, for the store does not answer, and lives. */
static void test_slow_one_is_not_killed(void **state)
{
	(void)state;
	worker_begin(rig.worker, DOMID, -1);
	assert_int_equal(asked(true, 20), 19);
	assert_int_equal(rig.kills, 0);
	says(LINK_BEGUN);
	turn();
	assert_int_equal(rig.begun, 1);
}

/* ... and says so of its own accord, while it does not listen. */
static void test_deaf_one_is_not_killed(void **state)
{
	(void)state;
	worker_begin(rig.worker, DOMID, -1);
	for (unsigned int i = 0; i < 20; i++) {
		for (unsigned int n = 0; n < 11; n++) {
			says(LINK_PONG);
			turn();
		}
		ten_seconds();
	}
	assert_int_equal(rig.kills, 0);
}

/* One that is left alone costs nothing. */
static void test_idle_one_is_not_asked(void **state)
{
	(void)state;
	begin();
	assert_int_equal(asked(true, 5), 1);
	assert_false(rig.ask->armed);
	/* Until it is told something again, whatever that is. */
	worker_resize(rig.worker, DEVID, 4096);
	assert_int_equal(asked(true, 5), 1);
	assert_false(rig.ask->armed);
	assert_int_equal(rig.kills, 0);
	worker_resize(rig.worker, DEVID, 8192);
	assert_int_equal(asked(false, 20), 1);
	assert_int_equal(rig.kills, 1);
	is_gone();
}

/* Who is busy with saying so does it for the monitor's harm. */
static void test_lives_too_loudly(void **state)
{
	(void)state;
	begin();
	for (unsigned int i = 0; i < 200 && !rig.kills; i++) {
		says(LINK_PONG);
		turn();
	}
	assert_int_equal(rig.kills, 1);
	is_gone();
	assert_int_equal(rig.lost, 1);
}

/* ---- one after the other ---- */

static void test_rests(void **state)
{
	(void)state;
	begin();
	worker_rest(rig.worker);
	assert_int_equal(told(NULL), LINK_CLOSE);
	/* Whatever it says now. */
	says(LINK_ENDED);
	turn();
	is_gone();
	assert_int_equal(rig.lost, 0);
	assert_int_equal(rig.kills, 0);
	assert_string_equal(rig.errors, "");
}

static void test_does_not_rest(void **state)
{
	(void)state;
	begin();
	rig.over = true;
	worker_rest(rig.worker);
	turn();
	assert_int_equal(rig.kills, 1);
	is_gone();
	turn();
	assert_int_equal(rig.lost, 0);
	assert_int_equal(rig.kills, 1);
	assert_string_equal(rig.errors, "the worker of domain 5 does not end; "
					"it is killed");
}

/* Each guest has its own, which waits for the end of the one before. */
static void test_another_guest(void **state)
{
	struct link_message m;

	(void)state;
	begin();
	worker_begin(rig.worker, DOMID + 1, STDERR_FILENO);
	assert_false(worker_awaits(rig.worker, DEVID));
	assert_int_equal(told(NULL), LINK_CLOSE);
	turn();
	assert_int_equal(rig.starts, 1);
	is_gone();
	assert_int_equal(rig.lost, 0);
	assert_int_equal(rig.starts, 2);
	assert_int_equal(rig.domid, DOMID + 1);
	assert_int_equal(told(&m), LINK_BEGIN);
	assert_int_equal(m.begin.domid, DOMID + 1);
	assert_int_equal(m.begin.kept, 1);
	says(LINK_BEGUN);
	turn();
	assert_int_equal(rig.begun, 2);
}

/* With another file: of the same guest it is the same. */
static void test_begins_twice(void **state)
{
	(void)state;
	begin();
	worker_begin(rig.worker, DOMID, -1);
	assert_int_equal(rig.starts, 1);
	assert_int_equal(told(NULL), LINK_BEGIN);
	assert_int_equal(told(NULL), 0);
}

/* ---- the end ---- */

static void test_leaves(void **state)
{
	(void)state;
	begin();
	worker_leave(&rig.worker);
	assert_null(rig.worker);
	assert_int_equal(told(NULL), LINK_LEAVE);
	assert_int_equal(rig.waits, 1);
	/* Longer than a store needs, and shorter than a unit has. */
	assert_in_range(rig.waited_ns[0], 30 * NS_PER_SECOND,
			55 * NS_PER_SECOND);
	assert_int_equal(rig.kills, 0);
	assert_int_equal(rig.lost, 0);
}

static void test_does_not_end(void **state)
{
	(void)state;
	begin();
	rig.wait_results[0] = -ETIMEDOUT;
	rig.wait_results[1] = -ETIMEDOUT;
	worker_close(&rig.worker);
	assert_null(rig.worker);
	assert_int_equal(told(NULL), LINK_CLOSE);
	assert_int_equal(rig.kills, 1);
	assert_int_equal(rig.waits, 2);
	assert_in_range(rig.waited_ns[0] + rig.waited_ns[1], 0,
			55 * NS_PER_SECOND);
}

/* One that was killed is not asked, nor waited for as long. */
static void test_leaves_a_dying_one(void **state)
{
	(void)state;
	begin();
	says(LINK_ENDED);
	turn();
	worker_leave(&rig.worker);
	assert_int_equal(told(NULL), 0);
	assert_int_equal(rig.waits, 1);
	assert_in_range(rig.waited_ns[0], 0, 5 * NS_PER_SECOND);
}

static void test_leaves_none(void **state)
{
	(void)state;
	worker_leave(&rig.worker);
	assert_null(rig.worker);
	assert_int_equal(rig.waits, 0);
}

int main(void)
{
#define test_of(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		test_of(test_not_started),
		test_of(test_never_started),
		test_of(test_gone),
		test_of(test_events_of_a_dead_one),
		test_of(test_events_of_one_that_rests),
		test_of(test_traces),
		test_of(test_begins_again_when_gone),
		test_of(test_link_ends),
		test_of(test_liar),
		test_of(test_does_not_listen),
		test_of(test_nobody_is_there),
		test_of(test_silent_one_is_killed),
		test_of(test_silent_one_has_time),
		test_of(test_slow_one_is_not_killed),
		test_of(test_deaf_one_is_not_killed),
		test_of(test_idle_one_is_not_asked),
		test_of(test_lives_too_loudly),
		test_of(test_rests),
		test_of(test_does_not_rest),
		test_of(test_another_guest),
		test_of(test_begins_twice),
		test_of(test_leaves),
		test_of(test_does_not_end),
		test_of(test_leaves_a_dying_one),
		test_of(test_leaves_none),
	};

	return cmocka_run_group_tests_name("worker: client", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
