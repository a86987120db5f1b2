/* SPDX-License-Identifier: MIT */
/*
 * Good vhost-user sessions, with real rings in shared memory: what a front end
 * may expect, and what has to survive it.
 */
#include "lib/vhost_peer.h"

static const char *engine = "auto";
static unsigned int nthreads;

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start(engine, nthreads);
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	return 0;
}

static void moves_data(void **state)
{
	(void)state;
	set_up();
	for (unsigned int q = 0; q < PEER_QUEUES; q++) {
		do_io(q, 8 * q, (uint8_t)(0x11 * (q + 1)));
		assert_true(was_called(q));
	}
	submit(0, 0, VIRTIO_BLK_T_OUT, PEER_DISK / 512, 512);
	await(0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_IOERR);
}

static void configuration_is_read(void **state)
{
	struct vhost_config c = { .offset = 0, .size = 60 };
	struct vhost_message m;
	uint64_t capacity;

	(void)state;
	negotiate();
	send_message(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + c.size, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), VHOST_CONFIG_HEAD + c.size);
	memcpy(&capacity, m.payload.config.bytes, sizeof(capacity));
	assert_int_equal(capacity, PEER_DISK / 512);
	/* Behind the end: zeroes. Too much: the protocol's no. */
	c.size = 256;
	send_message(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + c.size, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), VHOST_CONFIG_HEAD + c.size);
	assert_int_equal(m.payload.config.bytes[255], 0);
	c.offset = 1;
	send_message(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + c.size, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), 0);
}

/* The cache mode can be written, with any timing; nothing else can. */
static void configuration_is_written(void **state)
{
	(void)state;
	negotiate();
	for (uint32_t at = 0; at < 96; at++) {
		if (at != 32)
			assert_int_not_equal(set_config(at, 1, 0xa5), 0);
		assert_int_not_equal(set_config(at, 4, 0xa5), 0);
	}
	assert_int_not_equal(set_config(200, 56, 0), 0);
	assert_int_equal(mode(), 1);
	assert_int_equal(set_config(32, 1, 0), 0);
	assert_int_equal(mode(), 0);
	assert_int_equal(set_config(32, 1, 1), 0);
	set_up();
	for (unsigned int i = 0; i < 6; i++) {
		submit(0, 0, VIRTIO_BLK_T_OUT, 0, 4096);
		assert_int_equal(set_config(32, 1, i % 2), 0);
		await(0);
		assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(mode(), i % 2);
	}
	/* A mode that was left by switching on the way is made stable. */
	assert_int_equal(set_config(32, 1, 0), 0);
	for (int i = 0; i < 1000 && peer.disk.blk.flush_owed; i++)
		turn_ns(NS_PER_MS);
	assert_false(peer.disk.blk.flush_owed);
	assert_true(peer_open());
}

/*
 * A front end that comes again does not say the mode again: its guest believes
 * in the one that it chose.
 */
static void cache_mode_outlives_the_connection(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(set_config(32, 1, 0), 0);
	do_io(0, 0, 1);
	disconnect_peer();
	connect_peer();
	set_up();
	assert_int_equal(mode(), 0);
	do_io(0, 0, 2);
	assert_int_equal(mode(), 0);
}

static void stops_and_goes_on(void **state)
{
	struct vhost_vring_addr addr = ring_addr(0, 0);
	uint32_t base;

	(void)state;
	set_up();
	for (unsigned int round = 0; round < 5; round++) {
		do_io(0, 16, (uint8_t)round);
		submit(0, 2, VIRTIO_BLK_T_OUT, 0, 65536 - 4096);
		submit(0, 3, VIRTIO_BLK_T_IN, 0, 65536 - 4096);
		/* Whatever was taken is used before the answer comes. */
		base = vring_base(0);
		assert_int_equal(base, ring_used(0)->idx);
		turn_ns(NS_PER_MS);
		assert_int_equal(peer.connection.session.vring[0].running,
				 false);
		ask_state(VHOST_SET_VRING_BASE, 0, ring_used(0)->idx);
		ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
		ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
		await(0);
	}
	/* A queue that does not run tells its base as well. */
	assert_int_equal(vring_base(0), vring_base(0));
}

static void disabled_queue_rests(void **state)
{
	(void)state;
	set_up();
	do_io(0, 0, 1);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 0);
	submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
	turn_ns(5 * NS_PER_MS);
	assert_false(used_is(0, peer.avail[0]));
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
	await(0);
}

/* Nobody has answered, or has been told that the session is at its end. */
static void expect_silence(void)
{
	char byte;

	turn_ns(5 * NS_PER_MS);
	assert_int_equal(recv(peer.sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT),
			 -1);
}

/* Where the owner is not ready a queue, and the answer, wait for him. */
static void queue_waits_for_the_owner(void **state)
{
	const struct vhost_vring_state on = { .index = 1, .num = 1 };
	struct vhost_message m;

	(void)state;
	set_up();
	ask_state(VHOST_SET_VRING_ENABLE, 1, 0);
	send_message(VHOST_GET_VRING_BASE, &on, sizeof(on), NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), sizeof(on));
	peer.may_start = 1;
	ask_fd(VHOST_SET_VRING_KICK, 1, peer.kick[1]);
	send_message(VHOST_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0);
	expect_silence();
	vhost_session_wake(&peer.connection.session);
	expect_silence();
	do_io(0, 0, 1);
	assert_false(peer.connection.session.vring[1].running);
	peer.may_start = 0;
	vhost_session_wake(&peer.connection.session);
	assert_int_equal(receive_reply(&m, NULL), 8);
	assert_int_equal(m.payload.u64, 0);
	assert_true(peer.connection.session.vring[1].running);
	do_io(1, 0, 2);
}

/* He may also say no, or the front end go meanwhile. */
static void queue_is_refused_by_the_owner(void **state)
{
	const struct vhost_vring_state on = { .index = 1, .num = 1 };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		negotiate();
		share_memory();
		peer.may_start = 0;
		set_up_queue(0);
		peer.may_start = 1;
		set_up_rings(1);
		send_message(VHOST_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0);
		expect_silence();
		if (i == 0) {
			peer.may_start = -EAGAIN;
			vhost_session_wake(&peer.connection.session);
			expect_closed();
			close(peer.sock);
		} else {
			disconnect_peer();
		}
		connect_peer();
	}
	peer.may_start = 0;
	set_up();
	do_io(1, 0, 2);
}

static void next_front_end_finds_all(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		set_up();
		do_io(i % PEER_QUEUES, i, (uint8_t)(i + 1));
		/* Gone in the middle of it. */
		submit(0, 2, VIRTIO_BLK_T_IN, 0, 32768);
		submit(1, 2, VIRTIO_BLK_T_IN, 0, 32768);
		disconnect_peer();
		assert_int_equal(peer.closed, i + 1);
		connect_peer();
	}
}

static void memory_changes_while_queues_run(void **state)
{
	const struct vhost_region more = {
		.guest = PEER_GUEST + PEER_MEMORY,
		.size = 0x3b10,
		.user = PEER_USER + 2 * PEER_MEMORY,
	};
	struct vhost_mem_reg reg = { .region = more };
	struct vhost_mem_table table = { .n = 1 };

	(void)state;
	set_up();
	for (unsigned int i = 0; i < 20; i++) {
		submit(0, 2, VIRTIO_BLK_T_IN, 0, 32768);
		submit(1, 3, VIRTIO_BLK_T_IN, 0, 32768);
		ask_ok(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &peer.memfd, 1);
		ask_ok(VHOST_REM_MEM_REG, &reg, sizeof(reg), &peer.memfd,
		       i & 1);
		submit(2, 3, VIRTIO_BLK_T_IN, 0, 32768);
		table.region[0] = whole_memory();
		ask_ok(VHOST_SET_MEM_TABLE, &table, VHOST_MEM_TABLE_HEAD + 32,
		       &peer.memfd, 1);
		for (unsigned int q = 0; q < PEER_QUEUES; q++)
			await(q);
		do_io(i % PEER_QUEUES, 128, (uint8_t)i);
	}
}

/* A queue that is disabled may lose its rings, and finds them again. */
static void disabled_queue_loses_its_memory(void **state)
{
	struct vhost_mem_table table = { .n = 1 };
	const struct vhost_mem_reg reg = { .region = whole_memory() };

	(void)state;
	set_up();
	for (unsigned int i = 0; i < 4; i++) {
		for (unsigned int q = 0; q < PEER_QUEUES; q++) {
			do_io(q, 8 * q, (uint8_t)(i + 1));
			if (q || i < 2)
				ask_state(VHOST_SET_VRING_ENABLE, q, 0);
		}
		/* All of it for a while, or a table that is the same. */
		table.n = i > 0;
		table.region[0] = whole_memory();
		ask_ok(VHOST_SET_MEM_TABLE, &table,
		       VHOST_MEM_TABLE_HEAD + 32 * table.n, &peer.memfd,
		       table.n);
		if (table.n == 0)
			ask_ok(VHOST_ADD_MEM_REG, &reg, sizeof(reg),
			       &peer.memfd, 1);
		submit(1, 2, VIRTIO_BLK_T_IN, 0, 512);
		turn_ns(2 * NS_PER_MS);
		assert_false(used_is(1, peer.avail[1]));
		for (unsigned int q = 0; q < PEER_QUEUES; q++)
			ask_state(VHOST_SET_VRING_ENABLE, q, 1);
		await(1);
	}
	/* One that is enabled may not. */
	table.n = 0;
	send_message(VHOST_SET_MEM_TABLE, &table, VHOST_MEM_TABLE_HEAD, NULL,
		     0);
	expect_closed();
	close(peer.sock);
	connect_peer();
}

/*
 * What was found in a region must not be found there after it has gone. GET_ID:
 * the kernel would see to a read.
 */
static void removed_memory_is_not_used(void **state)
{
	const struct vhost_region more = {
		.guest = PEER_GUEST + PEER_MEMORY,
		.size = 0x4000,
		.user = PEER_USER + 2 * PEER_MEMORY,
	};
	struct vhost_mem_reg reg = { .region = more };

	(void)state;
	set_up();
	ask_ok(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &peer.memfd, 1);
	for (unsigned int i = 0; i < 3; i++) {
		submit_at(0, i, VIRTIO_BLK_T_GET_ID, 0, more.guest, 20);
		await(0);
		assert_int_equal(slot_status(0, i), VIRTIO_BLK_S_OK);
	}
	ask_ok(VHOST_REM_MEM_REG, &reg, sizeof(reg), NULL, 0);
	submit_at(0, 3, VIRTIO_BLK_T_GET_ID, 0, more.guest, 20);
	await(0);
	assert_int_equal(slot_status(0, 3), VIRTIO_BLK_S_IOERR);
	do_io(0, 128, 5);
}

static void reset_forgets_the_queues(void **state)
{
	struct vhost_message m;
	uint32_t base;

	(void)state;
	set_up();
	do_io(0, 0, 7);
	ask_u64(VHOST_SET_STATUS, 15);
	send_message(VHOST_GET_STATUS, NULL, 0, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), 8);
	assert_int_equal(m.payload.u64, 15);
	/* As QEMU 7.2 stops a device: it asks for the position afterwards. */
	ask_u64(VHOST_SET_STATUS, 0);
	base = vring_base(0);
	assert_int_equal(base, 2);
	submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
	turn_ns(2 * NS_PER_MS);
	assert_false(used_is(0, peer.avail[0]));
	set_up_queue(0);
	do_io(0, 0, 9);
	submit(0, 2, VIRTIO_BLK_T_IN, 0, 32768);
	ask_ok(VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	set_up_queue(0);
	do_io(0, 0, 9);
}

static void broken_ring_is_told(void **state)
{
	struct vhost_message m;
	uint64_t n;
	int backend[2];

	(void)state;
	set_up();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, backend), 0);
	ask_ok(VHOST_SET_BACKEND_REQ_FD, NULL, 0, &backend[1], 1);
	close(backend[1]);
	do_io(0, 0, 1);
	ring_avail(0)->ring[peer.avail[0]++ % PEER_RING] = PEER_RING;
	__atomic_store_n(&ring_avail(0)->idx, peer.avail[0], __ATOMIC_RELEASE);
	kick(0);
	turn_ns(5 * NS_PER_MS);
	turn();
	assert_true(peer_open());
	assert_int_equal(read(peer.err[0], &n, 8), 8);
	assert_true(read(peer.err[1], &n, 8) < 0);
	send_message(VHOST_GET_STATUS, NULL, 0, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), 8);
	assert_true(m.payload.u64 & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(read(backend[0], &m.header, sizeof(m.header)),
			 sizeof(m.header));
	assert_int_equal(m.header.request, VHOST_BACKEND_CONFIG_CHANGE);
	assert_int_equal(m.header.size, 0);
	close(backend[0]);
	ask_ok(VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	set_up_queue(0);
	do_io(0, 0, 2);
}

static void dirty_pages_are_logged(void **state)
{
	const uint64_t bytes = dirty_log_bytes(PEER_GUEST + PEER_MEMORY);
	const struct vhost_log log = { .size = bytes };
	const struct vhost_vring_addr addr = ring_addr(0, VHOST_VRING_LOG);
	const uint64_t data = PEER_GUEST + slot_at(0, 1);
	uint64_t features;
	uint8_t *bits;
	int fd = memfd_create("log", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	set_up();
	features = virtio_device_accepted(&peer.disk.blk.dev);
	do_io(0, 0, 1);
	ask_ok(VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
	do_io(0, 0, 2);
	assert_false(log_has(bits, data + 0x1000));
	/* As QEMU turns it on while the queues run. */
	ask_u64(VHOST_SET_FEATURES, features | VHOST_BIT(VHOST_F_LOG_ALL));
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	do_io(0, 0, 3);
	assert_true(log_has(bits, data));          /* status */
	assert_true(log_has(bits, data + 0x1000)); /* data of the read */
	assert_false(log_has(bits, data + 0x2000));
	/* What is only read by the device is not dirty. */
	assert_false(log_has(bits, PEER_GUEST + slot_at(0, 0) + 0x1000));
	assert_true(log_has(bits, addr.log));           /* used ring */
	assert_false(log_has(bits, addr.log - 0x1000)); /* available ring */
	ask_u64(VHOST_SET_FEATURES, features);
	memset(bits, 0, bytes);
	do_io(0, 0, 4);
	for (uint64_t i = 0; i < bytes; i++)
		assert_int_equal(bits[i], 0);
	munmap(bits, bytes);
	close(fd);
}

/*
 * As if a back end before this one had taken two requests, in this order, and
 * was killed: the second in the ring first.
 */
static void lost_requests_are_done(void **state)
{
	const struct vhost_vring_addr addr = ring_addr(0, 0);
	struct vhost_inflight area;
	struct virtq_inflight *in;
	int fd;

	(void)state;
	negotiate();
	share_memory();
	area = get_inflight(&fd);
	in = mmap(NULL, area.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  0);
	assert_ptr_not_equal(in, MAP_FAILED);
	in->version = 1;
	in->desc_num = PEER_RING;
	in->desc[4].inflight = 1;
	in->desc[4].counter = 1;
	in->desc[0].inflight = 1;
	in->desc[0].counter = 2;
	ask_ok(VHOST_SET_INFLIGHT_FD, &area, sizeof(area), &fd, 1);
	memset(peer.memory + ring_at(0), 0, 0x3000);
	submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
	submit(0, 1, VIRTIO_BLK_T_IN, 0, 512);
	ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_CALL, 0, peer.call[0]);
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
	await(0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(slot_status(0, 1), VIRTIO_BLK_S_OK);
	assert_true(was_called(0));
	turn_ns(NS_PER_MS);
	assert_int_equal(in->desc[0].inflight, 0);
	assert_int_equal(in->used_idx, 2);
	do_io(0, 0, 5);
	munmap(in, area.mmap_size);
	close(fd);
}

static void messages_come_in_pieces(void **state)
{
	struct vhost_message m;
	uint8_t bytes[2 * sizeof(struct vhost_header)];
	const struct vhost_header h = { VHOST_GET_FEATURES,
					VHOST_HEADER_VERSION, 0 };

	(void)state;
	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), &h, sizeof(h));
	for (unsigned int i = 0; i < sizeof(h); i++) {
		send_raw(bytes + i, 1, NULL, 0);
		turn();
	}
	assert_int_equal(receive_reply(&m, NULL), 8);
	send_raw(bytes, sizeof(bytes), NULL, 0);
	turn();
	turn();
	assert_int_equal(recv(peer.sock, bytes, 20, MSG_WAITALL), 20);
	assert_int_equal(recv(peer.sock, bytes, 20, MSG_WAITALL), 20);
}

/* The rings vanish while they are served. */
static void truncated_memory_is_survived(void **state)
{
	(void)state;
	/* cmocka has one of its own for each test. */
	assert_int_equal(bus_guard_install(), 0);
	set_up();
	do_io(0, 0, 1);
	for (unsigned int i = 0; i < 4; i++)
		submit(0, i, VIRTIO_BLK_T_IN, 0, 32768);
	assert_int_equal(ftruncate(peer.memfd, 0), 0);
	kick(0);
	expect_closed();
	assert_int_equal(ftruncate(peer.memfd, PEER_MEMORY), 0);
	close(peer.sock);
	connect_peer();
	set_up();
	do_io(0, 0, 2);
}

/* The log, and then the area of requests in flight, while they are written. */
static void truncated_areas_are_survived(void **state)
{
	const struct vhost_log log = { .size = 0x100000 };
	const struct vhost_inflight in = { 8192, 0, PEER_QUEUES, PEER_RING, 0 };

	(void)state;
	assert_int_equal(bus_guard_install(), 0);
	for (int i = 0; i < 2; i++) {
		int fd = memfd_create("area", MFD_CLOEXEC);

		assert_int_equal(ftruncate(fd, 0x100000), 0);
		negotiate();
		share_memory();
		if (i == 0)
			ask_ok(VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
		else
			ask_ok(VHOST_SET_INFLIGHT_FD, &in, sizeof(in), &fd, 1);
		if (i == 0)
			ask_u64(VHOST_SET_FEATURES,
				virtio_device_accepted(&peer.disk.blk.dev) |
					VHOST_BIT(VHOST_F_LOG_ALL));
		set_up_queue(0);
		do_io(0, 0, 1);
		assert_int_equal(ftruncate(fd, 0), 0);
		submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
		kick(0);
		expect_closed();
		close(fd);
		close(peer.sock);
		connect_peer();
	}
	set_up();
	do_io(0, 0, 2);
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(moves_data, start, end),
		cmocka_unit_test_setup_teardown(configuration_is_read, start,
						end),
		cmocka_unit_test_setup_teardown(configuration_is_written, start,
						end),
		cmocka_unit_test_setup_teardown(
			cache_mode_outlives_the_connection, start, end),
		cmocka_unit_test_setup_teardown(stops_and_goes_on, start, end),
		cmocka_unit_test_setup_teardown(disabled_queue_rests, start,
						end),
		cmocka_unit_test_setup_teardown(queue_waits_for_the_owner,
						start, end),
		cmocka_unit_test_setup_teardown(queue_is_refused_by_the_owner,
						start, end),
		cmocka_unit_test_setup_teardown(next_front_end_finds_all, start,
						end),
		cmocka_unit_test_setup_teardown(memory_changes_while_queues_run,
						start, end),
		cmocka_unit_test_setup_teardown(disabled_queue_loses_its_memory,
						start, end),
		cmocka_unit_test_setup_teardown(removed_memory_is_not_used,
						start, end),
		cmocka_unit_test_setup_teardown(reset_forgets_the_queues, start,
						end),
		cmocka_unit_test_setup_teardown(broken_ring_is_told, start,
						end),
		cmocka_unit_test_setup_teardown(dirty_pages_are_logged, start,
						end),
		cmocka_unit_test_setup_teardown(lost_requests_are_done, start,
						end),
		cmocka_unit_test_setup_teardown(messages_come_in_pieces, start,
						end),
		cmocka_unit_test_setup_teardown(truncated_memory_is_survived,
						start, end),
		cmocka_unit_test_setup_teardown(truncated_areas_are_survived,
						start, end),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("one thread");

	nthreads = 2;
	failed += run("two threads");
	nthreads = 0;
	engine = "threads";
	return failed + run("engine of threads");
}
