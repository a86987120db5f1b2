/* SPDX-License-Identifier: MIT */
/*
 * What a front end can make us say: whatever it does again and again, the log
 * does not grow with it; and what it should say is in it.
 */
#include "lib/vhost_peer.h"

#include <sys/resource.h>

enum {
	TIMES = 200,
	/* Two intervals may begin, and each tells what was left out. */
	LINES_MAX = 3 * LOG_BURST,
};

static int log_fd, saved_fd;

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	saved_fd = dup(STDERR_FILENO);
	assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
	peer_start("null", 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	dup2(saved_fd, STDERR_FILENO);
	close(saved_fd);
	close(log_fd);
	return 0;
}

/* Lines so far with `text` in them. */
static unsigned int lines(const char *text)
{
	static char all[1 << 20];
	ssize_t len = pread(log_fd, all, sizeof(all) - 1, 0);
	unsigned int n = 0;

	assert_true(len >= 0);
	all[len] = 0;
	for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n"))
		n += strstr(line, text) != NULL;
	return n;
}

static void again(void)
{
	close(peer.sock);
	connect_peer();
}

static void connections_are_logged_within_limits(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < TIMES; i++) {
		disconnect_peer();
		connect_peer();
	}
	assert_in_range(lines("disconnected"), 1, LINES_MAX);
	assert_in_range(lines(""), 1, LINES_MAX);
}

static void wrong_messages(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < TIMES; i++) {
		send_message(i, NULL, 0, NULL, 0);
		if (i == VHOST_GET_FEATURES || !vhost_request_kind(i))
			send_message(UINT32_MAX, NULL, 0, NULL, 0);
		turn();
		if (!peer_open())
			again();
	}
	assert_in_range(lines("closing the session"), 1, LINES_MAX);
	/* That did not cost the line of another cause. */
	disconnect_peer();
	assert_int_equal(lines("disconnected"), 1);
	connect_peer();
}

/* What no message is about is not said of the message before. */
static void no_message_is_wrong(void **state)
{
	(void)state;
	set_up();
	peer.connection.stall.due(&peer.connection.stall);
	assert_int_equal(lines("test: closing the session: the rest of a "
			       "message does not come"),
			 1);
	again();
	set_up();
	peer.connection.deaf = true;
	vhost_session_wake(&peer.connection.session);
	expect_closed();
	assert_int_equal(lines("test: closing the session: its messages "
			       "cannot be awaited"),
			 1);
}

static void refused_changes(void **state)
{
	(void)state;
	negotiate();
	for (unsigned int i = 0; i < TIMES; i++)
		assert_int_not_equal(set_config(0, 1, 0xa5), 0);
	assert_in_range(lines("refused"), 1, LINES_MAX);
}

/* A queue that is served without what would protect it. */
static void area_that_protects_nothing_is_logged(void **state)
{
	struct vhost_inflight in = { 1 << 14, 0, PEER_QUEUES, 16, 0 };
	int fd = memfd_create("area", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 14), 0);
	set_up();
	assert_int_equal(lines("keeps no in-flight area"), 1);
	disconnect_peer();
	connect_peer();
	negotiate();
	share_memory();
	ask_ok(VHOST_SET_INFLIGHT_FD, &in, sizeof(in), &fd, 1);
	set_up_queue(0);
	assert_int_equal(lines("has no place in the front end's in-flight"), 1);
	/* Requests that were taken by nobody knows whom. */
	disconnect_peer();
	connect_peer();
	negotiate();
	share_memory();
	memset(peer.memory + ring_at(0), 0, 0x3000);
	ring_avail(0)->idx = 9;
	ring_used(0)->idx = 4;
	ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
	ask_state(VHOST_SET_VRING_BASE, 0, 9);
	{
		const struct vhost_vring_addr addr = ring_addr(0, 0);

		ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	}
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(lines("5 requests that a back end before"), 1);
	close(fd);
	for (unsigned int i = 0; i < TIMES / 4; i++) {
		disconnect_peer();
		connect_peer();
		set_up();
	}
	assert_in_range(lines("in-flight area"), 3, 2 * LINES_MAX);
}

/* Whose fault it is that descriptors are missing. */
static void lost_descriptors(void **state)
{
	struct rlimit limit, few;
	const int many[17] = { 0 };
	int first;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	negotiate();
	first = dup(peer.call[0]);
	close(first);
	few = (struct rlimit){ (rlim_t)first, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	send_message(VHOST_SET_VRING_CALL, &(uint64_t){ 0 }, 8, peer.call, 1);
	turn();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect_closed();
	assert_int_equal(lines("raise LimitNOFILE="), 1);
	again();
	send_message(VHOST_SET_VRING_CALL, &(uint64_t){ 0 }, 8, many, 17);
	expect_closed();
	assert_int_equal(lines("raise LimitNOFILE="), 1);
	assert_int_equal(lines("too many descriptors"), 1);
	again();
}

/* A migration that would go wrong. */
static void logs_of_dirty_pages(void **state)
{
	const uint64_t bytes = dirty_log_bytes(PEER_GUEST + PEER_MEMORY - 1);
	const struct vhost_log log = { .size = bytes };
	struct vhost_mem_reg more = { .region = whole_memory() };
	uint64_t features;
	int fd = memfd_create("log", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	set_up();
	features = virtio_device_accepted(&peer.disk.blk.dev);
	ask_ok(VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
	ask_u64(VHOST_SET_FEATURES, features | VHOST_BIT(VHOST_F_LOG_ALL));
	assert_int_equal(lines("its log"), 0);
	more.region.guest += UINT64_C(1) << 40;
	more.region.user += UINT64_C(1) << 40;
	ask_ok(VHOST_ADD_MEM_REG, &more, sizeof(more), &peer.memfd, 1);
	assert_int_equal(lines("its log is too small"), 1);
	disconnect_peer();
	connect_peer();
	set_up();
	ask_u64(VHOST_SET_FEATURES, features | VHOST_BIT(VHOST_F_LOG_ALL));
	assert_int_equal(lines("its log is missing"), 1);
	for (unsigned int i = 0; i < TIMES; i++) {
		ask_u64(VHOST_SET_FEATURES, features);
		ask_u64(VHOST_SET_FEATURES,
			features | VHOST_BIT(VHOST_F_LOG_ALL));
	}
	assert_in_range(lines("its log"), 2, LINES_MAX);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			connections_are_logged_within_limits, start, end),
		cmocka_unit_test_setup_teardown(wrong_messages, start, end),
		cmocka_unit_test_setup_teardown(no_message_is_wrong, start,
						end),
		cmocka_unit_test_setup_teardown(refused_changes, start, end),
		cmocka_unit_test_setup_teardown(
			area_that_protects_nothing_is_logged, start, end),
		cmocka_unit_test_setup_teardown(lost_descriptors, start, end),
		cmocka_unit_test_setup_teardown(logs_of_dirty_pages, start,
						end),
	};

	return cmocka_run_group_tests_name("vhost_log", tests, NULL, NULL);
}
