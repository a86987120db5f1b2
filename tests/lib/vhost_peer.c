/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/vhost_peer.h"

struct peer peer;

bool peer_packed; /* the disk offers packed virtqueues */

/* ---- the loop ---- */

static void turn_due(struct loop_timer *timer)
{
	loop_quit(container_of(timer, struct turn, timer)->loop);
}

void turn_ns(uint64_t ns)
{
	struct turn t = { .timer.due = turn_due, .loop = &peer.loop };

	loop_arm(&peer.loop, &t.timer, ns);
	assert_int_equal(loop_run(&peer.loop), 0);
}

void turn(void)
{
	turn_ns(0);
}

bool peer_open(void)
{
	return vhost_connection_is_open(&peer.connection);
}

/* ---- messages ---- */

void send_raw(const void *bytes, size_t len, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(&control, 0, sizeof(control));
	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
	}
	/* A session that has been closed meanwhile is no failure of ours. */
	if (sendmsg(peer.sock, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		assert_false(peer_open());
}

void send_flags(uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, unsigned int nfds)
{
	struct {
		struct vhost_header header;
		uint8_t payload[1024];
	} m = { .header = { request, flags, size } };

	assert_true(size <= sizeof(m.payload));
	if (size)
		memcpy(m.payload, payload, size);
	send_raw(&m, sizeof(m.header) + size, fds, nfds);
}

void send_message(uint32_t request, const void *payload, uint32_t size,
		  const int *fds, unsigned int nfds)
{
	send_flags(request, VHOST_HEADER_VERSION | VHOST_HEADER_NEED_REPLY,
		   payload, size, fds, nfds);
}

int receive_reply(struct vhost_message *m, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t bytes[sizeof(m->header) + sizeof(m->payload)];
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	uint64_t until = clock_ns() + 5 * NS_PER_SECOND;
	ssize_t n;

	do {
		turn();
		n = recvmsg(peer.sock, &msg, MSG_DONTWAIT);
		assert_true(clock_ns() < until);
	} while (n < 0 && errno == EAGAIN);
	if (n <= 0)
		return -1;
	assert_true((size_t)n >= sizeof(m->header));
	memcpy(&m->header, bytes, sizeof(m->header));
	memcpy(&m->payload, bytes + sizeof(m->header),
	       (size_t)n - sizeof(m->header));
	assert_int_equal(m->header.flags,
			 VHOST_HEADER_VERSION | VHOST_HEADER_REPLY);
	assert_int_equal((size_t)n, sizeof(m->header) + m->header.size);
	if (fd) {
		*fd = -1;
		if (CMSG_FIRSTHDR(&msg))
			memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*fd));
	}
	return (int)m->header.size;
}

uint64_t ask(uint32_t request, const void *payload, uint32_t size,
	     const int *fds, unsigned int nfds)
{
	struct vhost_message m;

	send_message(request, payload, size, fds, nfds);
	assert_int_equal(receive_reply(&m, NULL), 8);
	assert_int_equal(m.header.request, request);
	return m.payload.u64;
}

void ask_ok(uint32_t request, const void *payload, uint32_t size,
	    const int *fds, unsigned int nfds)
{
	assert_int_equal(ask(request, payload, size, fds, nfds), 0);
}

void expect_closed(void)
{
	uint64_t until = clock_ns() + 5 * NS_PER_SECOND;

	while (peer_open()) {
		turn();
		assert_true(clock_ns() < until);
	}
}

void ask_u64(uint32_t request, uint64_t value)
{
	ask_ok(request, &value, sizeof(value), NULL, 0);
}

void ask_state(uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhost_vring_state state = { index, num };

	ask_ok(request, &state, sizeof(state), NULL, 0);
}

void ask_fd(uint32_t request, uint32_t index, int fd)
{
	const uint64_t n = fd < 0 ? index | VHOST_VRING_NOFD : index;

	ask_ok(request, &n, sizeof(n), &fd, fd >= 0);
}

/* ---- set-up, as a good front end does it ---- */

void negotiate(void)
{
	struct vhost_message m;
	uint64_t features;

	send_message(VHOST_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), 8);
	/* Nothing is acknowledged before this one. */
	features = m.payload.u64;
	send_flags(VHOST_SET_PROTOCOL_FEATURES, VHOST_HEADER_VERSION, &features,
		   sizeof(features), NULL, 0);
	ask_ok(VHOST_SET_OWNER, NULL, 0, NULL, 0);
	send_message(VHOST_GET_FEATURES, NULL, 0, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), 8);
	/* What the registers of another transport are for. */
	assert_int_equal(m.payload.u64 &
				 (VHOST_BIT(VIRTIO_F_NOTIFICATION_DATA) |
				  VHOST_BIT(VIRTIO_F_RING_RESET)),
			 0);
	ask_u64(VHOST_SET_FEATURES,
		m.payload.u64 & ~VHOST_BIT(VHOST_F_LOG_ALL));
}

struct vhost_region whole_memory(void)
{
	return (struct vhost_region){
		.guest = PEER_GUEST,
		.size = PEER_MEMORY,
		.user = PEER_USER,
	};
}

void share_memory(void)
{
	const struct vhost_mem_reg reg = { .region = whole_memory() };

	ask_ok(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &peer.memfd, 1);
}

uint64_t ring_at(unsigned int queue)
{
	return PEER_RINGS_AT + 0x4000u * queue;
}

struct vhost_vring_addr ring_addr(unsigned int queue, uint32_t flags)
{
	uint64_t at = PEER_USER + ring_at(queue);

	return (struct vhost_vring_addr){
		.index = queue,
		.flags = flags,
		.desc = at,
		.avail = at + 0x1000,
		.used = at + 0x2000,
		.log = PEER_GUEST + ring_at(queue) + 0x2000,
	};
}

struct vring_desc *ring_desc(unsigned int q)
{
	return (struct vring_desc *)(peer.memory + ring_at(q));
}

struct vring_avail *ring_avail(unsigned int q)
{
	return (struct vring_avail *)(peer.memory + ring_at(q) + 0x1000);
}

struct vring_used *ring_used(unsigned int q)
{
	return (struct vring_used *)(peer.memory + ring_at(q) + 0x2000);
}

void set_up_rings(unsigned int q)
{
	const struct vhost_vring_addr addr = ring_addr(q, 0);

	memset(peer.memory + ring_at(q), 0, 0x3000);
	peer.avail[q] = 0;
	peer.used[q] = 0;
	ask_state(VHOST_SET_VRING_NUM, q, PEER_RING);
	ask_state(VHOST_SET_VRING_BASE, q, 0);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_KICK, q, peer.kick[q]);
	ask_fd(VHOST_SET_VRING_CALL, q, peer.call[q]);
	ask_fd(VHOST_SET_VRING_ERR, q, peer.err[q]);
}

void set_up_queue(unsigned int q)
{
	set_up_rings(q);
	ask_state(VHOST_SET_VRING_ENABLE, q, 1);
}

void go_on(unsigned int q)
{
	const struct vhost_vring_addr addr = ring_addr(q, 0);

	ask_state(VHOST_SET_VRING_NUM, q, PEER_RING);
	ask_state(VHOST_SET_VRING_BASE, q, ring_used(q)->idx);
	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	ask_fd(VHOST_SET_VRING_KICK, q, peer.kick[q]);
	ask_fd(VHOST_SET_VRING_CALL, q, peer.call[q]);
	ask_fd(VHOST_SET_VRING_ERR, q, peer.err[q]);
	ask_state(VHOST_SET_VRING_ENABLE, q, 1);
}

void set_up(void)
{
	negotiate();
	share_memory();
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		set_up_queue(q);
}

uint8_t mode(void)
{
	struct vhost_config c = { .offset = 32, .size = 1 };
	struct vhost_message m;

	send_message(VHOST_GET_CONFIG, &c, VHOST_CONFIG_HEAD + c.size, NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), VHOST_CONFIG_HEAD + c.size);
	return m.payload.config.bytes[0];
}

uint64_t set_config(uint32_t offset, uint32_t size, uint8_t value)
{
	struct vhost_config c = { .offset = offset, .size = size };

	memset(c.bytes, value, size);
	return ask(VHOST_SET_CONFIG, &c, VHOST_CONFIG_HEAD + size, NULL, 0);
}

struct vhost_inflight get_inflight(int *fd)
{
	struct vhost_inflight want = { .num_queues = PEER_QUEUES,
				       .queue_size = PEER_RING };
	struct vhost_message m;

	send_message(VHOST_GET_INFLIGHT_FD, &want, VHOST_INFLIGHT_SHORT, NULL,
		     0);
	assert_int_equal(receive_reply(&m, fd), VHOST_INFLIGHT_SHORT);
	assert_true(*fd >= 0);
	assert_true(m.payload.inflight.mmap_size > 0);
	return m.payload.inflight;
}

uint32_t vring_base(unsigned int q)
{
	const struct vhost_vring_state ask_for = { .index = q };
	struct vhost_message m;

	send_message(VHOST_GET_VRING_BASE, &ask_for, sizeof(ask_for), NULL, 0);
	assert_int_equal(receive_reply(&m, NULL), sizeof(ask_for));
	assert_int_equal(m.payload.state.index, q);
	return m.payload.state.num;
}

bool log_has(const uint8_t *log, uint64_t guest)
{
	uint64_t page = guest >> 12;

	return log[page / 8] & (1 << page % 8);
}

/* ---- the driver ---- */

uint64_t slot_at(unsigned int q, unsigned int slot)
{
	return PEER_DATA_AT + (q * 4 + slot % 4) * 0x10000u;
}

uint8_t *slot_data(unsigned int q, unsigned int slot)
{
	return peer.memory + slot_at(q, slot) + 0x1000;
}

uint8_t slot_status(unsigned int q, unsigned int slot)
{
	return peer.memory[slot_at(q, slot) + 512];
}

void kick(unsigned int q)
{
	const uint64_t one = 1;

	assert_int_equal(write(peer.kick[q], &one, 8), 8);
}

void submit_at(unsigned int q, unsigned int slot, uint32_t type,
	       uint64_t sector, uint64_t data, uint32_t len)
{
	struct vring_desc *d = ring_desc(q) + (slot * 4) % PEER_RING;
	struct virtio_blk_header header = { .type = type, .sector = sector };
	uint64_t at = PEER_GUEST + slot_at(q, slot);
	uint16_t first = (uint16_t)(slot * 4 % PEER_RING);

	memcpy(peer.memory + slot_at(q, slot), &header, sizeof(header));
	peer.memory[slot_at(q, slot) + 512] = 0xee;
	d[0] = (struct vring_desc){ at, sizeof(header), VRING_DESC_NEXT,
				    (uint16_t)(first + 1) };
	d[1] = (struct vring_desc){
		data, len,
		VRING_DESC_NEXT |
			(type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_WRITE),
		(uint16_t)(first + 2)
	};
	d[2] = (struct vring_desc){ at + 512, 1, VRING_DESC_WRITE, 0 };
	ring_avail(q)->ring[peer.avail[q]++ % PEER_RING] = first;
	__atomic_store_n(&ring_avail(q)->idx, peer.avail[q], __ATOMIC_RELEASE);
	kick(q);
}

void submit(unsigned int q, unsigned int slot, uint32_t type, uint64_t sector,
	    uint32_t len)
{
	submit_at(q, slot, type, sector, PEER_GUEST + slot_at(q, slot) + 0x1000,
		  len);
}

bool used_is(unsigned int q, uint16_t idx)
{
	return __atomic_load_n(&ring_used(q)->idx, __ATOMIC_ACQUIRE) == idx;
}

void await(unsigned int q)
{
	uint64_t until = clock_ns() + 5 * NS_PER_SECOND;

	while (!used_is(q, peer.avail[q])) {
		turn();
		assert_true(clock_ns() < until);
	}
}

bool was_called(unsigned int q)
{
	uint64_t n;

	return read(peer.call[q], &n, sizeof(n)) == sizeof(n);
}

void do_io(unsigned int q, uint64_t sector, uint8_t pattern)
{
	memset(slot_data(q, 0), pattern, 4096);
	submit(q, 0, VIRTIO_BLK_T_OUT, sector, 4096);
	await(q);
	assert_int_equal(slot_status(q, 0), VIRTIO_BLK_S_OK);
	submit(q, 1, VIRTIO_BLK_T_IN, sector, 4096);
	await(q);
	assert_int_equal(slot_status(q, 1), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 4096; i++)
		assert_int_equal(slot_data(q, 1)[i], pattern);
}

/* ---- life ---- */

static void peer_resubmit(struct vhost_owner *owner, unsigned int queue)
{
	(void)owner;
	disk_resubmit(&peer.disk, queue);
}

static void peer_closed(struct vhost_owner *owner)
{
	(void)owner;
	vhost_state_end(&peer.disk);
	peer.closed++;
}

static int peer_may_start(struct vhost_owner *owner)
{
	(void)owner;
	return peer.may_start;
}

static int peer_serve(struct vhost_owner *owner, unsigned int q)
{
	(void)owner;
	return disk_serve_queue(&peer.disk, q,
				peer.thread_of[q] ? &peer.thread_of[q]->loop :
						    &peer.loop,
				&peer.connection.session.transport);
}

static uint32_t peer_state(struct vhost_owner *owner)
{
	(void)owner;
	return vhost_state_of(&peer.disk);
}

static void peer_begin(struct vhost_owner *owner)
{
	(void)owner;
	vhost_state_begin(&peer.disk);
}

static void peer_taken_over(struct vhost_owner *owner, const uint32_t *state,
			    bool chosen)
{
	(void)owner;
	vhost_state_take_over(&peer.disk, state, chosen);
}

static void peer_lost(struct block_image *image)
{
	(void)image;
	vhost_takeover_keep(&peer.connection.session);
}

static const struct vhost_owner_ops peer_ops = {
	.may_start = peer_may_start,
	.serve = peer_serve,
	.resubmit = peer_resubmit,
	.closed = peer_closed,
	.state = peer_state,
	.begin = peer_begin,
	.taken_over = peer_taken_over,
};

void connect_peer(void)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
			 0);
	peer.sock = sv[0];
	assert_int_equal(vhost_connection_open(&peer.connection, sv[1]), 0);
}

void disconnect_peer(void)
{
	close(peer.sock);
	peer.sock = -1;
	expect_closed();
}

static void make_memory(void)
{
	peer.memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(peer.memfd, PEER_MEMORY), 0);
	peer.memory = mmap(NULL, PEER_MEMORY, PROT_READ | PROT_WRITE,
			   MAP_SHARED, peer.memfd, 0);
	assert_ptr_not_equal(peer.memory, MAP_FAILED);
	for (unsigned int q = 0; q < PEER_QUEUES; q++) {
		peer.kick[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		peer.call[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		peer.err[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
}

static void make_threads(unsigned int nthreads)
{
	for (unsigned int i = 0; i < nthreads; i++)
		assert_int_equal(thread_loop_start(&peer.thread[i], 32000), 0);
	for (unsigned int q = 0; nthreads && q < PEER_QUEUES; q++)
		peer.thread_of[q] = &peer.thread[q % nthreads];
}

void make_file(void)
{
	int fd;

	strcpy(peer.file, "/tmp/vhost-test-XXXXXX");
	fd = mkstemp(peer.file);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PEER_DISK), 0);
	close(fd);
}

static void make_disk(const char *engine)
{
	char error[BLOCK_ERROR_MAX];
	struct disk_options o = {
		.engine = engine,
		.queues = PEER_QUEUES,
		.queue_size = 256,
		.packed = peer_packed,
	};

	if (strcmp(engine, "null")) {
		if (!peer.file[0])
			make_file();
		o.file = peer.file;
		o.cache = BLOCK_CACHE_WRITEBACK;
	} else {
		o.size = PEER_DISK;
	}
	queue_memory_init(&peer.boot, &peer.connection.session.regions);
	if (model_disk_open(&peer.disk, &peer.image, &o, &peer.boot.mem, error))
		fail_msg("%s", error);
}

/* Before a test counts descriptors: an engine has some. */
static void serve_early(void *arg)
{
	unsigned int q = *(unsigned int *)arg;

	assert_int_equal(peer_serve(&peer.owner, q), 0);
}

static void make_device(const char *engine)
{
	make_disk(engine);
	assert_int_equal(vhost_connection_init(&peer.connection, "test",
					       &peer.disk.blk.dev, &peer.owner,
					       &peer.loop, peer.thread_of),
			 0);
	peer.image.lost = peer_lost;
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		thread_loop_call(peer.thread_of[q], serve_early, &q);
}

void peer_start(const char *engine, unsigned int nthreads)
{
	memset(&peer, 0, sizeof(peer));
	peer.owner.ops = &peer_ops;
	assert_int_equal(loop_init(&peer.loop), 0);
	make_memory();
	make_threads(nthreads);
	make_device(engine);
	connect_peer();
}

static void finish_device(void)
{
	model_disk_close(&peer.disk);
	vhost_connection_finish(&peer.connection);
	memset(&peer.connection, 0, sizeof(peer.connection));
}

void peer_restart(const char *engine)
{
	disconnect_peer();
	finish_device();
	make_device(engine);
	connect_peer();
}

void peer_end(void)
{
	if (peer.sock >= 0)
		disconnect_peer();
	for (unsigned int i = 0; i < PEER_QUEUES; i++)
		thread_loop_stop(&peer.thread[i]);
	finish_device();
	for (unsigned int q = 0; q < PEER_QUEUES; q++) {
		close(peer.kick[q]);
		close(peer.call[q]);
		close(peer.err[q]);
	}
	munmap(peer.memory, PEER_MEMORY);
	close(peer.memfd);
	loop_finish(&peer.loop);
	if (peer.file[0])
		unlink(peer.file);
}

/* ---- what must not grow ---- */

unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

uint64_t vm_size(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * 4096;
}
