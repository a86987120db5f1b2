/* SPDX-License-Identifier: MIT */
/*
 * The monitor of a vhost-user disk and a worker that says what it likes: the
 * monitor hears what it has asked for, and nothing else; who says more is
 * killed, and that it is gone is told once.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "link/message.h"
#include "worker/starter.h"
#include "worker/vhost.h"

static struct {
	struct loop loop;
	struct loop_timer turn;
	struct vhost *vhost;
	struct vhost_monitor monitor;
	/* What the monitor has heard. */
	unsigned int opened, take, give, front_end, gone, left;
	int result;
	/* Who starts workers, and the worker's end. */
	struct worker_starter starter;
	unsigned int killed, abandoned;
	int fd;
} t;

static void opened(struct vhost_monitor *monitor, int result, const char *error)
{
	(void)monitor;
	assert_int_equal(result == 0, error[0] == '\0');
	t.opened++;
	t.result = result;
}

static void take(struct vhost_monitor *monitor)
{
	(void)monitor;
	t.take++;
}

static void give(struct vhost_monitor *monitor)
{
	(void)monitor;
	t.give++;
}

static void front_end_left(struct vhost_monitor *monitor)
{
	(void)monitor;
	t.front_end++;
}

static void gone(struct vhost_monitor *monitor, bool left)
{
	(void)monitor;
	t.gone++;
	t.left = left;
}

static const struct vhost_monitor_ops monitor_ops = {
	.opened = opened,
	.take = take,
	.give = give,
	.front_end_left = front_end_left,
	.gone = gone,
};

static int start_worker(struct worker_starter *starter, unsigned int domid,
			int fd)
{
	(void)starter;
	(void)domid;
	t.fd = fd;
	return 0;
}

static void kill_worker(struct worker_starter *starter)
{
	(void)starter;
	t.killed++;
}

static int wait_worker(struct worker_starter *starter, uint64_t ns)
{
	(void)starter;
	(void)ns;
	return -ETIMEDOUT;
}

static void abandon_worker(struct worker_starter *starter)
{
	(void)starter;
	t.abandoned++;
}

static const struct worker_starter_ops starter_ops = {
	.start = start_worker,
	.kill = kill_worker,
	.wait = wait_worker,
	.abandon = abandon_worker,
};

static void turned(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(&t.loop);
}

static void turn(void)
{
	loop_arm(&t.loop, &t.turn, NS_PER_MS);
	assert_int_equal(loop_run(&t.loop), 0);
}

/* ---- the worker ---------------------------------------------------------- */

static void say(uint32_t type)
{
	const struct link_message m = { .type = type };

	assert_int_equal(link_message_send(t.fd, &m, NULL), 0);
	turn();
}

static void say_opened(int result)
{
	struct link_message m = { .type = LINK_OPENED };

	m.opened.result = result;
	if (result)
		strcpy(m.opened.error, "it\ncannot");
	assert_int_equal(link_message_send(t.fd, &m, NULL), 0);
	turn();
}

static struct link_message hear_any(void)
{
	int fds[LINK_FDS_MAX];
	struct link_message m;
	const char *why;

	assert_int_equal(
		link_message_receive(t.fd, LINK_TO_WORKER, &m, fds, &why), 1);
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return m;
}

/* What comes next is of this type; before a disk, where events are noted. */
static struct link_message hear(uint32_t type)
{
	struct link_message m;

	if (type == LINK_OPEN) {
		m = hear_any();
		assert_int_equal(m.type, LINK_TRACE);
		assert_true(m.trace.has_area && !m.trace.on);
	}
	m = hear_any();
	assert_int_equal(m.type, type);
	return m;
}

static void die(const char *how)
{
	close(t.fd);
	t.fd = -1;
	worker_starter_tell_gone(&t.starter, how);
}

/* ---- around it ----------------------------------------------------------- */

static int begin(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	log_set_level(LOG_LEVEL_ERROR);
	t.starter.ops = &starter_ops;
	t.monitor.ops = &monitor_ops;
	t.turn.due = turned;
	t.fd = -1;
	return loop_init(&t.loop) ||
	       vhost_create(&t.vhost, &t.loop, &t.monitor, &t.starter);
}

static int finish(void **state)
{
	(void)state;
	if (vhost_runs(t.vhost))
		die("exit status 0");
	vhost_free(&t.vhost);
	loop_finish(&t.loop);
	return 0;
}

static void start(bool lends, bool locked)
{
	const struct disk_options options = {
		.engine = "auto", .queues = 2, .queue_size = 16, .iothreads = 1
	};
	struct block_part part = {
		.facts = { .size = 1 << 20,
			   .block_size = 512,
			   .physical_block_size = 512,
			   .store_block_size = 512,
			   .dio_align = 1,
			   .dio_mem_align = 1,
			   .lends = lends,
			   .has_file = 1,
			   .inode = 1,
			   .name = "/images/web" },
		.fd = open("/dev/null", O_RDWR | O_CLOEXEC),
		.sync_fd = -1,
	};
	const struct vhost_wanted wanted = { .name = "web",
					     .part = &part,
					     .options = &options,
					     .locked = locked };
	struct link_message m;

	assert_int_equal(vhost_open(t.vhost, &wanted), 0);
	/* It is the worker's alone. */
	assert_int_equal(part.fd, -1);
	m = hear(LINK_OPEN);
	assert_int_equal(m.open.locked, locked);
	assert_int_equal(m.open.options.iothreads, 1);
	assert_string_equal(m.open.name, "web");
}

static void start_open(bool lends, bool locked)
{
	start(lends, locked);
	say_opened(0);
	assert_int_equal(t.opened, 1);
}

/* It was killed, nothing of what it said was heard, and that it is gone is. */
static void is_lost(unsigned int heard)
{
	assert_int_equal(t.killed, 1);
	assert_int_equal(t.opened + t.take + t.give + t.front_end, heard);
	assert_int_equal(t.gone, 0);
	/* Whatever the monitor says, it is for nobody. */
	vhost_resize(t.vhost, 1);
	vhost_leave(t.vhost);
	die("killed");
	assert_int_equal(t.gone, 1);
	assert_false(t.left);
	assert_false(vhost_runs(t.vhost));
}

/* ---- tests --------------------------------------------------------------- */

static void test_serves_and_leaves(void **state)
{
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	start_open(true, false);
	vhost_listen(t.vhost, "/run/web.sock");
	assert_string_equal(hear(LINK_LISTEN).listen.where, "/run/web.sock");
	for (unsigned int i = 1; i <= 2; i++) {
		vhost_front_end(t.vhost, sock);
		hear(LINK_FRONT_END);
		say(LINK_FRONT_END_LEFT);
		assert_int_equal(t.front_end, i);
	}
	close(sock);
	say(LINK_TAKE);
	assert_int_equal(t.take, 1);
	vhost_taken(t.vhost, -EAGAIN);
	assert_int_equal(hear(LINK_TAKEN).taken.result, -EAGAIN);
	say(LINK_TAKE);
	vhost_taken(t.vhost, 0);
	assert_int_equal(hear(LINK_TAKEN).taken.result, 0);
	say(LINK_GIVE);
	assert_int_equal(t.give, 1);
	vhost_given(t.vhost);
	hear(LINK_GIVEN);
	vhost_leave(t.vhost);
	vhost_leave(t.vhost);
	hear(LINK_LEAVE);
	/* What it says while it leaves is as nothing. */
	say(LINK_TAKE);
	assert_int_equal(t.take, 2);
	die("exit status 0");
	assert_int_equal(t.gone, 1);
	assert_true(t.left);
	assert_int_equal(t.killed, 0);
}

/* The next one is as if there had been none before. */
static void test_dies(void **state)
{
	(void)state;
	start_open(true, true);
	say(LINK_GIVE);
	vhost_given(t.vhost);
	die("killed by signal 9");
	assert_int_equal(t.gone, 1);
	assert_false(t.left);
	start(true, true);
	say_opened(-ENOMEM);
	assert_int_equal(t.opened, 2);
	assert_int_equal(t.result, -ENOMEM);
	say(LINK_GIVE);
	assert_int_equal(t.give, 2);
	vhost_given(t.vhost);
}

static void test_answers_twice(void **state)
{
	(void)state;
	start_open(true, true);
	say_opened(0);
	is_lost(1);
}

static void test_asks_before_it_is_open(void **state)
{
	(void)state;
	start(true, false);
	say(LINK_TAKE);
	is_lost(0);
}

static void test_takes_what_it_has(void **state)
{
	(void)state;
	start_open(true, true);
	say(LINK_TAKE);
	is_lost(1);
}

static void test_takes_twice(void **state)
{
	(void)state;
	start_open(true, false);
	say(LINK_TAKE);
	say(LINK_TAKE);
	is_lost(2);
}

static void test_gives_what_it_has_not(void **state)
{
	(void)state;
	start_open(true, false);
	say(LINK_GIVE);
	is_lost(1);
}

static void test_gives_what_nobody_lends(void **state)
{
	(void)state;
	start_open(false, true);
	say(LINK_GIVE);
	is_lost(1);
}

static void test_front_end_that_there_was_not(void **state)
{
	(void)state;
	start_open(false, true);
	say(LINK_FRONT_END_LEFT);
	is_lost(1);
}

/* It is told to trace, and it is not; and what it noted can be had. */
static void test_trace(void **state)
{
	struct link_message m;

	(void)state;
	start_open(false, true);
	vhost_trace(t.vhost, true);
	m = hear(LINK_TRACE);
	assert_true(m.trace.on && !m.trace.has_area);
	vhost_trace(t.vhost, false);
	m = hear(LINK_TRACE);
	assert_true(!m.trace.on && !m.trace.has_area);
	vhost_log_events(t.vhost);
	vhost_leave(t.vhost);
	hear(LINK_LEAVE);
	die("exit status 0");
}

static void test_front_end_leaves_twice(void **state)
{
	(void)state;
	start_open(false, true);
	vhost_front_end(t.vhost, STDERR_FILENO);
	say(LINK_FRONT_END_LEFT);
	say(LINK_FRONT_END_LEFT);
	is_lost(2);
}

static void test_says_what_is_for_another(void **state)
{
	struct link_message m = { .type = LINK_ENDED };

	(void)state;
	start_open(true, true);
	assert_int_equal(link_message_send(t.fd, &m, NULL), 0);
	turn();
	is_lost(1);
}

static void test_says_no_message(void **state)
{
	(void)state;
	start_open(true, true);
	assert_int_equal(send(t.fd, "hello", 5, 0), 5);
	turn();
	is_lost(1);
}

static void test_does_not_listen(void **state)
{
	(void)state;
	start_open(true, true);
	for (unsigned int i = 0; i < 100000 && !t.killed; i++)
		vhost_resize(t.vhost, i);
	is_lost(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_serves_and_leaves),
		TEST(test_dies),
		TEST(test_answers_twice),
		TEST(test_asks_before_it_is_open),
		TEST(test_takes_what_it_has),
		TEST(test_takes_twice),
		TEST(test_gives_what_it_has_not),
		TEST(test_gives_what_nobody_lends),
		TEST(test_front_end_that_there_was_not),
		TEST(test_front_end_leaves_twice),
		TEST(test_trace),
		TEST(test_says_what_is_for_another),
		TEST(test_says_no_message),
		TEST(test_does_not_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
