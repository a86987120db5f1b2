/* SPDX-License-Identifier: MIT */
/*
 * A worker of front ends and a monitor that is the test: who is handed over is
 * served, one at a time, and told of when gone; also who cannot be served.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "link/message.h"
#include "worker/vhost_server.h"

static struct {
	struct loop loop;
	struct loop_timer turn;
	struct vhost_server_owner owner;
	unsigned int ended;
	int fd; /* the monitor's end */
} t;

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

static void ended(struct vhost_server_owner *owner)
{
	(void)owner;
	t.ended++;
}

static void say(struct link_message m, int fd)
{
	assert_int_equal(link_message_send(t.fd, &m, &fd), 0);
	turn();
}

static void say_type(uint32_t type, int fd)
{
	say((struct link_message){ .type = type }, fd);
}

/* What comes next is of this type, and nothing is behind it. */
static void hear(uint32_t type)
{
	struct pollfd link = { .fd = t.fd, .events = POLLIN };
	int fds[LINK_FDS_MAX];
	struct link_message m;
	const char *why;

	for (unsigned int i = 0; i < 5000 && poll(&link, 1, 0) == 0; i++)
		turn();
	assert_int_equal(
		link_message_receive(t.fd, LINK_TO_MONITOR, &m, fds, &why), 1);
	assert_int_equal(m.type, type);
	assert_int_equal(poll(&link, 1, 0), 0);
}

static struct link_message open_message(void)
{
	struct link_message m = { .type = LINK_OPEN };

	strcpy(m.open.name, "web");
	m.open.facts = (struct block_facts){ .size = 1 << 20,
					     .block_size = 512,
					     .physical_block_size = 512,
					     .store_block_size = 512,
					     .dio_align = 1,
					     .dio_mem_align = 1 };
	m.open.options.queues = 1;
	m.open.options.queue_size = 16;
	strcpy(m.open.options.engine, "null");
	return m;
}

static int begin(void **state)
{
	int fd[2];

	(void)state;
	memset(&t, 0, sizeof(t));
	log_set_level(LOG_LEVEL_ERROR);
	t.owner.ended = ended;
	t.turn.due = turned;
	if (loop_init(&t.loop) || link_socket_pair(fd))
		return -1;
	t.fd = fd[0];
	return vhost_server_open(&t.loop, fd[1], &t.owner);
}

static int finish(void **state)
{
	(void)state;
	close(t.fd);
	for (unsigned int i = 0; i < 5000 && !t.ended; i++)
		turn();
	assert_int_equal(t.ended, 1);
	loop_finish(&t.loop);
	return 0;
}

static void listen_for_some(void)
{
	struct link_message m = { .type = LINK_LISTEN };

	say(open_message(), -1);
	hear(LINK_OPENED);
	strcpy(m.listen.where, "/run/web.sock");
	say(m, -1);
}

/* ---- tests ---- */

static void come_one_after_the_other(void)
{
	int pair[2];

	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		say_type(LINK_FRONT_END, pair[1]);
		close(pair[1]);
		close(pair[0]);
		hear(LINK_FRONT_END_LEFT);
	}
}

/* It sees the end of its connection, and the next one is served. */
static void come_without_a_descriptor(void)
{
	struct rlimit limit, few;
	int pair[2];
	char byte;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = 3;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	say_type(LINK_FRONT_END, pair[1]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(pair[1]);
	hear(LINK_FRONT_END_LEFT);
	assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), 0);
	close(pair[0]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	say_type(LINK_FRONT_END, pair[1]);
	close(pair[1]);
	assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(pair[0]);
	hear(LINK_FRONT_END_LEFT);
}

/* A monitor that brings two at once is none. */
static void come_two_at_once(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	say_type(LINK_FRONT_END, pair[1]);
	say_type(LINK_FRONT_END, pair[1]);
	close(pair[0]);
	close(pair[1]);
	for (unsigned int i = 0; i < 5000 && !t.ended; i++)
		turn();
	assert_int_equal(t.ended, 1);
}

/* There is one device in a process. */
static void test_front_ends(void **state)
{
	(void)state;
	listen_for_some();
	come_one_after_the_other();
	come_without_a_descriptor();
	come_two_at_once();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_front_ends, begin, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
