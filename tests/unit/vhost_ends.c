/* SPDX-License-Identifier: MIT */
/*
 * Ends that come while a long list of ranges is worked on: of the connection,
 * and of the device by a reset. Nobody waits for the whole list; where the
 * front end keeps what is in flight, the back end after this one does it.
 */
#include "lib/vhost_peer.h"

enum { RANGES = 32 };

static struct vhost_inflight area;
static struct virtq_inflight *in;
static int area_fd = -1;

static void get_area(void)
{
	struct vhost_inflight want = { .num_queues = PEER_QUEUES,
				       .queue_size = PEER_RING };
	struct vhost_message m;

	send_message(VHOST_GET_INFLIGHT_FD, &want, VHOST_INFLIGHT_SHORT, NULL,
		     0);
	assert_int_equal(receive_reply(&m, &area_fd), VHOST_INFLIGHT_SHORT);
	area = m.payload.inflight;
	in = mmap(NULL, area.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		  area_fd, 0);
	assert_ptr_not_equal(in, MAP_FAILED);
}

static void give_area(void)
{
	ask_ok(VHOST_SET_INFLIGHT_FD, &area, sizeof(area), &area_fd, 1);
}

static void drop_area(void)
{
	munmap(in, area.mmap_size);
	close(area_fd);
	area_fd = -1;
}

/* Give the device a list; it has begun with the first range. */
static void begin_list(void)
{
	struct loop_poller *poller = &peer.disk.queue[0].poller;
	struct virtio_blk_segment *list = (void *)slot_data(0, 0);

	for (unsigned int i = 0; i < RANGES; i++)
		list[i] = (struct virtio_blk_segment){ i, 1, 0 };
	submit(0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, RANGES * sizeof(*list));
	ring_desc(0)[1].flags &= (uint16_t)~VRING_DESC_WRITE;
	poller->poll(poller);
	assert_int_equal(peer.disk.blk.queue[0].vq.in_flight, 1);
}

/* One look at the queue, which has a range of the list and no more. */
static void look(void)
{
	struct loop_poller *poller = &peer.disk.queue[0].poller;

	poller->poll(poller);
	assert_int_equal(peer.disk.blk.queue[0].vq.in_flight, 0);
}

/* What the front end has sent is looked at, and no queue is. */
static void hear(void)
{
	struct loop_source *socket = &peer.connection.socket;

	socket->ready(socket, EPOLLIN);
}

static void set_up_one(void)
{
	negotiate();
	share_memory();
	if (area_fd >= 0)
		give_area();
	set_up_queue(0);
}

/* As set_up_queue(), with the ring as it was left. */
static void set_up_again(void)
{
	const struct vhost_vring_addr addr = ring_addr(0, 0);

	ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_CALL, 0, peer.call[0]);
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
}

/* Give the device a list, and answer what was asked for after it. */
static void begin_list_and_pass(void)
{
	struct loop_poller *poller = &peer.disk.queue[0].poller;

	begin_list();
	submit(0, 1, VIRTIO_BLK_T_IN, 0, 512);
	poller->poll(poller);
	poller->poll(poller);
	assert_true(used_is(0, 1));
	assert_int_equal(slot_status(0, 1), VIRTIO_BLK_S_OK);
	assert_int_equal(peer.disk.blk.queue[0].vq.in_flight, 1);
}

static void front_end_goes(void)
{
	close(peer.sock);
	peer.sock = -1;
	hear();
	look();
	expect_closed();
}

/* The front end goes, and whoever comes next cannot know of the list. */
static void nobody_goes_on(void **state)
{
	(void)state;
	set_up_one();
	begin_list_and_pass();
	front_end_goes();
	assert_true(used_is(0, 2));
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_IOERR);
}

/* Nobody has answered the list, and who finds it in the ring does it. */
static void check_next_does_it(void)
{
	assert_true(used_is(0, 0));
	assert_int_equal(slot_status(0, 0), 0xee);
	connect_peer();
	negotiate();
	share_memory();
	go_on(0);
	await(0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
}

/* It goes, but may come back: its driver finds no failure that is none. */
static void it_comes_back(void **state)
{
	(void)state;
	set_up_one();
	begin_list();
	front_end_goes();
	check_next_does_it();
}

/*
 * We end, and nothing tells the next one of the list but the ring, in which it
 * is the first that has not been answered.
 */
static void it_goes_back_to_the_ring(void **state)
{
	(void)state;
	set_up_one();
	begin_list();
	vhost_connection_close(&peer.connection);
	look();
	disconnect_peer();
	check_next_does_it();
}

/* We end, and the ring tells of it no more: it is finished. */
static void it_is_finished(void **state)
{
	(void)state;
	set_up_one();
	begin_list_and_pass();
	vhost_connection_close(&peer.connection);
	await(0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
	disconnect_peer();
}

static void the_next_goes_on(void **state)
{
	(void)state;
	negotiate();
	get_area();
	give_area();
	share_memory();
	set_up_queue(0);
	begin_list();
	vhost_connection_close(&peer.connection);
	look();
	disconnect_peer();
	assert_true(used_is(0, 0));
	assert_int_equal(slot_status(0, 0), 0xee);
	assert_int_equal(in->desc[0].inflight, 1);
	connect_peer();
	negotiate();
	share_memory();
	give_area();
	set_up_again();
	await(0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
	turn_ns(NS_PER_MS);
	assert_int_equal(in->desc[0].inflight, 0);
	drop_area();
}

/* A reset forgets what is in flight: nobody may find it noted. */
static void reset_leaves_nothing(void **state)
{
	(void)state;
	negotiate();
	get_area();
	give_area();
	share_memory();
	set_up_queue(0);
	begin_list();
	send_message(VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	hear();
	assert_int_equal(peer.connection.stage, VHOST_STAGE_DRAIN);
	look();
	turn_ns(NS_PER_MS);
	assert_int_equal(vhost_queues_running(&peer.connection.session), 0);
	assert_int_equal(in->desc[0].inflight, 0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_IOERR);
	drop_area();
}

/* Whether the loop tells of the connection, now. */
static bool socket_is_told_of(void)
{
	struct epoll_event events[8];
	int n = epoll_wait(peer.loop.epoll_fd, events, 8, 0);

	assert_true(n >= 0);
	while (n--)
		if (events[n].data.ptr == &peer.connection.socket)
			return true;
	return false;
}

/* No message is read while one waits, but the end of the front end is seen. */
static void goes_while_waited_for(void (*begin_wait)(void))
{
	struct virtqueue *vq = &peer.disk.blk.queue[0].vq;

	set_up_one();
	begin_list();
	submit(0, 1, VIRTIO_BLK_T_IN, 0, 512);
	peer.disk.queue[0].poller.poll(&peer.disk.queue[0].poller);
	begin_wait();
	assert_true(peer_open());
	send_message(VHOST_GET_FEATURES, NULL, 0, NULL, 0);
	assert_false(socket_is_told_of());
	assert_false(virtqueue_is_abandoned(vq));
	close(peer.sock);
	peer.sock = -1;
	assert_true(socket_is_told_of());
	hear();
	assert_true(virtqueue_is_abandoned(vq));
	/* And it is told of once. */
	assert_false(socket_is_told_of());
	expect_closed();
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_IOERR);
}

/* What of the messages waits while a list is under way, and what does not. */
static void what_waits(void **state)
{
	const struct vhost_mem_reg reg = { .region = whole_memory() };
	const struct vhost_vring_state other = { .index = 1 };
	const uint64_t zero = 0, driver_ok = 4;
	struct vhost_mem_table table = { .n = 1, .region = { reg.region } };
	const struct {
		uint32_t request;
		const void *payload;
		uint32_t size;
		unsigned int nfds;
		bool waits;
	} all[] = {
		{ VHOST_SET_MEM_TABLE, &table, VHOST_MEM_TABLE_HEAD + 32, 1,
		  true },
		{ VHOST_REM_MEM_REG, &reg, sizeof(reg), 0, true },
		{ VHOST_GET_VRING_BASE, &zero, 8, 0, true },
		{ VHOST_GET_VRING_BASE, &other, 8, 0, false },
		{ VHOST_SET_STATUS, &zero, 8, 0, true },
		{ VHOST_SET_STATUS, &driver_ok, 8, 0, false },
		{ VHOST_RESET_DEVICE, NULL, 0, 0, true },
		{ VHOST_GET_STATUS, NULL, 0, 0, false },
		{ VHOST_GET_FEATURES, NULL, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		set_up_one();
		begin_list();
		send_message(all[i].request, all[i].payload, all[i].size,
			     &peer.memfd, all[i].nfds);
		hear();
		assert_int_equal(peer.connection.stage,
				 all[i].waits ? VHOST_STAGE_DRAIN :
						VHOST_STAGE_RECEIVE);
		assert_true(peer.connection.session.vring[0].running);
		assert_int_equal(peer.connection.session.regions.n, 1);
		assert_int_equal(peer.disk.blk.queue[0].vq.in_flight, 1);
		disconnect_peer();
		connect_peer();
	}
}

static void ask_for_base(void)
{
	const struct vhost_vring_state state = { .index = 0 };

	send_message(VHOST_GET_VRING_BASE, &state, sizeof(state), NULL, 0);
	hear();
	assert_int_equal(peer.connection.stage, VHOST_STAGE_DRAIN);
}

static void it_goes_while_a_queue_stops(void **state)
{
	(void)state;
	goes_while_waited_for(ask_for_base);
}

/* A kick that comes meanwhile is looked at: here it is one too early. */
static void a_kick_while_a_queue_stops(void **state)
{
	struct vhost_vring_addr addr = ring_addr(1, 0);

	(void)state;
	set_up_one();
	addr.desc = PEER_USER + PEER_MEMORY;
	ask_state(VHOST_SET_VRING_NUM, 1, PEER_RING);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_KICK, 1, peer.kick[1]);
	ask_state(VHOST_SET_VRING_ENABLE, 1, 1);
	begin_list();
	ask_for_base();
	kick(1);
	expect_closed();
}

static void end_ourselves(void)
{
	vhost_connection_close(&peer.connection);
}

static void it_goes_while_we_end(void **state)
{
	(void)state;
	goes_while_waited_for(end_ourselves);
}

static int begin(void **state)
{
	(void)state;
	peer_start("null", 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_goes_on),       TEST(it_goes_back_to_the_ring),
		TEST(it_comes_back),        TEST(it_is_finished),
		TEST(the_next_goes_on),     TEST(reset_leaves_nothing),
		TEST(what_waits),           TEST(it_goes_while_a_queue_stops),
		TEST(it_goes_while_we_end), TEST(a_kick_while_a_queue_stops),
	};

	assert_int_equal(bus_guard_install(), 0);
	return cmocka_run_group_tests_name("vhost_ends", tests, NULL, NULL);
}
