/* SPDX-License-Identifier: MIT */
/*
 * A driver that goes on with another process, over vhost-user: the cache mode
 * that it believes in and a flush that has failed go with it, where the front
 * end keeps them for us; where nothing is known, every write is made stable.
 */
#include "lib/vhost_peer.h"

static struct vhost_inflight area;
static int area_fd = -1;

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start("auto", 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	if (area_fd >= 0)
		close(area_fd);
	area_fd = -1;
	return 0;
}

static void give_area(void)
{
	ask_ok(VHOST_SET_INFLIGHT_FD, &area, sizeof(area), &area_fd, 1);
}

static void new_area(void)
{
	if (area_fd >= 0)
		close(area_fd);
	area = get_inflight(&area_fd);
	give_area();
}

/* As QEMU: it looks at the configuration once, before its guest runs. */
static void first_start(void)
{
	negotiate();
	assert_int_equal(mode(), 1);
	share_memory();
	new_area();
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		set_up_queue(q);
	do_io(0, 0, 1);
}

static void connect_anew(void)
{
	negotiate();
	share_memory();
}

static void all_go_on(void)
{
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		go_on(q);
}

static bool writes_back(void)
{
	return peer.disk.blk.state->config.writeback;
}

static void mode_outlives_the_process(void **state)
{
	(void)state;
	first_start();
	for (uint8_t chosen = 0; chosen < 2; chosen++) {
		assert_int_equal(set_config(32, 1, chosen), 0);
		do_io(0, 0, 2);
		for (unsigned int i = 0; i < 3; i++) {
			peer_restart("auto");
			connect_anew();
			give_area();
			all_go_on();
			assert_int_equal(writes_back(), chosen);
			do_io(0, 0, 3);
		}
		assert_int_equal(mode(), chosen);
	}
}

/* A driver that chose nothing goes by what it was shown. */
static void start_mode_outlives_the_process(void **state)
{
	(void)state;
	first_start();
	peer_restart("auto");
	connect_anew();
	give_area();
	all_go_on();
	assert_true(writes_back());
}

/*
 * A queue without requests so far starts first, and looks like a new driver's.
 */
static void mode_is_found_at_a_later_queue(void **state)
{
	(void)state;
	negotiate();
	assert_int_equal(mode(), 1);
	share_memory();
	new_area();
	set_up_queue(1);
	assert_int_equal(set_config(32, 1, 0), 0);
	do_io(1, 0, 1);
	peer_restart("auto");
	connect_anew();
	give_area();
	set_up_queue(0);
	go_on(1);
	assert_false(writes_back());
}

/* From another host, or with a front end that keeps nothing. */
static void unknown_mode_is_write_through(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		first_start();
		peer_restart("auto");
		connect_anew();
		if (i == 1)
			new_area();
		/* The front end at the other end has looked as well. */
		if (i == 2) {
			new_area();
			assert_int_equal(mode(), 1);
		}
		all_go_on();
		assert_false(writes_back());
		do_io(0, 0, 2);
		/* It may choose anew. */
		assert_int_equal(set_config(32, 1, 1), 0);
		assert_true(writes_back());
		peer_restart("auto");
	}
}

/*
 * A front end that comes again after its guest had begun anew, and shows it
 * what it had from the process before.
 */
static void shown_by_another_is_unknown(void **state)
{
	(void)state;
	connect_anew();
	new_area();
	set_up_queue(0);
	assert_false(writes_back());
}

static void front_end_that_says_it_wins(void **state)
{
	(void)state;
	first_start();
	assert_int_equal(set_config(32, 1, 0), 0);
	peer_restart("auto");
	connect_anew();
	assert_int_equal(set_config(32, 1, 1), 0);
	give_area();
	all_go_on();
	assert_true(writes_back());
	/* Also without an area; and what was said last is kept. */
	peer_restart("auto");
	connect_anew();
	assert_int_equal(set_config(32, 1, 1), 0);
	all_go_on();
	assert_true(writes_back());
	peer_restart("auto");
	connect_anew();
	give_area();
	all_go_on();
	assert_true(writes_back());
}

/* Another guest: its front end looks first. */
static void next_guest_has_the_start_mode(void **state)
{
	(void)state;
	first_start();
	assert_int_equal(set_config(32, 1, 0), 0);
	disconnect_peer();
	connect_peer();
	first_start();
	assert_true(writes_back());
}

/*
 * Queues that stop and go on in one session: with memory, with the guest,
 * before there was any request.
 */
static void mode_stays_in_a_session(void **state)
{
	struct vhost_mem_table table = { .n = 1 };

	(void)state;
	negotiate();
	assert_int_equal(mode(), 1);
	share_memory();
	new_area();
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		set_up_queue(q);
	assert_int_equal(set_config(32, 1, 0), 0);
	table.region[0] = whole_memory();
	ask_ok(VHOST_SET_MEM_TABLE, &table, VHOST_MEM_TABLE_HEAD + 32,
	       &peer.memfd, 1);
	assert_int_equal(mode(), 0);
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		vring_base(q);
	all_go_on();
	assert_int_equal(mode(), 0);
	do_io(0, 0, 1);
	/* As QEMU 7.2 stops a guest that goes on after that. */
	ask_u64(VHOST_SET_STATUS, 0);
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		vring_base(q);
	give_area();
	all_go_on();
	assert_int_equal(mode(), 0);
	/* A guest that boots again sees what it sees. */
	ask_u64(VHOST_SET_STATUS, 0);
	new_area();
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		set_up_queue(q);
	assert_int_equal(mode(), 0);
	/* A guest that was brought back to an earlier time. */
	assert_int_equal(set_config(32, 1, 1), 0);
	do_io(0, 0, 1);
	ask_u64(VHOST_SET_STATUS, 0);
	new_area();
	all_go_on();
	assert_int_equal(mode(), 0);
}

static uint8_t flush_of(unsigned int q)
{
	submit(q, 2, VIRTIO_BLK_T_FLUSH, 0, 0);
	await(q);
	return slot_status(q, 2);
}

/*
 * The kernel tells once that it has lost something, and told another process.
 */
static void failed_flush_outlives_the_process(void **state)
{
	int none = 0;

	(void)state;
	first_start();
	assert_int_equal(flush_of(0), VIRTIO_BLK_S_OK);
	__atomic_compare_exchange_n(&peer.image.flush_error, &none, -EIO, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	peer.image.lost(&peer.image);
	for (unsigned int i = 0; i < 3; i++) {
		/* Whatever is chosen meanwhile is kept beside it. */
		assert_int_equal(set_config(32, 1, i % 2), 0);
		peer_restart("auto");
		connect_anew();
		give_area();
		all_go_on();
		assert_int_equal(writes_back(), i % 2);
		assert_int_equal(flush_of(1), VIRTIO_BLK_S_IOERR);
		submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
		await(0);
		assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
	}
	/* The disk as another guest finds it. */
	peer_restart("auto");
	first_start();
	assert_int_equal(flush_of(0), VIRTIO_BLK_S_OK);
}

static void change_state(uint32_t word)
{
	const uint64_t both = (uint64_t)~word << 32 | word;
	const off_t at = (off_t)area.mmap_size - 64 + 16;

	assert_int_equal(pwrite(area_fd, &both, sizeof(both), at),
			 sizeof(both));
}

/*
 * What the area says of a failure is that front end's, which may lie: the next
 * one has nothing of it, where the process stays the same.
 */
static void taken_failure_is_one_drivers(void **state)
{
	(void)state;
	first_start();
	for (unsigned int i = 0; i < 2; i++) {
		disconnect_peer();
		change_state((uint32_t)EIO << 8 | VIRTIO_BLK_MODE_WRITEBACK);
		connect_peer();
		connect_anew();
		give_area();
		all_go_on();
		assert_int_equal(flush_of(0), VIRTIO_BLK_S_IOERR);
		/* A failure of our own is noticed beside it, and stays. */
		if (i == 1)
			peer.image.flush_error = -ENOSPC;
		disconnect_peer();
		connect_peer();
		first_start();
		assert_int_equal(flush_of(0),
				 i == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(block_image_flush_error(&peer.image), -ENOSPC);
}

/*
 * Before this process has taken over what the one before has left, nothing of
 * its own is put in its place.
 */
static void left_state_is_not_overwritten(void **state)
{
	(void)state;
	first_start();
	assert_int_equal(set_config(32, 1, 0), 0);
	peer_restart("auto");
	connect_anew();
	give_area();
	vhost_takeover_keep(&peer.connection.session);
	all_go_on();
	assert_false(writes_back());
}

/*
 * What a process before us wrote to the ring it may not have logged; a recovery
 * writes to a packed one. While a migration is under way it is all dirty.
 */
static void ring_taken_over_is_logged(void **state)
{
	const uint64_t bytes = dirty_log_bytes(PEER_GUEST + PEER_MEMORY);
	const struct vhost_log log = { .size = bytes };
	const uint64_t at = PEER_GUEST + ring_at(0);
	struct vhost_vring_addr addr = ring_addr(0, VHOST_VRING_LOG);
	int fd = memfd_create("log", MFD_CLOEXEC);
	uint8_t *bits;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	negotiate();
	share_memory();
	ask_u64(VHOST_SET_FEATURES, virtio_device_accepted(&peer.disk.blk.dev) |
					    VHOST_BIT(VHOST_F_LOG_ALL));
	ask_ok(VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
	if (peer_packed)
		addr.log = at;
	ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
	ask_state(VHOST_SET_VRING_BASE, 0,
		  peer_packed ? 0x80008000 : ring_used(0)->idx);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
	assert_true(log_has(bits, peer_packed ? at : addr.log));
	assert_false(log_has(bits, at + 0x1000));
	munmap(bits, bytes);
	close(fd);
}

static int start_packed(void **state)
{
	peer_packed = true;
	return start(state);
}

static int end_packed(void **state)
{
	end(state);
	peer_packed = false;
	return 0;
}

/* The area is the front end's, which may write what it likes. */
static void tails_of_noise(void **state)
{
	unsigned int seed = 1;
	uint8_t *bytes, *tail;

	(void)state;
	first_start();
	assert_int_equal(set_config(32, 1, 1), 0);
	bytes = mmap(NULL, area.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     area_fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	tail = bytes + area.mmap_size - 64;
	for (unsigned int i = 0; i < 200; i++) {
		uint8_t was[64];
		unsigned int at = i < 64 ? i : (unsigned int)rand_r(&seed) % 64;

		peer_restart("auto");
		connect_anew();
		memcpy(was, tail, sizeof(was));
		tail[at] ^= (uint8_t)(1u << (unsigned int)rand_r(&seed) % 8);
		/* A word that is whole, and means nothing. */
		if (i >= 100) {
			uint32_t word = (uint32_t)rand_r(&seed) | 1u << 31;
			uint64_t both = (uint64_t)~word << 32 | word;

			memcpy(tail, was, sizeof(was));
			memcpy(tail + 16, &both, sizeof(both));
		}
		give_area();
		/* Nothing that is odd is believed. */
		go_on(0);
		assert_true(peer.connection.session.vring[0].running);
		assert_false(writes_back());
		assert_int_equal(flush_of(0), VIRTIO_BLK_S_OK);
		memcpy(tail, was, sizeof(was));
	}
	munmap(bytes, area.mmap_size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mode_outlives_the_process,
						start, end),
		cmocka_unit_test_setup_teardown(start_mode_outlives_the_process,
						start, end),
		cmocka_unit_test_setup_teardown(mode_is_found_at_a_later_queue,
						start, end),
		cmocka_unit_test_setup_teardown(unknown_mode_is_write_through,
						start, end),
		cmocka_unit_test_setup_teardown(shown_by_another_is_unknown,
						start, end),
		cmocka_unit_test_setup_teardown(front_end_that_says_it_wins,
						start, end),
		cmocka_unit_test_setup_teardown(next_guest_has_the_start_mode,
						start, end),
		cmocka_unit_test_setup_teardown(mode_stays_in_a_session, start,
						end),
		cmocka_unit_test_setup_teardown(
			failed_flush_outlives_the_process, start, end),
		cmocka_unit_test_setup_teardown(taken_failure_is_one_drivers,
						start, end),
		cmocka_unit_test_setup_teardown(left_state_is_not_overwritten,
						start, end),
		cmocka_unit_test_setup_teardown(tails_of_noise, start, end),
		cmocka_unit_test_setup_teardown(ring_taken_over_is_logged,
						start, end),
		cmocka_unit_test_setup_teardown(ring_taken_over_is_logged,
						start_packed, end_packed),
	};

	return cmocka_run_group_tests_name("vhost_takeover", tests, NULL, NULL);
}
