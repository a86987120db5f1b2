/* SPDX-License-Identifier: MIT */
/*
 * Who asks for an acknowledgement gets one, whatever becomes of the message;
 * who does not gets none; and a request with a reply of its own has no other.
 */
#include "lib/vhost_peer.h"

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start("threads", 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	return 0;
}

/* The next answer is to this request. */
static void answer_is_to(uint32_t request)
{
	struct vhost_message m;

	assert_true(receive_reply(&m, NULL) > 0);
	assert_int_equal(m.header.request, request);
}

/* Nothing came that nobody has read: this is the next answer. */
static void nothing_more(void)
{
	send_message(VHOST_GET_FEATURES, NULL, 0, NULL, 0);
	answer_is_to(VHOST_GET_FEATURES);
}

/*
 * Every request that is known, and some that are not, with a payload that is
 * too large: a "no" before the end, unless its answer would be another.
 */
static void refusals_are_acknowledged(void **state)
{
	const uint8_t zeroes[300] = { 0 };
	unsigned int acks = 0;

	(void)state;
	for (uint32_t request = 0; request < VHOST_REQUEST_END + 8; request++) {
		const struct vhost_request_kind *kind =
			vhost_request_kind(request);
		uint32_t size = kind ? kind->size_max + 4u : 8;
		struct vhost_message m;

		negotiate();
		send_message(request, zeroes, size, NULL, 0);
		if (!kind || !kind->replies) {
			assert_int_equal(receive_reply(&m, NULL), 8);
			assert_int_equal(m.header.request, request);
			assert_int_not_equal(m.payload.u64, 0);
			acks++;
		}
		assert_int_equal(receive_reply(&m, NULL), -1);
		expect_closed();
		close(peer.sock);
		connect_peer();
	}
	assert_true(acks > 20);
}

/* A change that cannot be made, in a session that goes on. */
static void refused_change_is_acknowledged(void **state)
{
	const struct vhost_config config = { .offset = 0, .size = 8 };

	(void)state;
	set_up();
	assert_int_not_equal(ask(VHOST_SET_CONFIG, &config,
				 VHOST_CONFIG_HEAD + 8, NULL, 0),
			     0);
	nothing_more();
	do_io(0, 0, 1);
}

static void nothing_is_acknowledged_unasked(void **state)
{
	const uint8_t zeroes[64] = { 0 };

	(void)state;
	/* Asked, but that it may ask was not agreed on. */
	send_message(VHOST_SET_OWNER, NULL, 0, NULL, 0);
	nothing_more();
	negotiate();
	send_flags(VHOST_SET_OWNER, VHOST_HEADER_VERSION, NULL, 0, NULL, 0);
	nothing_more();
	send_flags(VHOST_SET_CONFIG, VHOST_HEADER_VERSION,
		   &(struct vhost_config){ .size = 8 }, VHOST_CONFIG_HEAD + 8,
		   NULL, 0);
	nothing_more();
	send_flags(VHOST_SET_VRING_NUM, VHOST_HEADER_VERSION, zeroes, 8, NULL,
		   0);
	assert_int_equal(receive_reply(&(struct vhost_message){ 0 }, NULL), -1);
	expect_closed();
}

static void one_reply_is_enough(void **state)
{
	static const struct vhost_log log = { .size = 0x40000 };
	static const struct vhost_config config = { .size = 8 };
	static const struct vhost_vring_state base = { .index = 1 };
	static const struct vhost_inflight inflight = {
		.num_queues = PEER_QUEUES,
		.queue_size = PEER_RING,
	};
	static const struct {
		uint32_t request;
		const void *payload;
		uint32_t size;
		bool fd;
	} requests[] = {
		{ VHOST_GET_FEATURES, NULL, 0, false },
		{ VHOST_GET_PROTOCOL_FEATURES, NULL, 0, false },
		{ VHOST_GET_QUEUE_NUM, NULL, 0, false },
		{ VHOST_GET_MAX_MEM_SLOTS, NULL, 0, false },
		{ VHOST_GET_STATUS, NULL, 0, false },
		{ VHOST_GET_CONFIG, &config, VHOST_CONFIG_HEAD + 8, false },
		{ VHOST_GET_INFLIGHT_FD, &inflight, sizeof(inflight), false },
		{ VHOST_SET_LOG_BASE, &log, sizeof(log), true },
		{ VHOST_GET_VRING_BASE, &base, sizeof(base), false },
	};
	const size_t n = sizeof(requests) / sizeof(requests[0]);
	size_t replying = 0;

	(void)state;
	for (uint32_t request = 0; request < VHOST_REQUEST_END; request++) {
		const struct vhost_request_kind *kind =
			vhost_request_kind(request);

		replying += kind && kind->replies;
	}
	assert_int_equal(replying, n);
	set_up();
	for (size_t i = 0; i < n; i++) {
		struct vhost_message m;
		int fd;

		send_message(requests[i].request, requests[i].payload,
			     requests[i].size, &peer.memfd, requests[i].fd);
		assert_true(receive_reply(&m, &fd) > 0);
		assert_int_equal(m.header.request, requests[i].request);
		if (fd >= 0)
			close(fd);
		nothing_more();
	}
	do_io(0, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)
		TEST(refusals_are_acknowledged),
		TEST(refused_change_is_acknowledged),
		TEST(nothing_is_acknowledged_unasked),
		TEST(one_reply_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
