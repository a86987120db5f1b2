/* SPDX-License-Identifier: MIT */
/*
 * Hostile vhost-user front ends: every request with wrong sizes, descriptors,
 * indexes and in a wrong order; memory that cannot be; noise. Each ends its own
 * session, if anything, and leaves nothing behind.
 */
#include "lib/vhost_peer.h"

enum {
	REPEATS = 10000,
	NOISE = 40000,
	/* Address space that a sanitizer may take for itself meanwhile. */
	VM_SLACK = 16 << 20,
};

static unsigned int fds_before;

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start("null", 0);
	fds_before = count_fds();
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (peer_open()) {
		close(peer.sock);
		expect_closed();
	} else {
		close(peer.sock);
	}
	/* Both ends of the connection are gone, and nothing else came. */
	assert_int_equal(count_fds(), fds_before - 2);
	assert_int_equal(peer.connection.session.regions.n, 0);
	peer.sock = -1;
	peer_end();
	return 0;
}

static void again(void)
{
	close(peer.sock);
	expect_closed();
	connect_peer();
}

/* The session ends over this message; the next one can begin. */
static void refused(uint32_t request, const void *payload, uint32_t size,
		    const int *fds, unsigned int nfds)
{
	send_message(request, payload, size, fds, nfds);
	expect_closed();
	assert_int_equal(count_fds(), fds_before - 1);
	again();
}

static void wrong_headers(void **state)
{
	static const struct vhost_header headers[] = {
		{ 0, 1, 0 },
		{ 1, 0, 0 },
		{ 1, 2, 0 },
		{ 1, 3, 0 },
		{ 1, 1 | VHOST_HEADER_REPLY, 0 },
		{ 1, 1, 273 },
		{ 1, 1, UINT32_MAX },
		{ 1, 1, 0x80000000 },
		{ 19, 1, 8 },
		{ 20, 1, 8 },
		{ 22, 1, 0 },
		{ 23, 1, 8 },
		{ 26, 1, 0 },
		{ 33, 1, 0 },
		{ 35, 1, 8 },
		{ 41, 1, 0 },
		{ UINT32_MAX, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		negotiate();
		send_raw(&headers[i], sizeof(headers[i]), NULL, 0);
		/* What follows does not matter any more. */
		send_raw("xxxxxxxx", 8, NULL, 0);
		expect_closed();
		again();
	}
}

/* Ends in the middle of everything. */
static void cut_short(void **state)
{
	struct vhost_mem_reg reg = { .region = whole_memory() };
	uint8_t bytes[sizeof(struct vhost_header) + sizeof(reg)];
	const struct vhost_header h = { VHOST_ADD_MEM_REG, 1, sizeof(reg) };

	(void)state;
	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), &reg, sizeof(reg));
	for (size_t n = 1; n < sizeof(bytes); n++) {
		negotiate();
		send_raw(bytes, n, &peer.memfd, 1);
		turn();
		/* The rest is not waited for for ever. */
		assert_true(peer.connection.stall.armed);
		if (n % 2)
			peer.connection.stall.due(&peer.connection.stall);
		again();
		assert_int_equal(count_fds(), fds_before);
	}
}

/* The right sizes of a request that the tests below know to be wrong. */
static bool size_is_right(const struct vhost_request_kind *kind, uint32_t size)
{
	return size >= kind->size_min && size <= kind->size_max;
}

static void wrong_sizes(void **state)
{
	const uint8_t zeroes[300] = { 0 };

	(void)state;
	for (uint32_t request = 0; request < VHOST_REQUEST_END; request++) {
		const struct vhost_request_kind *kind =
			vhost_request_kind(request);

		for (uint32_t size = 0; kind && size < 300; size += 1) {
			if (size_is_right(kind, size))
				continue;
			negotiate();
			refused(request, zeroes, size, &peer.memfd,
				kind->fds_min);
		}
	}
}

static void wrong_numbers_of_descriptors(void **state)
{
	const uint8_t zeroes[300] = { 0 };
	int fds[20];

	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		fds[i] = peer.memfd;
	for (uint32_t request = 0; request < VHOST_REQUEST_END; request++) {
		const struct vhost_request_kind *kind =
			vhost_request_kind(request);

		for (unsigned int n = 0; kind && n < 20; n++) {
			if (n >= kind->fds_min && n <= kind->fds_max)
				continue;
			negotiate();
			refused(request, zeroes, kind->size_min, fds, n);
		}
	}
}

static void not_negotiated(void **state)
{
	const uint8_t zeroes[300] = { 0 };

	(void)state;
	for (uint32_t request = 0; request < VHOST_REQUEST_END; request++) {
		const struct vhost_request_kind *kind =
			vhost_request_kind(request);

		if (kind && kind->needs)
			refused(request, zeroes, kind->size_min, &peer.memfd,
				kind->fds_min);
	}
	/* Enabling is for those who said that they would. */
	refused(VHOST_SET_VRING_ENABLE, zeroes, 8, NULL, 0);
}

static void wrong_features(void **state)
{
	static const uint64_t wrong[] = {
		UINT64_MAX,
		1,
		UINT64_C(1) << 34,
		UINT64_C(1) << 63,
	};
	const uint64_t protocol = UINT64_C(1) << 4;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		negotiate();
		refused(VHOST_SET_FEATURES, &wrong[i], 8, NULL, 0);
		if (wrong[i] != 1) /* that one is MQ */
			refused(VHOST_SET_PROTOCOL_FEATURES, &wrong[i], 8, NULL,
				0);
	}
	refused(VHOST_SET_PROTOCOL_FEATURES, &protocol, 8, NULL, 0);
	negotiate();
	refused(VHOST_SET_STATUS, &(uint64_t){ 256 }, 8, NULL, 0);
	/* While queues run. */
	set_up();
	refused(VHOST_SET_FEATURES, &(uint64_t){ 0 }, 8, NULL, 0);
}

static void wrong_indexes(void **state)
{
	static const uint32_t index[] = { PEER_QUEUES, 16, 255, 0x80000000,
					  UINT32_MAX };
	static const uint32_t by_state[] = {
		VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE,
		VHOST_GET_VRING_BASE,
		VHOST_SET_VRING_ENABLE,
	};
	static const uint32_t by_u64[] = {
		VHOST_SET_VRING_KICK,
		VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR,
	};

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		const struct vhost_vring_state vs = { index[i], 1 };
		const struct vhost_vring_addr addr = { .index = index[i] };
		const uint64_t n = index[i];

		for (unsigned int r = 0; r < 4; r++) {
			negotiate();
			refused(by_state[r], &vs, sizeof(vs), NULL, 0);
		}
		for (unsigned int r = 0; r < 3; r++) {
			negotiate();
			refused(by_u64[r], &n, sizeof(n), peer.kick, 1);
		}
		negotiate();
		refused(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	}
}

static void wrong_ring_settings(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 100, 512, 65536, UINT32_MAX };
	struct vhost_vring_addr addr;
	const uint64_t nofd = VHOST_VRING_NOFD;

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		negotiate();
		refused(VHOST_SET_VRING_NUM,
			&(struct vhost_vring_state){ 0, sizes[i] }, 8, NULL, 0);
	}
	negotiate();
	refused(VHOST_SET_VRING_BASE, &(struct vhost_vring_state){ 0, 65536 },
		8, NULL, 0);
	negotiate();
	refused(VHOST_SET_VRING_ENABLE, &(struct vhost_vring_state){ 0, 2 }, 8,
		NULL, 0);
	for (unsigned int i = 0; i < 6; i++) {
		addr = ring_addr(0, i == 0 ? 2 : 0);
		addr.desc += i == 1 ? 8 : 0;
		addr.avail += i == 2;
		addr.used += i == 3 ? 2 : 0;
		addr.log = i == 4 ? UINT64_MAX - 8 : addr.log;
		negotiate();
		if (i < 5)
			refused(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL,
				0);
		else
			ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL,
			       0);
	}
	/* No kicks; a descriptor that is announced and not there; and so on. */
	refused(VHOST_SET_VRING_KICK, &nofd, 8, NULL, 0);
	refused(VHOST_SET_VRING_CALL, &nofd, 8, peer.call, 1);
	refused(VHOST_SET_VRING_CALL, &(uint64_t){ 0 }, 8, NULL, 0);
	refused(VHOST_SET_VRING_CALL, &(uint64_t){ 512 }, 8, peer.call, 1);
}

static void descriptors_that_are_no_eventfds(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	fds_before += 2;
	for (uint32_t r = VHOST_SET_VRING_KICK; r <= VHOST_SET_VRING_ERR; r++) {
		negotiate();
		refused(r, &(uint64_t){ 0 }, 8, &peer.memfd, 1);
		refused(r, &(uint64_t){ 0 }, 8, &pipes[1], 1);
		refused(r, &(uint64_t){ 0 }, 8, &peer.sock, 1);
	}
	close(pipes[0]);
	close(pipes[1]);
	fds_before -= 2;
}

/*
 * A channel that is, or holds in its queue, the front end's end of the session:
 * it must not keep the session alive.
 */
static void channel_to_oneself(void **state)
{
	struct vhost_message m;
	int pair[2], first;

	(void)state;
	negotiate();
	refused(VHOST_SET_BACKEND_REQ_FD, NULL, 0, &peer.memfd, 1);
	negotiate();
	send_message(VHOST_SET_BACKEND_REQ_FD, NULL, 0, &peer.sock, 1);
	expect_closed();
	again();
	negotiate();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	first = peer.sock;
	peer.sock = pair[0];
	send_message(VHOST_GET_FEATURES, NULL, 0, &first, 1);
	peer.sock = first;
	send_message(VHOST_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	assert_int_equal(receive_reply(&m, NULL), 8);
	close(pair[0]);
	close(pair[1]);
	again();
}

/* What a running queue does not let happen. */
static void changes_of_running_queues(void **state)
{
	struct vhost_vring_addr addr = ring_addr(0, 0);
	struct vhost_mem_table table = { .n = 0 };
	struct vhost_inflight in = { 4096, 0, 1, 64, 0 };

	(void)state;
	set_up();
	refused(VHOST_SET_VRING_NUM, &(struct vhost_vring_state){ 0, 64 }, 8,
		NULL, 0);
	set_up();
	refused(VHOST_SET_VRING_BASE, &(struct vhost_vring_state){ 0, 0 }, 8,
		NULL, 0);
	set_up();
	addr.used += 0x100;
	refused(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	set_up();
	refused(VHOST_SET_INFLIGHT_FD, &in, sizeof(in), &peer.memfd, 1);
	set_up();
	refused(VHOST_SET_MEM_TABLE, &table, VHOST_MEM_TABLE_HEAD, NULL, 0);
}

/* A ring at addresses that no region has: it waits; a kick is an end. */
static void rings_outside_of_memory(void **state)
{
	struct vhost_vring_addr addr = ring_addr(0, 0);

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		negotiate();
		share_memory();
		addr = ring_addr(0, 0);
		addr.desc = i == 0 ? PEER_USER + PEER_MEMORY - 16 : addr.desc;
		addr.avail = i == 1 ? PEER_USER + PEER_MEMORY - 2 : addr.avail;
		addr.used = i == 2 ? UINT64_MAX - 3 : addr.used;
		addr.desc = i == 3 ? PEER_USER - 16 : addr.desc;
		ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
		ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
		ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
		ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
		assert_false(peer.connection.session.vring[0].running);
		kick(0);
		expect_closed();
		again();
	}
}

static void add(uint64_t guest, uint64_t size, uint64_t user, uint64_t offset,
		int fd, bool good)
{
	const struct vhost_mem_reg reg = {
		.region = { guest, size, user, offset },
	};

	if (good)
		ask_ok(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &fd, 1);
	else
		refused(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &fd, 1);
}

static void wrong_regions(void **state)
{
	const uint64_t g = PEER_GUEST, u = PEER_USER, m = PEER_MEMORY;
	const struct {
		uint64_t guest, size, user, offset;
	} wrong[] = {
		{ g, 0, u, 0 },     /* empty */
		{ g + 1, m, u, 0 }, /* not at a page */
		{ g, m, u + 0x800, 0 },
		{ g, 4096, u, 1 },
		{ g, m + 1, u, 0 }, /* behind the end of the file */
		{ g, m, u, 4096 },
		{ g, 4096, u, m },
		{ g, 4096, u, UINT64_MAX - 4095 }, /* runs over */
		{ g, 4096, u, INT64_MAX & ~UINT64_C(4095) },
		{ UINT64_MAX - 4095, 8192, u, 0 },
		{ g, 8192, UINT64_MAX - 4095, 0 },
		{ g, UINT64_MAX, u, 0 },
		{ g, UINT64_C(1) << 62, u, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		negotiate();
		add(wrong[i].guest, wrong[i].size, wrong[i].user,
		    wrong[i].offset, peer.memfd, false);
	}
	negotiate();
	add(g, 4096, u, 0, peer.kick[0], false); /* no file at all */
	negotiate();
	add(g, 4096, u, 0, peer.sock, false);
}

static void overlapping_regions(void **state)
{
	const uint64_t g = PEER_GUEST, u = PEER_USER, p = 4096;
	const struct {
		uint64_t guest, user;
		bool good;
	} second[] = {
		{ g, u + 64 * p, false },
		{ g + 64 * p, u, false },
		{ g + 3 * p, u + 64 * p, false },
		{ g - p, u - 64 * p, false },
		{ g - 2 * p, u + 64 * p, true },
		{ g + 4 * p, u - 2 * p, true },
		{ g + 64 * p, u + 3 * p, false },
		{ g - 64 * p, u - p, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++) {
		negotiate();
		add(g, 4 * p, u, 0, peer.memfd, true);
		add(second[i].guest, 2 * p, second[i].user, 0, peer.memfd,
		    second[i].good);
		if (second[i].good)
			again();
	}
}

static void too_many_regions(void **state)
{
	uint64_t i;

	(void)state;
	negotiate();
	for (i = 0; i < VHOST_REGIONS_MAX; i++)
		add(PEER_GUEST + 4096 * i, 4096, PEER_USER + 8192 * i, 0,
		    peer.memfd, true);
	add(PEER_GUEST + 4096 * i, 4096, PEER_USER + 8192 * i, 0, peer.memfd,
	    false);
	/* Removing what is not there. */
	negotiate();
	refused(VHOST_REM_MEM_REG,
		&(struct vhost_mem_reg){ .region = whole_memory() },
		sizeof(struct vhost_mem_reg), NULL, 0);
}

/* With all regions there are: the new log is mapped before the old one goes. */
static void log_beside_all_regions(void **state)
{
	const struct vhost_log log = { .size = 0x100000 };
	const struct vhost_inflight in = { 8192, 0, 1, PEER_RING, 0 };

	(void)state;
	negotiate();
	for (uint64_t i = 0; i < VHOST_REGIONS_MAX; i++)
		add(PEER_GUEST + 4096 * i, 4096, PEER_USER + 8192 * i, 0,
		    peer.memfd, true);
	ask_ok(VHOST_SET_INFLIGHT_FD, &in, sizeof(in), &peer.memfd, 1);
	for (unsigned int i = 0; i < 3; i++)
		ask_ok(VHOST_SET_LOG_BASE, &log, sizeof(log), &peer.memfd, 1);
	again();
}

static void wrong_mem_tables(void **state)
{
	struct vhost_mem_table table = { .n = 2 };
	const int fds[8] = {
		peer.memfd, peer.memfd, peer.memfd, peer.memfd,
		peer.memfd, peer.memfd, peer.memfd, peer.memfd,
	};

	(void)state;
	table.region[0] = whole_memory();
	table.region[1] = whole_memory();
	/* Sizes and descriptors that do not fit the number of regions. */
	for (unsigned int n = 0; n <= 8; n++) {
		if (n == 2)
			continue;
		refused(VHOST_SET_MEM_TABLE, &table, 8 + 32 * 2, fds, n);
		refused(VHOST_SET_MEM_TABLE, &table, 8 + 32 * n, fds, 2);
	}
	/* The second one overlaps the first. */
	refused(VHOST_SET_MEM_TABLE, &table, 8 + 32 * 2, fds, 2);
	table.n = UINT32_MAX;
	refused(VHOST_SET_MEM_TABLE, &table, sizeof(table), fds, 8);
	table.n = 9;
	refused(VHOST_SET_MEM_TABLE, &table, sizeof(table), fds, 8);
}

static void wrong_inflight_areas(void **state)
{
	static const struct vhost_inflight wrong[] = {
		{ 4096, 0, 0, 64, 0 },
		{ 4096, 0, PEER_QUEUES + 1, 64, 0 },
		{ 4096, 0, 1, 0, 0 },
		{ 4096, 0, 1, 65535, 0 },
		{ 4096, 0, 65535, 65535, 0 },
		/* From here on for taking one only. */
		{ 0, 0, 1, 64, 0 },
		{ 1024, 0, 1, 64, 0 },
		{ UINT64_MAX, 4 << 20, 3, 64, 0 },
		{ UINT64_MAX, UINT64_MAX - 63, 3, 64, 0 },
		{ 4096, 1, 1, 64, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		if (i < 5) {
			negotiate();
			refused(VHOST_GET_INFLIGHT_FD, &wrong[i],
				sizeof(wrong[i]), NULL, 0);
		}
		negotiate();
		refused(VHOST_SET_INFLIGHT_FD, &wrong[i], sizeof(wrong[i]),
			&peer.memfd, 1);
	}
}

/* An area that says it is one, with anything in it. */
static void inflight_area_of_noise(void **state)
{
	const struct vhost_inflight in = { 4096 * 2, 0x200000, PEER_QUEUES,
					   PEER_RING, 0 };
	unsigned int seed = 1;

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		const struct vhost_vring_addr addr = ring_addr(0, 0);

		negotiate();
		share_memory();
		for (unsigned int j = 0; j < 0x3000; j++)
			peer.memory[ring_at(0) + j] = (uint8_t)rand_r(&seed);
		for (unsigned int j = 0; j < 4096; j++)
			peer.memory[in.mmap_offset + j] =
				(uint8_t)rand_r(&seed);
		peer.memory[in.mmap_offset + 8] = 1;
		peer.memory[in.mmap_offset + 9] = 0;
		peer.memory[in.mmap_offset + 10] = PEER_RING;
		peer.memory[in.mmap_offset + 11] = 0;
		/* Now and then as if nothing had been lost. */
		if (i & 1)
			memcpy(peer.memory + in.mmap_offset + 14,
			       &ring_used(0)->idx, 2);
		ask_ok(VHOST_SET_INFLIGHT_FD, &in, sizeof(in), &peer.memfd, 1);
		ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
		ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
		ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
		send_message(VHOST_SET_VRING_ENABLE,
			     &(struct vhost_vring_state){ 0, 1 }, 8, NULL, 0);
		kick(0);
		turn();
		turn();
		again();
	}
}

static void wrong_logs(void **state)
{
	const uint64_t need = dirty_log_bytes(PEER_GUEST + PEER_MEMORY - 1);
	const struct vhost_log wrong[] = {
		{ 0, 0 },
		{ need - 1, 0 },
		{ need, PEER_MEMORY - 1 },
		{ need, UINT64_MAX },
		{ UINT64_MAX, 0 },
		{ UINT64_C(1) << 60, 0 },
		{ PEER_MEMORY + 1, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < 7; i++) {
		negotiate();
		share_memory();
		refused(VHOST_SET_LOG_BASE, &wrong[i], sizeof(wrong[i]),
			&peer.memfd, 1);
	}
	negotiate();
	refused(VHOST_SET_LOG_BASE, &(struct vhost_log){ 4096, 0 }, 16,
		&peer.kick[0], 1);
}

/* A front end that asks and never reads. */
static void answers_not_read(void **state)
{
	const struct vhost_header h = { VHOST_GET_FEATURES, 1, 0 };

	(void)state;
	for (unsigned int i = 0; i < 100000 && peer_open(); i++) {
		if (send(peer.sock, &h, sizeof(h),
			 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			turn();
		if (i % 16 == 0)
			turn();
	}
	assert_false(peer_open());
}

/* Everything that makes something, over and over within one session. */
static void repeats_leave_nothing(void **state)
{
	const struct vhost_mem_reg reg = { .region = whole_memory() };
	const struct vhost_log log = { .size = 0x40000 };
	struct vhost_inflight in = { .num_queues = PEER_QUEUES,
				     .queue_size = PEER_RING };
	struct vhost_message m;
	uint64_t vm = 0;
	int fd, channel[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), 0);
	negotiate();
	for (unsigned int i = 0; i < REPEATS; i++) {
		ask_ok(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &peer.memfd, 1);
		send_message(VHOST_SET_LOG_BASE, &log, sizeof(log), &peer.memfd,
			     1);
		assert_int_equal(receive_reply(&m, NULL), 8);
		send_message(VHOST_GET_INFLIGHT_FD, &in, sizeof(in), NULL, 0);
		assert_int_equal(receive_reply(&m, &fd), sizeof(in));
		ask_ok(VHOST_SET_INFLIGHT_FD, &m.payload.inflight, sizeof(in),
		       &fd, 1);
		close(fd);
		ask_fd(VHOST_SET_VRING_KICK, i % PEER_QUEUES, peer.kick[0]);
		ask_fd(VHOST_SET_VRING_CALL, i % PEER_QUEUES, peer.call[0]);
		ask_fd(VHOST_SET_VRING_ERR, i % PEER_QUEUES, peer.err[0]);
		ask_ok(VHOST_SET_LOG_FD, NULL, 0, &peer.err[0], 1);
		ask_ok(VHOST_SET_BACKEND_REQ_FD, NULL, 0, &channel[1], 1);
		ask_ok(VHOST_REM_MEM_REG, &reg, sizeof(reg), &peer.memfd, 1);
		if (i == 100)
			vm = vm_size();
	}
	assert_in_range(vm_size(), 0, vm + VM_SLACK);
	close(channel[0]);
	close(channel[1]);
}

/* Sessions, good and cut off, over and over. */
static void sessions_leave_nothing(void **state)
{
	uint64_t vm = 0;

	(void)state;
	for (unsigned int i = 0; i < REPEATS / 10; i++) {
		set_up();
		submit(0, 0, VIRTIO_BLK_T_IN, 0, 4096);
		if (i % 3 == 0)
			await(0);
		if (i % 3 == 1)
			refused(VHOST_SET_FEATURES, &(uint64_t){ 1 }, 8, NULL,
				0);
		else
			again();
		assert_int_equal(count_fds(), fds_before);
		if (i == 100)
			vm = vm_size();
	}
	assert_in_range(vm_size(), 0, vm + VM_SLACK);
}

/* Requests that are right but for their content; some in a good session. */
static void messages_of_noise(void **state)
{
	unsigned int seed = 42;
	const int fds[8] = {
		peer.memfd, peer.kick[0], peer.memfd, peer.call[1],
		peer.memfd, peer.memfd,   peer.sock,  peer.memfd,
	};

	(void)state;
	for (unsigned int i = 0; i < NOISE; i++) {
		uint32_t request = (uint32_t)rand_r(&seed) % VHOST_REQUEST_END;
		const struct vhost_request_kind *kind =
			vhost_request_kind(request);
		uint64_t payload[40];
		uint32_t size, nfds;

		if (!kind)
			continue;
		if (!peer_open() || rand_r(&seed) % 64 == 0) {
			again();
			if (rand_r(&seed) % 4)
				negotiate();
			if (rand_r(&seed) % 4 == 0)
				set_up();
		}
		for (unsigned int j = 0; j < 40; j++)
			payload[j] = (uint64_t)rand_r(&seed) >>
				     rand_r(&seed) % 32;
		size = kind->size_min +
		       (uint32_t)rand_r(&seed) %
			       (kind->size_max - kind->size_min + 1u);
		nfds = kind->fds_min +
		       (uint32_t)rand_r(&seed) %
			       (kind->fds_max - kind->fds_min + 1u);
		send_flags(request, 1, payload, size,
			   fds + rand_r(&seed) % (9 - nfds), nfds);
		/* Nobody reads answers here; do not let them pile up. */
		turn();
		while (recv(peer.sock, payload, sizeof(payload), MSG_DONTWAIT) >
		       0)
			continue;
	}
	again();
	assert_int_equal(count_fds(), fds_before);
	set_up();
	submit(0, 0, VIRTIO_BLK_T_IN, 0, 4096);
	await(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)
		TEST(wrong_headers),
		TEST(cut_short),
		TEST(wrong_sizes),
		TEST(wrong_numbers_of_descriptors),
		TEST(not_negotiated),
		TEST(wrong_features),
		TEST(wrong_indexes),
		TEST(wrong_ring_settings),
		TEST(descriptors_that_are_no_eventfds),
		TEST(channel_to_oneself),
		TEST(changes_of_running_queues),
		TEST(rings_outside_of_memory),
		TEST(wrong_regions),
		TEST(overlapping_regions),
		TEST(too_many_regions),
		TEST(log_beside_all_regions),
		TEST(wrong_mem_tables),
		TEST(wrong_inflight_areas),
		TEST(inflight_area_of_noise),
		TEST(wrong_logs),
		TEST(answers_not_read),
		TEST(repeats_leave_nothing),
		TEST(sessions_leave_nothing),
		TEST(messages_of_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
