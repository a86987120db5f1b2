/* SPDX-License-Identifier: MIT */
/*
 * Workers of a vhost-user disk that die before the first one can serve: a few
 * are followed by the next one at once; then the program ends, and its socket
 * was never there.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "link/message.h"
#include "monitor/vhost_disk.h"
#include "worker/starter.h"

static struct {
	struct loop loop;
	struct worker_starter starter;
	struct loop_deferred gone;
	unsigned int starts, mortals; /* so many workers die at once */
	int fd;                       /* of one that lives */
	char path[64];
} t;

static void gone(struct loop_deferred *deferred)
{
	(void)deferred;
	worker_starter_tell_gone(&t.starter, "killed by signal 9");
}

/* One that lives says that there is no device, which is the end. */
static int start(struct worker_starter *starter, unsigned int domid, int fd)
{
	struct link_message m = { .type = LINK_OPENED };

	(void)starter;
	(void)domid;
	assert_int_not_equal(access(t.path, F_OK), 0);
	if (++t.starts <= t.mortals) {
		close(fd);
		loop_defer(&t.loop, &t.gone);
		return 0;
	}
	m.opened.result = -ENOMEM;
	strcpy(m.opened.error, "it cannot");
	t.fd = fd;
	return link_message_send(fd, &m, NULL);
}

/* It leaves, or is killed. */
static void kill_worker(struct worker_starter *starter)
{
	(void)starter;
	loop_defer(&t.loop, &t.gone);
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
}

static const struct worker_starter_ops ops = {
	.start = start,
	.kill = kill_worker,
	.wait = wait_worker,
	.abandon = abandon_worker,
};

/* It was told to, but that is not looked at. */
static void leave(struct loop_timer *timer)
{
	if (t.fd < 0) {
		loop_arm(&t.loop, timer, 10 * NS_PER_MS);
		return;
	}
	close(t.fd);
	t.fd = -1;
	loop_defer(&t.loop, &t.gone);
}

static unsigned int serve(unsigned int mortals)
{
	struct loop_timer later = { .due = leave };
	struct options o = { .vhost = true,
			     .vhost_fd = -1,
			     .vhost_socket = t.path,
			     .ndisks = 1 };

	o.disk[0].size = 1 << 20;
	o.disk[0].engine = "null";
	o.disk[0].queues = 1;
	o.disk[0].queue_size = 16;
	memset(&t.starter, 0, sizeof(t.starter));
	t.starter.ops = &ops;
	t.gone.run = gone;
	t.starts = 0;
	t.mortals = mortals;
	t.fd = -1;
	snprintf(t.path, sizeof(t.path), "/tmp/virtio-disk-first.%ld",
		 (long)getpid());
	assert_int_equal(loop_init(&t.loop), 0);
	loop_arm(&t.loop, &later, 10 * NS_PER_MS);
	assert_int_equal(vhost_disk_serve(&t.loop, &o, &t.starter), 1);
	loop_finish(&t.loop);
	assert_int_not_equal(access(t.path, F_OK), 0);
	return t.starts;
}

static void test_next_one_at_once(void **state)
{
	(void)state;
	assert_int_equal(serve(1), 2);
	assert_int_equal(serve(4), 5);
}

static void test_too_often(void **state)
{
	(void)state;
	assert_int_equal(serve(1000), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_one_at_once),
		cmocka_unit_test(test_too_often),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
