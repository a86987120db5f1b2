/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=epoll_ctl */
/*
 * Notifications of a vhost-user session: none may get lost, whenever the front
 * end gives its event descriptors, and whatever a process before us left
 * undone.
 */
#include "lib/vhost_peer.h"

static unsigned int nthreads;
static bool no_watches; /* the kernel has no more for us */

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && no_watches) {
		errno = ENOSPC;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, event);
}

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start("auto", nthreads);
	return 0;
}

static int start_packed(void **state)
{
	peer_packed = true;
	return start(state);
}

static int end(void **state)
{
	(void)state;
	peer_end();
	peer_packed = false;
	return 0;
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_signalled(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

/* Lay out queue 0 as one that stands at `position`, and start it there. */
static void start_at(uint32_t position)
{
	const struct vhost_vring_addr addr = ring_addr(0, 0);

	memset(peer.memory + ring_at(0), 0, 0x3000);
	peer.avail[0] = (uint16_t)position;
	if (!peer_packed) {
		ring_avail(0)->idx = (uint16_t)position;
		ring_used(0)->idx = (uint16_t)position;
	}
	ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
	ask_state(VHOST_SET_VRING_BASE, 0, position);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_CALL, 0, peer.call[0]);
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
}

/*
 * Whoever served the queue before may have died between what it showed the
 * driver and the notification, which we make good: wherever the ring stands.
 */
static void takeover_notifies(const uint32_t *positions, unsigned int n)
{
	negotiate();
	share_memory();
	for (unsigned int i = 0; i < n; i++) {
		start_at(positions[i]);
		assert_true(peer.connection.session.vring[0].running);
		assert_true(was_called(0));
		vring_base(0);
	}
}

static void takeover_notifies_split(void **state)
{
	static const uint32_t positions[] = { 0, 1, 40, UINT16_MAX };

	(void)state;
	takeover_notifies(positions, 4);
}

static void takeover_notifies_packed(void **state)
{
	/* Next available and next used one, with their wrap counters. */
	static const uint32_t positions[] = {
		0x80018001,
		0x80008000,
		0,
		0x00280028,
	};

	(void)state;
	takeover_notifies(positions, 4);
}

/* QEMU up to 7.1 first hands over a placeholder, which nobody listens to. */
static void new_call_descriptor_is_told(void **state)
{
	int placeholder, real;

	(void)state;
	set_up();
	placeholder = new_eventfd();
	real = new_eventfd();
	ask_fd(VHOST_SET_VRING_CALL, 0, placeholder);
	do_io(0, 0, 1);
	assert_true(is_signalled(placeholder));
	ask_fd(VHOST_SET_VRING_CALL, 0, real);
	assert_true(is_signalled(real));
	/* As well where there was none for a while. */
	ask_fd(VHOST_SET_VRING_CALL, 0, -1);
	do_io(0, 0, 2);
	ask_fd(VHOST_SET_VRING_CALL, 0, real);
	assert_true(is_signalled(real));
	/* What completed may be seen only after the queue was stopped. */
	ask_fd(VHOST_SET_VRING_CALL, 0, placeholder);
	do_io(0, 0, 3);
	vring_base(0);
	ask_fd(VHOST_SET_VRING_CALL, 0, real);
	assert_true(is_signalled(real));
	close(placeholder);
	close(real);
}

/* A queue that never ran has nothing to tell. */
static void call_descriptor_of_a_quiet_queue(void **state)
{
	(void)state;
	negotiate();
	share_memory();
	ask_fd(VHOST_SET_VRING_CALL, 1, peer.call[1]);
	assert_false(was_called(1));
}

/* A chain whose kick went to the descriptor that is just being replaced. */
static void new_kick_descriptor_looks(void **state)
{
	int old, nobodys = new_eventfd();

	(void)state;
	set_up();
	do_io(0, 0, 1);
	for (unsigned int i = 0; i < 20; i++) {
		old = peer.kick[0];
		turn_ns(NS_PER_MS / 4);
		peer.kick[0] = nobodys;
		submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
		peer.kick[0] = new_eventfd();
		ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
		await(0);
		close(old);
	}
	/* And it is the one that counts from now on. */
	do_io(0, 0, 2);
	close(nobodys);
}

static void new_err_descriptor_is_told(void **state)
{
	int late = new_eventfd();

	(void)state;
	set_up();
	ask_fd(VHOST_SET_VRING_ERR, 0, late);
	assert_false(is_signalled(late));
	ring_avail(0)->ring[peer.avail[0]++ % PEER_RING] = PEER_RING;
	__atomic_store_n(&ring_avail(0)->idx, peer.avail[0], __ATOMIC_RELEASE);
	kick(0);
	turn_ns(5 * NS_PER_MS);
	turn();
	assert_true(is_signalled(late));
	assert_false(is_signalled(peer.err[0]));
	ask_fd(VHOST_SET_VRING_ERR, 0, peer.err[0]);
	assert_true(is_signalled(peer.err[0]));
	close(late);
}

/* What a hostile front end can do to an eventfd that it shares with us. */
static void make_it_block(int fd)
{
	const uint64_t full = UINT64_MAX - 1;
	uint64_t n;

	assert_int_equal(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	while (read(fd, &n, sizeof(n)) > 0)
		continue;
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	assert_int_equal(fcntl(fd, F_SETFL, O_RDWR), 0);
}

static void unblock(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	is_signalled(fd);
}

static void call_descriptor_that_blocks(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		set_up();
		do_io(0, 0, 1);
		for (unsigned int q = 0; q < PEER_QUEUES; q++)
			make_it_block(peer.call[q]);
		for (unsigned int q = 0; q < PEER_QUEUES; q++)
			submit(q, 0, VIRTIO_BLK_T_IN, 0, 512);
		expect_closed();
		for (unsigned int q = 0; q < PEER_QUEUES; q++)
			unblock(peer.call[q]);
		close(peer.sock);
		connect_peer();
	}
	/* A full counter that does not block is a signal. */
	set_up();
	make_it_block(peer.call[0]);
	assert_int_equal(fcntl(peer.call[0], F_SETFL, O_RDWR | O_NONBLOCK), 0);
	do_io(0, 0, 2);
	assert_true(peer_open());
}

static void err_descriptor_that_blocks(void **state)
{
	(void)state;
	set_up();
	make_it_block(peer.err[0]);
	ring_avail(0)->ring[peer.avail[0]++ % PEER_RING] = PEER_RING;
	__atomic_store_n(&ring_avail(0)->idx, peer.avail[0], __ATOMIC_RELEASE);
	kick(0);
	expect_closed();
	unblock(peer.err[0]);
}

/* Nothing is in it, and who reads it without more ado waits. */
static void kick_descriptor_that_blocks(void **state)
{
	(void)state;
	set_up();
	for (unsigned int q = 0; q < PEER_QUEUES; q++) {
		is_signalled(peer.kick[q]);
		assert_int_equal(fcntl(peer.kick[q], F_SETFL, O_RDWR), 0);
		vring_base(q);
	}
	assert_true(peer_open());
}

/* A kick that is not watched is none: the queue is not ready to start. */
static void kick_descriptor_that_cannot_be_watched(void **state)
{
	struct vring *v = &peer.connection.session.vring[0];
	int fd = new_eventfd();

	(void)state;
	set_up();
	vring_base(0);
	no_watches = true;
	assert_int_equal(vring_set_kick(v, fd), -ENOSPC);
	no_watches = false;
	assert_int_equal(v->kick.fd, -1);
	assert_false(vring_is_ready(v));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	do_io(0, 0, 1);
	/* A front end is told, and its session ends. */
	no_watches = true;
	assert_int_equal(ask(VHOST_SET_VRING_KICK, &(uint64_t){ 1 }, 8,
			     &peer.kick[1], 1),
			 1);
	no_watches = false;
	expect_closed();
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takeover_notifies_split, start,
						end),
		cmocka_unit_test_setup_teardown(takeover_notifies_packed,
						start_packed, end),
		cmocka_unit_test_setup_teardown(new_call_descriptor_is_told,
						start, end),
		cmocka_unit_test_setup_teardown(
			call_descriptor_of_a_quiet_queue, start, end),
		cmocka_unit_test_setup_teardown(new_kick_descriptor_looks,
						start, end),
		cmocka_unit_test_setup_teardown(new_err_descriptor_is_told,
						start, end),
		cmocka_unit_test_setup_teardown(call_descriptor_that_blocks,
						start, end),
		cmocka_unit_test_setup_teardown(err_descriptor_that_blocks,
						start, end),
		cmocka_unit_test_setup_teardown(kick_descriptor_that_blocks,
						start, end),
		cmocka_unit_test_setup_teardown(
			kick_descriptor_that_cannot_be_watched, start, end),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("one thread");

	nthreads = 2;
	return failed + run("two threads");
}
